"""JavaScript of the page: keys, clicks, downloads, counting, and watching the server."""

from __future__ import annotations

from chargen.rendering import colouring

# Turns a click on a button of `html.bars` and the like into the `select` event of its gr.HTML.
SELECT_ON_CLICK = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-text]');
  if (button && !button.disabled) trigger('select', {text: button.dataset.text});
});
"""

# The same for a click on one of several sheets, which is marked at once: sent back by the server, all
# sheets would be scrolled to their beginnings. Whoever has just selected some text chooses nothing.
CHOOSE_SHEET = """
element.addEventListener('click', (event) => {
  const choice = event.target.closest('.choice');
  const selects = !getSelection().isCollapsed && !event.target.closest('button');
  if (!choice || selects || choice.classList.contains('chosen')) return;
  for (const other of element.querySelectorAll('.choice')) {
    other.classList.toggle('chosen', other === choice);
    other.querySelector('button').setAttribute('aria-pressed', other === choice);
  }
  trigger('select', {text: choice.dataset.sheet});
});
"""

# Counts a text in the browser, for `text_summary.Counts.from_json`: a text of megabytes is sent once,
# to train on it, and not at each pause of the visitor who types it.
COUNT_TEXT = r"""
(text) => {
  const counts = new Map();
  let characters = 0;
  for (const character of (text || '').replace(/\r\n?/g, '\n')) {
    characters++;
    counts.set(character, (counts.get(character) || 0) + 1);
  }
  const matching = (pattern) =>
    [...counts].reduce((sum, [character, count]) => sum + (pattern.test(character) ? count : 0), 0);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 12);
  return [JSON.stringify({
    characters,
    stripped: [...(text || '').trim()].length,
    newlines: counts.get('\n') || 0,
    ends_with_newline: /[\n\r]$/.test(text || ''),
    different: counts.size,
    frequent: sorted.map(([character]) => character),
    letters: matching(/\p{L}/u),
    control: matching(/[^\P{Cc}\n\t]/u),
    lost: counts.get('\ufffd') || 0,
  })];
}
"""


def download(text: str, name: str, mime: str) -> str:
    """Returns the JavaScript of a handler that downloads a text as a file called `name`.

    `text` is an expression for the text, in which `input` is the first input of the handler. Nothing
    is downloaded while it is empty.
    """
    return f"""
(input) => {{
  const text = {text};
  if (!text) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {{type: '{mime}'}}));
  link.download = '{name}';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}}
"""


# Ctrl+Enter presses the main button of the open tab. Escape stops writing, but no training: pressed by
# mistake, it would cost too much.
_KEYS = """
document.addEventListener('keydown', (event) => {
  const press = (selector) => {
    const visible = [...document.querySelectorAll(selector)].find((e) => e.offsetParent);
    if (visible && !visible.disabled) visible.click();
    return visible;
  };
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    if (press('.primary-action')) event.preventDefault();
  }
  if (event.key === 'Escape') press('.stop-writing');
}, true);
"""

# The switch for a presentation, which the browser remembers.
_PRESENTATION = """
(() => {
  const root = document.documentElement;
  const show = (on) => {
    root.classList.toggle('presentation', on);
    const button = document.querySelector('#presentation');
    if (button) button.setAttribute('aria-pressed', on);
  };
  document.addEventListener('click', (event) => {
    if (!event.target.closest('#presentation')) return;
    const on = !root.classList.contains('presentation');
    localStorage.setItem('presentation', on ? 'on' : '');
    show(on);
  });
  const saved = localStorage.getItem('presentation') === 'on';
  root.classList.toggle('presentation', saved);
  new MutationObserver((_, observer) => {
    if (!document.querySelector('#presentation')) return;
    observer.disconnect();
    show(saved);
  }).observe(root, {childList: true, subtree: true});
})();
"""

# Says when the server is gone or was started anew. If something was asked of it meanwhile, Gradio
# reloads the page; then every text that a visitor has typed, and the draft, comes back. The name of
# the window takes them across, since it has no limit that a text could exceed.
_WATCH = """
(() => {
  const SECONDS = 5;
  let first = null, server = null, lost = false;  // the server that drew the page, and that of now
  const say = (text) => {
    let box = document.querySelector('#connection');
    if (!box) {
      box = document.createElement('div');
      box.id = 'connection';
      box.setAttribute('role', 'status');
      document.body.append(box);
    }
    const close = document.createElement('button');
    close.type = 'button';
    close.textContent = 'OK';
    close.addEventListener('click', () => box.replaceChildren());
    box.replaceChildren(text, ...(text ? [close] : []));
  };
  const fields = () => [...document.querySelectorAll('textarea')].flatMap((area) => {
    const component = area.closest('[id]');
    return component ? [[component.id, area]] : [];
  });
  addEventListener('beforeunload', () => {
    const texts = Object.fromEntries(fields().map(([id, area]) => [id, area.value]));
    const tab = document.querySelector('[role=tab][aria-selected=true]');
    if (first !== null && Object.keys(texts).length) {
      window.name = JSON.stringify({server: first, texts, tab: tab && tab.textContent.trim()});
    }
  });
  const restore = ({texts, tab}) => {
    const fill = () => {
      if (!document.querySelector('#bars :is(button, .note)')) return;  // Gradio is still at work
      for (const [id, area] of fields()) {
        if (!(id in texts)) continue;
        const text = texts[id];
        delete texts[id];
        if (area.value === text) continue;
        area.value = text;
        area.dispatchEvent(new Event('input', {bubbles: true}));
        if (id === 'draft') setTimeout(() => document.querySelector('#restore').click(), 300);
      }
      const tabs = [...document.querySelectorAll('[role=tab]')];
      const button = tabs.find((each) => tab && each.textContent.trim() === tab);
      tab = null;
      if (button) button.click();
    };
    new MutationObserver(fill).observe(document.body, {childList: true, subtree: true});
  };
  const look = async () => {
    const config = window.gradio_config;
    if (!config || document.hidden || !document.querySelector('#head')) return;  // or not drawn yet
    let answer = null;
    try {
      const response = await fetch(`${config.root}${config.api_prefix || ''}/app_id`);
      answer = response.ok ? await response.text() : String(response.status);
    } catch { /* nobody answers */ }
    if (answer === null) {
      if (!lost) say('The page does not answer any more. What you have typed and written stays here.');
      lost = true;
      return;
    }
    let saved = null;
    if (first === null && answer !== '401') {
      first = answer;
      try { saved = JSON.parse(window.name); } catch { /* of another page */ }
      window.name = '';
    }
    if (answer === '401') {
      if (server !== answer) say('Log in again; what you have typed and written comes back.');
    } else if (saved && saved.server && saved.server !== answer) {
      restore(saved);
      say('The page was started anew. What you have typed and written is still here; go on.');
    } else if (server !== null && server !== answer) {
      say('The page was started anew. What you have typed and written is still here; go on.');
    } else if (lost) {
      say('');
    }
    lost = false;
    server = answer;
  };
  new MutationObserver((_, observer) => {
    if (!document.querySelector('#head')) return;
    observer.disconnect();
    look();
  }).observe(document.documentElement, {childList: true, subtree: true});
  setInterval(look, 1000 * SECONDS);
  document.addEventListener('visibilitychange', look);
})();
"""

HEAD = "".join(
    f"<script>{script}</script>" for script in (_KEYS, _PRESENTATION, _WATCH, colouring.SCRIPT)
)
