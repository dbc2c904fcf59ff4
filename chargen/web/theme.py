"""The theme of the page, light and dark: colours and CSS, all without a download."""

from __future__ import annotations

from chargen.rendering import colouring
from chargen.web.gradio_setup import gr
from chargen.web.scripts import HEAD

__all__ = ["CSS", "HEAD", "theme"]

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
        button_primary_background_fill_hover_dark="#115e59",
        body_text_color_subdued="#6b665d",
        body_text_color_subdued_dark="#a8a49b",
        input_placeholder_color="#6b665d",
        input_placeholder_color_dark="#a8a49b",
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
  --paper: #ffffff; --second: #b45309; --hot: #dc2626; --bad: #b91c1c; --dim: #f4f2ed;
  --cell: 70%; --depth: .92; --s1: #7c3aed; --s3: #2563eb; --s4: #be185d; --s5: #4d7c0f; }
.dark { --ink: #e8e6e1; --faint: #a8a49b; --line: #33383c; --accent: #2dd4bf; --soft: #2dd4bf2b;
  --paper: #1d2022; --second: #fbbf24; --hot: #f87171; --bad: #f87171; --dim: #191b1d;
  --cell: 30%; --depth: .52; --s1: #a78bfa; --s3: #60a5fa; --s4: #f472b6; --s5: #a3e635; }
.gradio-container { width: 100% !important; max-width: 1180px !important;
  margin: 0 auto !important; }
.dark button[role=tab][aria-selected=true] { color: var(--accent) !important; }
.html-container { padding: 0 !important; }
.block:has(> .html-container > .prose:empty) { display: none; }
.head { display: flex; align-items: baseline; gap: .75rem; flex-wrap: wrap; padding: .25rem 0 0; }
.head h1 { margin: 0; font: 600 1.6rem/1.2 ui-monospace, Menlo, Consolas, "Liberation Mono", monospace;
  letter-spacing: -.02em; color: var(--ink); }
.head h1 i { font-style: normal; color: var(--accent); }
.head span { color: var(--faint); }
#presentation { margin-left: auto; padding: .15rem .7rem; border: 1px solid var(--line);
  border-radius: 6px; background: none; color: var(--faint); font-size: .85rem; cursor: pointer; }
