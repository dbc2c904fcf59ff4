"""The part of the tab that colours a text by one cell, finds cells, and writes with one fixed."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import Any

from chargen.errors import ChargenError
from chargen.rendering.colouring import svg
from chargen.shapes import StateComponent
from chargen.web import html
from chargen.web.generation import GenerationRequest, seed_or_new
from chargen.web.gradio_setup import LATEST, UNCHECKED, gr
from chargen.web.inspector import Inspector
from chargen.web.labels import quoted
from chargen.web.numbers import integer, number
from chargen.web.scripts import SELECT_ON_CLICK, download

_REQUEST = GenerationRequest(length=400, temperature=0.7)
_SAVE = download("input", name="chargen.svg", mime="image/svg+xml")
_LARGEST = 1000.0  # value that a cell can be fixed at; in a reading it stays far below


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
        self.own_prompt = gr.Textbox("", visible=False)  # the one that was suggested last
        with gr.Row():
            self.prompt = gr.Textbox(
                label="Prompt",
                info="Continued twice: freely, and with this cell fixed.",
                elem_id="held-prompt",
                elem_classes="mono",
            )
            self.value = gr.Slider(
                -1,
                1,
                value=1,
                step=0.05,
                label="Value",
                info="What the cell is fixed at, within what it had in the text.",
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
            self.layer = gr.Number(1, label="Layer", elem_id="layer", min_width=80)
            self.index = gr.Number(0, label="Cell", elem_id="component", min_width=80)
            self.kind = gr.Dropdown(
                ["cell"], value="cell", label="Signal", elem_id="kind", min_width=110
            )
        self.find_button = gr.Button("Find cells that track something", elem_id="find")
        self.components = gr.HTML(js_on_load=SELECT_ON_CLICK, elem_id="followers")

    def _connect(self, page: gr.Blocks, model: gr.Dropdown, text: gr.Textbox) -> None:
        component: list[Any] = [self.layer, self.index, self.kind]
        colour: dict[str, Any] = {
            "fn": self.colour,
            "inputs": [model, text, self.value, *component],
            "outputs": [self.coloured, self.message, self.value],
            "concurrency_limit": 4,
            **LATEST,
        }
        for widget in (text, *component):
            widget.change(**colour)
        for event in (model.change, page.load):
            event(
                self.choose_first,
                [model, self.kind, self.prompt, self.own_prompt],
                [*component, self.components, self.prompt, self.own_prompt],
                **UNCHECKED,
            ).then(**colour)
        self.find_button.click(
            self.find_components, [model, text], self.components, concurrency_limit=4, **UNCHECKED
        )
        self.components.select(
            self.choose_component, None, component, trigger_mode="multiple", **UNCHECKED
        )
        self.save_button.click(
            self.draw, [model, text, *component], self.picture, concurrency_limit=4, **UNCHECKED
        ).then(None, self.picture, js=_SAVE, api_visibility="private")
        self.write_button.click(
            self.write_clamped,
            [model, self.prompt, *component, self.value],
            self.texts,
            concurrency_limit=4,
            **UNCHECKED,
        )

    def choose_first(self, model: str, kind: str, prompt: str, suggested: str) -> list[Any]:
        """Chooses the first component of another model, of the same kind where it has that.

        The prompt becomes one that the model can read, unless a visitor has typed one.
        """
        try:
            kinds, own = self._inspector.kinds(model), self._inspector.prompt(model)
        except ChargenError:  # a model that is gone, which `colour` says
            return [gr.update()] * 6
        kind_menu = gr.update(choices=kinds, value=kind if kind in kinds else kinds[0])
        return [1, 0, kind_menu, "", own if (prompt or "") in ("", suggested) else gr.update(), own]

    def colour(self, model: str, text: str, value: Any, *component: Any) -> list[Any]:
        """Shows the text coloured by the component, its values, and the slider over their range."""
        if not text:
            return [html.note("Type a text above."), "", gr.update()]
        try:
            state = self._inspector.coloured(model, text, self._component(model, *component))
        except ChargenError as error:
            return [html.error_note(error), "", gr.update()]
        legend = html.legend([("cool", "below 0"), ("warm", "above 0")])
        return [
            html.coloured(state.glyphs),
            html.note(state.title) + legend,
            _slider(state.least, state.greatest, value),
        ]

    def draw(self, model: str, text: str, *component: Any) -> str:
        """Returns the coloured text as SVG, "" where `colour` shows an error."""
        try:
            state = self._inspector.coloured(model, text, self._component(model, *component))
        except ChargenError:
            return ""
        return svg(state.glyphs, state.title)

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
        layer: Any,
        index: Any,
        kind: str,
        value: Any,
    ) -> str:
        """Writes after the prompt freely, and with the component clamped at `value`."""
        seed = seed_or_new(None)
        try:
            component = self._component(model, layer, index, kind)
            value = number(value, quoted("value"), -_LARGEST, _LARGEST)
            prompt, free, clamped = self._inspector.clamped(
                model, prompt, component, value, _REQUEST, seed
            )
        except ChargenError as error:
            return html.error_note(error)
        titles = ["free", f"cell {component.index} of layer {component.layer} fixed at {value:g}"]
        sheets = html.sheets(titles, prompt, [free, clamped])
        return sheets + html.note(f"The same random numbers for both: seed {seed}")

    def _component(self, model: str, layer: Any, index: Any, kind: str) -> StateComponent:
        """Returns what is in the fields; raises ChargenError for what the model does not have."""
        config = self._inspector.config(model)
        return StateComponent(
            integer(layer, quoted("layer"), 1, config.num_layers),
            integer(index, quoted("component"), 0, config.hidden_size - 1),
            kind,
        )


def _slider(least: float, greatest: float, value: Any) -> Any:
    """Returns an update of the slider to a range of values; its own value stays where it is in it."""
    step = 10.0 ** floor(log10(max(1e-3, greatest - least) / 20))
    low, high = floor(least / step) * step, ceil(greatest / step) * step
    stays = isinstance(value, int | float) and low <= value <= high
    low, high = round(low, 6), round(high, 6)
    value = value if stays else high
    return gr.update(minimum=low, maximum=high, step=round(step, 6), value=value)
