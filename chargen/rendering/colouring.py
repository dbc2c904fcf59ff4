"""Coloured text: in a terminal, on a page in HTML, and as a picture in SVG."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator
from html import escape
from typing import NamedTuple

# Unicode's pictures of control characters, which a terminal would obey; newlines and tabs stay.
PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
_NAMES = {"\n": "↵ newline", "\t": "⇥ tab", " ": "␣ space", "": "■ the end"}
_WARM = (230, 229, 222, 216, 209, 203, 196)  # of xterm's 256 colours, from weak to strong
_COOL = (195, 159, 123, 80, 44, 37, 30)
_JOINER = "\u200d"
_CELL_WIDTH, _ROW_HEIGHT = 8, 19  # pixels of a letter in a picture


class Glyph(NamedTuple):
    """A piece of text with its colour and its tooltip."""

    text: str  # "" for the end of a document
    strength: float = 0.0  # from -1, the full cool colour, to 1, the full warm one
    tooltip: str = ""  # shown where the pointer is on the piece


def visible(text: str) -> str:
    """Returns a piece as visible text: white space and the end of a document by sign and name."""
    return _NAMES.get(text, text)


def escape_html(raw: str) -> str:
    """Escapes a text for HTML, so that none of it is taken for markup."""
    # Braces and the dollar sign too: the page's templates would substitute them.
    text = escape(raw.translate(PICTURES), quote=True)
    return text.replace("$", "&#36;").replace("{", "&#123;").replace("}", "&#125;")


def clusters(glyphs: Iterable[Glyph]) -> Iterator[Glyph]:
    """Joins pieces to grapheme clusters: an emoji of several parts, a letter with its accent.

    A cluster has the strongest colour of its parts, and all their tooltips. The rules are a small part
    of Unicode's (UAX #29): combining marks, joiners, skin tones and flags.
    """
    cluster: Glyph | None = None
    for glyph in glyphs:
        if cluster is not None and _joins(cluster.text, glyph.text):
            strength = max(cluster.strength, glyph.strength, key=abs)
            tooltip = "\n".join(filter(None, (cluster.tooltip, glyph.tooltip)))
            cluster = Glyph(cluster.text + glyph.text, strength, tooltip)
        else:
            if cluster is not None:
                yield cluster
            cluster = glyph
    if cluster is not None:
        yield cluster


def terminal(glyphs: Iterable[Glyph]) -> str:
    """Returns the text with ANSI background colours; control characters are replaced by pictures."""
    parts, open_colour = [], 0
    for glyph in clusters(glyphs):
        colour = _colour(glyph.strength)
        if colour != open_colour:
            parts.append(f"\x1b[38;5;16;48;5;{colour}m" if colour else "\x1b[0m")
            open_colour = colour
        if glyph.text in ("\n", ""):
            parts.append(("■" if not glyph.text else "↵" if colour else "") + "\x1b[0m\n")
            open_colour = 0
        else:
            parts.append(glyph.text.translate(PICTURES).replace("\t", "⇥\t" if colour else "\t"))
    return "".join([*parts, "\x1b[0m" if open_colour else ""])


def spans(glyphs: Iterable[Glyph]) -> str:
    """Returns the text as HTML for the inside of a `pre`; its text content is the text itself."""
    parts = []
    for glyph in clusters(glyphs):
        kind = {"\n": "nl", "\t": "tab", "": "end"}.get(glyph.text, "")
        share = round(80 * min(1.0, abs(glyph.strength)))  # so that the letter can still be read
        if not share and not glyph.tooltip and not kind:
            parts.append(escape_html(glyph.text))
            continue
        name = f' class="{kind}"' if kind else ""
        sign = "warm" if glyph.strength >= 0 else "cool"
        style = f' style="--{sign}:{share}%"' if share else ""
        tooltip = f' data-tooltip="{escape_html(glyph.tooltip)}"' if glyph.tooltip else ""
        parts.append(f"<span{name}{style}{tooltip}>{escape_html(glyph.text)}</span>")
    return "".join(parts)


# The style of what `spans` returns; the page defines the colours.
CSS = """
.coloured { white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
.coloured span { border-radius: 2px; }
.coloured span[style*="--warm"] {
  background: color-mix(in srgb, var(--hot) calc(var(--warm) * var(--depth, 1)), transparent); }
.coloured span[style*="--cool"] {
  background: color-mix(in srgb, var(--accent) calc(var(--cool) * var(--depth, 1)), transparent); }
.coloured .nl::before { content: "↵"; opacity: .45; }
.coloured .tab::before { content: "⇥"; opacity: .45; }
.coloured .end::before { content: "■\\A"; opacity: .45; }
.coloured span[data-tooltip]:is(:hover, .current) { outline: 1.5px solid var(--accent); }
#glyph-tooltip { position: fixed; z-index: 9999; pointer-events: none; white-space: pre;
  max-width: 90vw; font: .85rem/1.45 ui-monospace, Menlo, Consolas, "Liberation Mono", monospace;
  padding: .5em .7em; border-radius: 6px; color: var(--paper); background: var(--ink);
  box-shadow: 0 2px 10px #0004; }
#glyph-tooltip[hidden] { display: none; }
"""

# Shows the tooltip of a piece beside the pointer or the finger. In a text that has the focus, the
# arrow keys move from piece to piece.
SCRIPT = """
(() => {
  let tip, current;
  const show = (piece) => {
    if (!tip) {
      tip = document.createElement('div');
      tip.id = 'glyph-tooltip';
      tip.setAttribute('role', 'tooltip');
      tip.setAttribute('aria-live', 'polite');
      document.body.append(tip);
    }
    tip.hidden = !piece;
    if (!piece) return;
    tip.textContent = piece.dataset.tooltip;
    const box = piece.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const left = Math.min(box.left, innerWidth - size.width - 8);
    const below = box.bottom + 6 + size.height < innerHeight;
    tip.style.left = Math.max(8, left) + 'px';
    tip.style.top = (below ? box.bottom + 6 : box.top - size.height - 6) + 'px';
  };
  const move = (piece) => {
    if (current) current.classList.remove('current');
    current = piece;
    if (piece) {
      piece.classList.add('current');
      piece.scrollIntoView({block: 'nearest'});
    }
    show(piece);
  };
  const point = (event) => {
    move(null);
    show(event.target.closest && event.target.closest('[data-tooltip]'));
  };
  document.addEventListener('pointerover', point);
  document.addEventListener('pointerdown', point);
  document.addEventListener('focusout', () => move(null));
  document.addEventListener('keydown', (event) => {
    const text = event.target.closest && event.target.closest('.coloured');
    if (!text || event.ctrlKey || event.metaKey || event.altKey) return;
    const pieces = [...text.querySelectorAll('[data-tooltip]')];
    const index = pieces.indexOf(current), last = pieces.length - 1;
    const to = {ArrowRight: Math.min(index + 1, last), ArrowLeft: Math.max(index - 1, 0), Home: 0,
      End: last}[event.key];
    if (event.key === 'Escape') move(null);
    if (to === undefined || !pieces.length) return;
    event.preventDefault();
    move(pieces[to]);
  });
})();
"""


def page(title: str, intro: str, glyphs: Iterable[Glyph]) -> str:
    """Returns a whole page in one file that loads nothing else; `intro` is HTML."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape_html(title)}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; --faint: #6b665d;
  --accent: #0f766e; --hot: #dc2626; --line: #e4e0d8; --depth: .92; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8e6e1; --paper: #1d2022; --faint: #a8a49b;
  --accent: #2dd4bf; --hot: #f87171; --line: #33383c; --depth: .52; }} }}
body {{ margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 ui-sans-serif, system-ui, sans-serif; }}
h1 {{ font-size: 1.15rem; }}
table {{ border-collapse: collapse; font-size: .9rem; }}
td, th {{ text-align: left; padding: .1rem 1rem .1rem 0; font-weight: normal; vertical-align: top; }}
th {{ color: var(--faint); }}
code, .coloured {{ font-family: ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; }}
.coloured {{ border: 1px solid var(--line); border-radius: 8px; padding: 1rem; line-height: 1.6; }}
{CSS}</style></head>
<body><h1>{escape_html(title)}</h1>
{intro}
<pre class="coloured" tabindex="0">{spans(glyphs)}</pre>
<script>{SCRIPT}</script>
</body></html>
"""


def svg(glyphs: Iterable[Glyph], title: str = "", columns: int = 88) -> str:
    """Returns the text as an SVG picture on white; a line longer than `columns` is wrapped."""
    top = 34 if title else 12
    back, front, row, column, widest = [], [], 0, 0, 20
    run, run_start = "", 0  # letters of a row that are drawn together, and their first column

    def write(letters: str, column: int, cells: int, faint: bool = False) -> None:
        if letters.strip():
            letters = letters.replace(" ", "\u00a0")  # viewers collapse plain spaces
            fill = ' fill="#9a948a"' if faint else ""
            front.append(
                f'<text x="{12 + _CELL_WIDTH * column}" y="{top + _ROW_HEIGHT * row + 14}" '
                f'textLength="{_CELL_WIDTH * cells}"{fill}>{escape(letters)}</text>'
            )

    for glyph in clusters(glyphs):
        sign = {"\n": "↵", "\t": "⇥", "": "■"}.get(glyph.text, "")
        shown = sign or glyph.text.translate(PICTURES)
        size = 1 if sign else _cells(shown)
        plain = not sign and size == len(shown) == 1
        if column + size > columns or not plain:
            write(run, run_start, len(run))
            run = ""
            if column + size > columns:
                row, column = row + 1, 0
        if (share := min(1.0, abs(glyph.strength))) >= 0.01:
            fill = "#dc2626" if glyph.strength > 0 else "#0f766e"
            back.append(
                f'<rect x="{12 + _CELL_WIDTH * column}" y="{top + _ROW_HEIGHT * row}" '
                f'width="{_CELL_WIDTH * size}" height="{_ROW_HEIGHT}" '
                f'fill="{fill}" fill-opacity="{0.75 * share:.2f}"/>'
            )
        if plain:
            run_start = run_start if run else column
            run += shown
        else:
            write(shown, column, size, faint=bool(sign))
        column += size
        widest = max(widest, column)
        if glyph.text == "\t":
            column = math.ceil(column / 4) * 4
        if glyph.text in ("\n", ""):
            row, column = row + 1, 0
    write(run, run_start, len(run))
    across, down = 24 + widest * _CELL_WIDTH, top + (row + 1) * _ROW_HEIGHT + 12
    head = f'<text x="12" y="22" font-weight="bold">{escape(title)}</text>' if title else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}" '
        f'viewBox="0 0 {across} {down}" fill="#1f2328" '
        'font-family="Menlo, Consolas, Liberation Mono, monospace" font-size="13">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(back)}{head}{"".join(front)}</svg>'
    )


def _colour(strength: float) -> int:
    """Returns one of the 256 colours, or 0 for none."""
    step = math.ceil(min(1.0, abs(strength)) * (len(_WARM) + 1)) - 2
    return 0 if step < 0 else (_WARM if strength > 0 else _COOL)[step]


def _cells(text: str) -> int:
    """Returns the width of a piece in cells of a monospaced font."""
    marks = sum(not unicodedata.category(c).startswith("M") and c != _JOINER for c in text)
    wide = any(unicodedata.east_asian_width(c) in "WF" for c in text)
    return 2 * marks if wide and len(text) == 1 else max(1, 2 if wide else marks)


def _joins(left: str, right: str) -> bool:
    """Returns whether `right` continues the grapheme cluster at the end of `left`."""
    if not left or not right or left == "\n":
        return False
    first = right[0]
    if left.endswith(_JOINER) or first == _JOINER or unicodedata.category(first).startswith("M"):
        return True
    if 0x1F3FB <= ord(first) <= 0x1F3FF:  # a skin tone
        return True
    flags = sum(0x1F1E6 <= ord(c) <= 0x1F1FF for c in left)  # two regional indicators make a flag
    return flags % 2 == 1 and flags == len(left) and 0x1F1E6 <= ord(first) <= 0x1F1FF
