"""The part of the tab that colours a text by one cell, finds cells, and writes with one fixed."""

from __future__ import annotations

from typing import Any

from chargen.errors import ChargenError
from chargen.model import StateComponent
from chargen.rendering.colouring import svg
from chargen.web import html
from chargen.web.generation import GenerationRequest, seed_or_new
from chargen.web.gradio_setup import LATEST, QUIET, gr
from chargen.web.inspector import Inspector

_REQUEST = GenerationRequest(length=400, temperature=0.7)
_SAVE = html.download_js("input", name="chargen.svg", mime="image/svg+xml")


class StatePart:
    """The widgets of this part, and what happens when they are used."""

    def __init__(
        self, page: gr.Blocks, inspector: Inspector, model: gr.Dropdown, text: gr.Textbox
    ) -> None:
        """Lays the part out in the block that is open, and connects it."""
        self._inspector = inspector
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=320):
                self._lay_out_text()
            with gr.Column(scale=5, min_width=300):
                self._lay_out_component()
        self._connect(page, model, text)

    def _lay_out_text(self) -> None:
        self.coloured = gr.HTML(elem_id="state")
        self.message = gr.HTML(elem_id="state-told")
        with gr.Row(elem_classes="buttons"):
            self.save_button = gr.Button("Save the picture", size="sm", elem_id="save-state")
        self.picture = gr.Textbox(visible=False)  # takes the SVG to the browser
        with gr.Row():
            self.prompt = gr.Textbox(
                label="Prompt",
                info="Continued twice: freely, and with this cell fixed.",
                value="The ",
                elem_id="held-prompt",
                elem_classes="mono",
            )
            self.value = gr.Slider(
                -6,
                6,
                value=3,
                step=0.25,
                label="Value",
                info="What the cell is fixed at.",
                elem_id="hold",
            )
        with gr.Row(elem_classes="buttons"):
            self.write_button = gr.Button(
                "Write with this cell fixed",
                variant="primary",
                elem_id="write-held",
                elem_classes="primary-action",
            )
        self.texts = gr.HTML(elem_id="held")

    def _lay_out_component(self) -> None:
        with gr.Row():
            self.layer = gr.Number(1, precision=0, label="Layer", elem_id="layer", min_width=80)
            self.index = gr.Number(0, precision=0, label="Cell", elem_id="component", min_width=80)
            self.kind = gr.Dropdown(
                ["cell"], value="cell", label="Signal", elem_id="kind", min_width=110
            )
        self.find_button = gr.Button("Find cells that track something", elem_id="find")
        self.components = gr.HTML(js_on_load=html.SELECT_ON_CLICK, elem_id="followers")

    def _connect(self, page: gr.Blocks, model: gr.Dropdown, text: gr.Textbox) -> None:
        component: list[Any] = [self.layer, self.index, self.kind]
        colour: dict[str, Any] = {
            "fn": self.colour,
            "inputs": [model, text, *component],
            "outputs": [self.coloured, self.message],
            "concurrency_limit": 4,
            **LATEST,
        }
        for widget in (text, *component):
            widget.change(**colour)
        for event in (model.change, page.load):
            event(self.choose_first, [model, self.kind], [*component, self.components], **QUIET).then(
                **colour
            )
        self.find_button.click(
            self.find_components, [model, text], self.components, concurrency_limit=4, **QUIET
        )
        self.components.select(self.choose_component, None, component, **QUIET)
        self.save_button.click(
            self.draw, [model, text, *component], self.picture, concurrency_limit=4, **QUIET
        ).then(None, self.picture, js=_SAVE, api_visibility="private")
        self.write_button.click(
            self.write_clamped,
            [model, self.prompt, *component, self.value],
            self.texts,
            concurrency_limit=4,
            **QUIET,
        )

    def choose_first(self, model: str, kind: str) -> list[Any]:
        """Chooses the first component of another model, of the same kind where it has that."""
        kinds = self._inspector.kinds(model)
        return [1, 0, gr.update(choices=kinds, value=kind if kind in kinds else kinds[0]), ""]

    def colour(self, model: str, text: str, *component: Any) -> list[str]:
        """Shows the text coloured by the component, and the range of its values."""
        if not text:
            return [html.note("Type a text above."), ""]
        try:
            glyphs, title = self._inspector.coloured(model, text, self._component(model, *component))
        except ChargenError as error:
            return [html.error_note(error), ""]
        return [html.coloured(glyphs), html.note(title)]

    def draw(self, model: str, text: str, *component: Any) -> str:
        """Returns the coloured text as SVG, "" where `colour` shows an error."""
        try:
            glyphs, title = self._inspector.coloured(model, text, self._component(model, *component))
        except ChargenError:
            return ""
        return svg(glyphs, title)

    def find_components(self, model: str, text: str) -> str:
        """Lists the components that track something in the text."""
        try:
            return html.component_list(self._inspector.components(model, text))
        except ChargenError as error:
            return html.error_note(error)

    def choose_component(self, event: gr.EventData) -> list[Any]:
        """Chooses the component that a visitor has clicked on in the list."""
        layer, kind, index = str(event.text).split(":")
        return [int(layer), int(index), kind]

    def write_clamped(
        self,
        model: str,
        prompt: str,
        layer: float | None,
        index: float | None,
        kind: str,
        value: float,
    ) -> str:
        """Writes after the prompt freely, and with the component clamped at `value`."""
        seed = seed_or_new(None)
        try:
            component = self._component(model, layer, index, kind)
            prompt, free, clamped = self._inspector.clamped(
                model, prompt, component, value, _REQUEST, seed
            )
        except ChargenError as error:
            return html.error_note(error)
        titles = ["free", f"cell {component.index} of layer {component.layer} fixed at {value:g}"]
        sheets = html.sheets(titles, prompt, [free, clamped])
        return sheets + html.note(f"The same random numbers for both: seed {seed}")

    def _component(
        self, model: str, layer: float | None, index: float | None, kind: str
    ) -> StateComponent:
        """Returns what is in the fields; raises ChargenError where one of them is empty."""
        if layer is None or index is None:
            config = self._inspector.config(model)
            layers = {1: "1", 2: "1 or 2"}.get(config.num_layers, f"1 to {config.num_layers}")
            what = f"layer ({layers})" if layer is None else f"cell (0 to {config.hidden_size - 1})"
            raise ChargenError(f"enter a {what}")
        return StateComponent(int(layer), int(index), kind)
