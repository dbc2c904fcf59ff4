"""The theme of the page, light and dark: colours, CSS and key bindings, all without a download."""

from __future__ import annotations

from chargen.rendering import colouring
from chargen.web.gradio_setup import gr

# Every system has some of these fonts.
SANS = ["ui-sans-serif", "system-ui", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"]


def theme() -> gr.themes.Base:
    """Returns a calm theme: paper and ink with one accent."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        text_size=gr.themes.sizes.text_md,
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.sizes.radius_md,
        font=SANS,
        font_mono=MONO,
    ).set(
        body_background_fill="#faf9f6",
        body_background_fill_dark="#16181a",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1d2022",
        background_fill_secondary="#f4f2ed",
        background_fill_secondary_dark="#222629",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1d2022",
        block_border_color="#e4e0d8",
        block_border_color_dark="#33383c",
        border_color_primary="#e4e0d8",
        border_color_primary_dark="#33383c",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_info_text_color="#6b665d",
        block_info_text_color_dark="#a8a49b",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#115e59",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover_dark="#0d9488",
        button_primary_text_color="#ffffff",
        input_background_fill="#f6f5f1",
        input_background_fill_dark="#262b2e",
        button_secondary_background_fill="#eae7df",
        button_secondary_background_fill_hover="#dfdbd0",
        button_secondary_background_fill_dark="#33383c",
        button_secondary_background_fill_hover_dark="#3e4448",
        checkbox_label_background_fill="#f0eee8",
        checkbox_label_background_fill_dark="#2a2f32",
        color_accent="#0f766e",
        checkbox_background_color_selected="#0f766e",
        checkbox_background_color_selected_dark="#0f766e",
        checkbox_border_color_selected="#0f766e",
        checkbox_border_color_selected_dark="#2dd4bf",
        slider_color="#0f766e",
        slider_color_dark="#2dd4bf",
    )


CSS = """
:root { --ink: #1f2328; --faint: #6b665d; --line: #e4e0d8; --accent: #0f766e; --soft: #0f766e22;
  --paper: #ffffff; --second: #b45309; --hot: #dc2626; --bad: #b91c1c; }
.dark { --ink: #e8e6e1; --faint: #a8a49b; --line: #33383c; --accent: #2dd4bf; --soft: #2dd4bf2b;
  --paper: #1d2022; --second: #fbbf24; --hot: #f87171; --bad: #f87171; }
.gradio-container { width: 100% !important; max-width: 1180px !important;
  margin: 0 auto !important; }
.dark button[role=tab][aria-selected=true] { color: var(--accent) !important; }
.html-container { padding: 0 !important; }
.block:has(> .html-container > .prose:empty) { display: none; }
.head { display: flex; align-items: baseline; gap: .75rem; flex-wrap: wrap; padding: .25rem 0 0; }
.head b { font: 600 1.6rem/1.2 ui-monospace, Menlo, Consolas, "Liberation Mono", monospace;
  letter-spacing: -.02em; color: var(--ink); }
.head b i { font-style: normal; color: var(--accent); }
.head span { color: var(--faint); }
.sheet { font: 1rem/1.55 ui-monospace, Menlo, Consolas, "Liberation Mono", monospace;
  color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 1rem 1.1rem; margin: 0; min-height: 19rem; max-height: 34rem; overflow: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
.mono textarea { font-family: ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; }
.buttons { flex-wrap: wrap; }
.buttons > * { flex: 0 1 auto; min-width: 7rem; }
.buttons > .primary-action { flex-grow: 1; }
progress { width: 100%; height: .4rem; appearance: none; border: 0; border-radius: 3px;
  background: var(--line); overflow: hidden; }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--accent); }
progress::-moz-progress-bar { background: var(--accent); }
/* A text is being written as long as it has a caret. */
body:not(:has(#written .caret)) #stop { display: none; }
body:has(#written .caret) :is(#write, #continue, #again, #download, #compare) { display: none; }
.sheet.small { min-height: 6rem; max-height: 16rem; font-size: .9rem; }
.sheet .prompt { color: var(--faint); }
.sheet .empty { color: var(--faint); font-family: ui-sans-serif, system-ui, sans-serif; }
.sheet .caret { display: inline-block; width: .5ch; height: 1.1em; vertical-align: text-bottom;
  background: var(--accent); }
.sheets { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr));
  gap: .75rem; }
.sheets h4 { margin: 0 0 .3rem; font-weight: 600; font-size: .85rem; color: var(--faint); }
.sheets .sheet { min-height: 8rem; font-size: .9rem; }
.sheets + .note, .note + .sheet { margin-top: .4rem; }
.note { color: var(--faint); font-size: .9rem; min-height: 1.4em; overflow-wrap: anywhere; }
.note.bad { color: var(--bad); }
.note summary { cursor: pointer; }
.bars { display: grid; gap: 3px; align-content: start; }
@media (min-width: 700px) { #bars .bars { min-height: 26rem; } }
.bars p { margin: 0 0 .35rem; color: var(--faint); font-size: .9rem; }
.bars button { display: grid; grid-template-columns: 4.5rem 1fr 3.4rem; gap: .6rem;
  align-items: center; width: 100%; padding: 1px 4px; border: 0; border-radius: 4px; cursor: pointer;
  background: none; color: var(--ink); text-align: left;
  font: .95rem/1.5 ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; }
.bars button:hover, .bars button:focus-visible { background: var(--soft); outline: none; }
.bars button:disabled { cursor: default; background: none; opacity: 1; }
.bars button > span:first-child { white-space: pre; overflow: hidden; text-overflow: ellipsis; }
.bars .bar { height: .8em; background: var(--accent); border-radius: 2px; min-width: 1px; }
.bars .number { text-align: right; color: var(--faint); font-variant-numeric: tabular-nums; }
.figure { width: 100%; height: auto; display: block; background: var(--paper);
  border: 1px solid var(--line); border-radius: 8px; }
.figure text { fill: var(--faint); font: 12px ui-sans-serif, system-ui, sans-serif; }
.figure .grid { stroke: var(--line); }
.figure .base { stroke: var(--faint); stroke-dasharray: 4 4; }
.figure .first { stroke: var(--accent); fill: none; stroke-width: 1.5; opacity: .55; }
.figure .second { stroke: var(--second); fill: none; stroke-width: 2.5; }
.figure circle { fill: var(--second); }
.figure .tag-second { fill: var(--second); font-weight: 600; }
.figure .tag-first { fill: var(--accent); font-weight: 600; }
.matrix { border-collapse: collapse; margin: .2rem 0; font-size: .78rem; color: var(--ink);
  width: auto !important; }
.matrix th { font-weight: 500; color: var(--faint); padding: 2px 5px !important; text-align: right;
  border: 0 !important; }
.matrix, .matrix tbody, .matrix tr { border: 0 !important; }
.matrix tr:first-child th { text-align: center; }
.matrix td { min-width: 2em; height: 2.1em; padding: 0 !important; text-align: center;
  border: 1px solid var(--line) !important; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
.bars.wide button { grid-template-columns: minmax(9rem, 14rem) 1fr 3.4rem; font-family: inherit; }
.figure .series { fill: none; stroke-width: 2; }
.figure .s0 { stroke: var(--second); } .figure .s1 { stroke: #7c3aed; }
.figure .s2 { stroke: var(--accent); } .figure .s3 { stroke: #2563eb; }
.figure .s4 { stroke: #db2777; } .figure .s5 { stroke: #65a30d; }
.figure .tag { stroke: none; font-weight: 600; }
.figure .tag.s0 { fill: var(--second); } .figure .tag.s1 { fill: #7c3aed; }
.figure .tag.s2 { fill: var(--accent); } .figure .tag.s3 { fill: #2563eb; }
.figure .tag.s4 { fill: #db2777; } .figure .tag.s5 { fill: #65a30d; }
.sheet.coloured { min-height: 6rem; }
.spots { border-collapse: collapse; font-size: .85rem; width: auto !important; color: var(--ink); }
.spots th { font-weight: 500; color: var(--faint); text-align: left; }
.spots :is(td, th) { padding: 2px 12px 2px 0 !important; border: 0 !important; white-space: nowrap; }
.spots, .spots tbody, .spots tr { border: 0 !important; }
.spots code { white-space: pre; background: none; padding: 0; color: var(--faint); }
.spots code b { color: var(--hot); }
.facts { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; color: var(--faint); font-size: .9rem; }
.facts b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
footer { opacity: .6; }
"""
CSS += colouring.CSS

# Ctrl+Enter presses the main button of the open tab. Escape stops writing, but no training: pressed by
# mistake, it would cost too much.
HEAD = """
<script>
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
</script>
"""
HEAD += f"<script>{colouring.SCRIPT}</script>"