#presentation:is(:hover, [aria-pressed=true]) { background: var(--soft); color: var(--ink); }
.sheet { font: 1rem/1.55 ui-monospace, Menlo, Consolas, "Liberation Mono", monospace;
  color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 1rem 1.1rem; margin: 0; min-height: 19rem; max-height: 34rem; overflow: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
.mono textarea { font-family: ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; }
.buttons { flex-wrap: wrap; }
.buttons > * { flex: 0 1 auto; min-width: 7rem; }
#tools > * { min-width: 4rem; }
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
.sheets .title { display: block; margin: 0 0 .3rem; padding: 0 .3rem; border: 0; background: none;
  font-weight: 600; font-size: .85rem; color: var(--faint); text-align: left; }
.sheets .choice { cursor: pointer; }
.sheets .choice:not(.chosen) .sheet { background: var(--dim); }
.sheets .choice:not(.chosen) .sheet span { color: var(--faint); }
.sheets .chosen .title { color: var(--accent); }
.sheets .chosen .sheet { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.sheets .sheet { min-height: 8rem; font-size: .9rem; }
.sheets + .note, .note + .sheet { margin-top: .4rem; }
.note { color: var(--faint); font-size: .9rem; min-height: 1.4em; overflow-wrap: anywhere; }
.note.bad { color: var(--bad); }
.note summary { cursor: pointer; }
.verdict { margin: 0 0 .4rem; color: var(--faint); font-size: .9rem; }
.verdict b { margin-right: .4rem; color: var(--ink); font-size: 1.15rem; }
.bars p { margin: 0 0 .35rem; color: var(--faint); font-size: .9rem; }
.bars ul { display: grid; gap: 3px; align-content: start; margin: 0; padding: 0; list-style: none; }
.bars li { margin: 0; padding: 0; }
@media (min-width: 701px) { #bars .bars { min-height: 26rem; } }
.bars :is(button, .row) { display: grid; grid-template-columns: 6.2rem 1fr 3.4rem; gap: .6rem;
  align-items: center; width: 100%; padding: 1px 4px; border: 0; border-radius: 4px;
  background: none; color: var(--ink); text-align: left;
  font: .95rem/1.5 ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; }
.bars button { cursor: pointer; }
.bars button:is(:hover, :focus-visible) { background: var(--soft); }
.bars button:disabled { cursor: default; background: none; opacity: 1; color: var(--ink); }
.bars :is(button, .row) > span:first-child { white-space: pre; overflow: hidden;
  text-overflow: ellipsis; }
.bars .bar > span { display: block; height: .8em; background: var(--accent); border-radius: 2px;
  min-width: 1px; }
.bars .number { text-align: right; color: var(--faint); font-variant-numeric: tabular-nums; }
.bars.names .row { grid-template-columns: minmax(6rem, 45%) 1fr 3.4rem; font-family: inherit; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; }
.swatch { display: inline-block; width: 1.1em; height: .8em; margin-right: .4em;
  border: 1px solid var(--line); border-radius: 2px; vertical-align: -.05em; }
.swatch.cool { background: color-mix(in srgb, var(--accent) 60%, transparent); }
.swatch.warm { background: color-mix(in srgb, var(--hot) 60%, transparent); }
.line { margin: .2rem 0 .5rem; padding: .4rem .6rem; border: 1px solid var(--line); border-radius: 6px;
  background: var(--paper); color: var(--ink); white-space: pre-wrap; overflow-wrap: anywhere;
  font: .9rem/1.5 ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.resuming { align-items: end; }
.question { padding: .6rem .8rem; border: 1px solid var(--bad); border-radius: 8px; }
.figure { width: 100%; height: auto; display: block; background: var(--paper);
  border: 1px solid var(--line); border-radius: 8px; }
.figure text { fill: var(--faint); font: 12px ui-sans-serif, system-ui, sans-serif; }
.figure .grid { stroke: var(--line); }
.figure line.mark { stroke: var(--second); stroke-dasharray: 1 4; }
.figure text.mark { fill: var(--second); }
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
.matrix .right { background: color-mix(in srgb,
  var(--accent) calc(var(--share) * var(--cell)), transparent); }
.matrix .wrong { background: color-mix(in srgb,
  var(--second) calc(var(--share) * var(--cell)), transparent); }
.matrix .corner { border: 0 !important; }
.scroll { overflow-x: auto; }
.bars.wide ul button { grid-template-columns: minmax(9rem, 14rem) 1fr 3.4rem; font-family: inherit; }
.figure .series { fill: none; stroke-width: 2; }
.figure .s0 { stroke: var(--second); } .figure .s1 { stroke: var(--s1); }
.figure .s2 { stroke: var(--accent); } .figure .s3 { stroke: var(--s3); }
.figure .s4 { stroke: var(--s4); } .figure .s5 { stroke: var(--s5); }
.figure .tag { stroke: none; font-weight: 600; }
.figure .tag.s0 { fill: var(--second); } .figure .tag.s1 { fill: var(--s1); }
.figure .tag.s2 { fill: var(--accent); } .figure .tag.s3 { fill: var(--s3); }
.figure .tag.s4 { fill: var(--s4); } .figure .tag.s5 { fill: var(--s5); }
.sheet.coloured { min-height: 6rem; }
.spots { border-collapse: collapse; font-size: .85rem; width: auto !important; color: var(--ink); }
.spots th { font-weight: 500; color: var(--faint); text-align: left; }
.spots :is(td, th) { padding: 2px 12px 2px 0 !important; border: 0 !important; white-space: nowrap; }
.spots, .spots tbody, .spots tr { border: 0 !important; }
.spots td.text { white-space: normal !important; overflow-wrap: anywhere; min-width: 8rem; }
.note.section { margin: .4rem 0; }
.spots code { white-space: pre; background: none; padding: 0; color: var(--faint); }
.spots code b { color: var(--hot); }
.facts { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; color: var(--faint); font-size: .9rem; }
.facts b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
footer img { display: none !important; }
#connection:not(:empty) { position: fixed; inset: auto 1rem 1rem; z-index: 9999; display: flex;
  gap: 1rem; align-items: center; justify-content: space-between; max-width: 44rem; margin: 0 auto;
  padding: .7rem 1rem; border-radius: 8px; background: var(--ink); color: var(--paper);
  box-shadow: 0 2px 10px #0004; }
#connection button { padding: .2rem .9rem; border: 1px solid currentcolor; border-radius: 6px;
  background: none; color: inherit; cursor: pointer; }
/* WCAG 2.4.7: wherever the keyboard is, an outline says so. */
:is(a, button, input, textarea, select, summary, pre, div, label, [tabindex]):focus-visible,
label:has(> input:is([type=radio], [type=checkbox]):focus-visible) {
  outline: 2px solid var(--accent) !important; outline-offset: 1px !important; }
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation: none !important; transition: none !important;
    scroll-behavior: auto !important; }
}
/* A lecture: everything larger, over the whole width, and five sheets side by side. */
.presentation .gradio-container { max-width: none !important; zoom: 1.4; }
.presentation #writing:has(.choice) { flex-wrap: wrap; }
.presentation #writing:has(.choice) > .column { flex-basis: 100%; }
.presentation #writing:has(.choice) > .column:last-child { display: grid; align-items: start;
  grid-template-columns: 1fr 1fr; }
.presentation #writing .sheets {
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 13rem), 1fr)); }
/* A phone: temperature and bars right behind the text, which scrolls in itself. */
@media (max-width: 700px) {
  #presentation { display: none; }
  #writing { flex-wrap: wrap; }
  #writing > .column { display: contents; }
  #writing > .column > * { order: 3; flex: 1 1 100%; width: 100%; }
  #writing > .column > :is(:has(#prompt), #prompt, :has(> #write)) { order: 0; }
  #writing > .column > :is(#written, #told) { order: 1; }
  #writing > .column > :is(:has(#temperature), #bars) { order: 2; }
  #written .sheet { min-height: 8rem; max-height: 36vh; }
  .sheets { display: flex; overflow-x: auto; }
  .sheets > * { flex: 0 0 80%; }
}
"""
CSS += colouring.CSS
