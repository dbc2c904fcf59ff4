"""A text coloured by a component of the state, what components follow, what holding one changes."""

from __future__ import annotations

from typing import Any

from chargen.errors import ChargenError
from chargen.rendering.colouring import svg
from chargen.web import html as drawing
from chargen.web.generation import GenerationRequest, seed_for
from chargen.web.gradio_setup import gr
from chargen.web.inspector import Inspector, Place

_SAVE = """
(picture) => {
  if (!picture) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([picture], {type: 'image/svg+xml'}));
  link.download = 'chargen.svg';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
"""


def build(page: gr.Blocks, inspector: Inspector, model: gr.Dropdown, text: gr.Textbox) -> None:
    """Puts this part of the tab together."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=7, min_width=320):
            coloured = gr.HTML(elem_id="state")
            told = gr.HTML(elem_id="state-told")
            with gr.Row(elem_classes="buttons"):
                save = gr.Button("Save the picture", size="sm", elem_id="save-state")
            picture = gr.Textbox(visible=False)  # on its way to the browser
            with gr.Row():
                prompt = gr.Textbox(
                    label="Prompt",
                    info="What is written on from, with the component held and without.",
                    value="The ",
                    elem_id="held-prompt",
                    elem_classes="mono",
                )
                value = gr.Slider(
                    -6,
                    6,
                    value=3,
                    step=0.25,
                    label="Hold it at",
                    info="A value for it.",
                    elem_id="hold",
                )
            with gr.Row(elem_classes="buttons"):
                write = gr.Button(
                    "Write with it held", variant="primary", elem_id="write-held", elem_classes="does"
                )
            texts = gr.HTML(elem_id="held")
        with gr.Column(scale=5, min_width=300):
            with gr.Row():
                layer = gr.Number(1, precision=0, label="Layer", elem_id="layer", min_width=80)
                component = gr.Number(
                    0, precision=0, label="Component", elem_id="component", min_width=80
                )
                kind = gr.Dropdown(
                    ["cell"], value="cell", label="What of it", elem_id="kind", min_width=110
                )
            find = gr.Button("Find components that follow something", elem_id="find")
            followers = gr.HTML(js_on_load=drawing.CLICKED, elem_id="followers")

    def shape(name: str, chosen: str) -> list[Any]:
        kinds = inspector.kinds(name)
        return [1, 0, gr.update(choices=kinds, value=chosen if chosen in kinds else kinds[0]), ""]

    def look(name: str, given: str, depth: int, number: int, what: str) -> list[str]:
        if not given:
            return [drawing.note("Type something above."), ""]
        try:
            glyphs, words = inspector.coloured(name, given, _place(depth, what, number))
        except ChargenError as error:
            return [drawing.note(str(error), bad=True), ""]
        return [drawing.coloured(glyphs), drawing.note(words)]

    def draw(name: str, given: str, depth: int, number: int, what: str) -> str:
        try:
            glyphs, words = inspector.coloured(name, given, _place(depth, what, number))
        except ChargenError:
            return ""  # which is said beside the button already
        return svg(glyphs, words)

    def search(name: str, given: str) -> str:
        try:
            return drawing.followers(inspector.components(name, given))
        except ChargenError as error:
            return drawing.note(str(error), bad=True)

    def choose(event: gr.EventData) -> list[Any]:
        depth, what, number = str(event.text).split(":")
        return [int(depth), int(number), what]

    def held(name: str, begins: str, depth: int, number: int, what: str, at: float) -> str:
        seed = seed_for(None)
        try:
            place = _place(depth, what, number)
            given, free, other = inspector.held(
                name, begins, place, at, GenerationRequest(400, 0.7), seed
            )
        except ChargenError as error:
            return drawing.note(str(error), bad=True)
        titles = ["free", f"component {number} of layer {depth} held at {at:g}"]
        seed_used = drawing.note(f"the same luck twice: seed {seed}")
        return drawing.sheets(titles, given, [free, other]) + seed_used

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    place: list[Any] = [layer, component, kind]
    now: dict[str, Any] = {
        "fn": look,
        "inputs": [model, text, *place],
        "outputs": [coloured, told],
        "trigger_mode": "always_last",
        "concurrency_limit": 4,
        **quiet,
    }
    for part in (text, *place):
        part.change(**now)
    model.change(shape, [model, kind], [*place, followers], **quiet).then(**now)
    page.load(shape, [model, kind], [*place, followers], **quiet).then(**now)
    find.click(search, [model, text], followers, concurrency_limit=4, **quiet)
    followers.select(choose, None, place, **quiet)
    saved = save.click(draw, [model, text, *place], picture, concurrency_limit=4, **quiet)
    saved.then(None, picture, js=_SAVE, api_visibility="private")
    write.click(held, [model, prompt, *place, value], texts, concurrency_limit=4, **quiet)


def _place(layer: float | None, kind: str, component: float | None) -> Place:
    if layer is None or component is None:
        raise ChargenError("name a layer, from 1, and a component, from 0")
    return Place(int(layer), kind, int(component))
