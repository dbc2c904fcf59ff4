"""The tab to look inside a model: a text that it reads, and three ways to look at it."""

from __future__ import annotations

from typing import Any

from chargen.errors import ChargenError
from chargen.web.gradio_setup import QUIET, UNCHECKED, gr
from chargen.web.inspector import MAX_TEXT, Inspector
from chargen.web.model_store import GENERATOR, STARTER
from chargen.web.tabs.gradients import GradientsPart
from chargen.web.tabs.state import StatePart
from chargen.web.tabs.surprise import SurprisePart

_EXAMPLE = (
    'The function returns a lsit of the names of all (local) variables. If "key" is not\n'
    'found, a "KeyError" is raised:\n\n   def __getitem__(self, key):\n       return self.data[key]\n'
)


class InspectTab:
    """The widgets of the tab, and what happens when they are used."""

    def __init__(self, page: gr.Blocks, inspector: Inspector) -> None:
        """Lays the tab out in the block that is open, and connects it."""
        self._inspector = inspector
        names = inspector.store.names(GENERATOR)
        self.model = gr.Dropdown(
            names,
            value=names[0],
            label="Model",
            info="Your own models, newest first, and one that read Python's manual.",
            elem_id="inside-model",
        )
        self.text = gr.Textbox(
            value=_EXAMPLE,
            label="Text",
            info=f"The model reads it as you type, at most {MAX_TEXT:,} characters.",
            lines=6,
            max_lines=12,
            elem_id="inside-text",
            elem_classes="mono",
        )
        example = gr.Textbox(_EXAMPLE, visible=False)  # the one that was shown last
        with gr.Tabs():
            with gr.Tab("Surprise") as surprise:
                SurprisePart(page, inspector, self.model, self.text)
            with gr.Tab("State") as state:
                StatePart(page, inspector, self.model, self.text)
            with gr.Tab("Gradients") as gradients:
                self.compared = GradientsPart(inspector).models
        self.example: dict[str, Any] = {
            "fn": self.show_example,
            "inputs": [self.model, self.text, example],
            "outputs": [self.text, example],
            **UNCHECKED,
        }
        self.model.change(**self.example)
        for part, uses_text in ((surprise, True), (state, True), (gradients, False)):
            part.select(
                lambda uses_text=uses_text: [gr.update(visible=uses_text)] * 2,
                None,
                [self.model, self.text],
                **QUIET,
            )

    def show_example(self, model: str, text: str, example: str) -> list[Any]:
        """Replaces the example by one for another model, unless a visitor has typed a text."""
        try:
            new = _EXAMPLE if model == STARTER else self._inspector.example(model)
        except ChargenError:  # a model that is gone, which the parts say
            return [gr.update(), example]
        return [new if text in ("", example) else gr.update(), new]
