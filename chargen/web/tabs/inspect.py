"""The tab to look inside with: a model and a text that it reads, and three ways to look at it."""

from __future__ import annotations

from typing import Any

from chargen.web.gradio_setup import gr
from chargen.web.inspector import LONGEST, Inspector
from chargen.web.model_store import GENERATOR, STARTER
from chargen.web.tabs import gradients as reach
from chargen.web.tabs import state, surprise

_EXAMPLE = (
    'The function returns a lsit of the names of all (local) variables. If "key" is not\n'
    'found, a "KeyError" is raised:\n\n   def __getitem__(self, key):\n       return self.data[key]\n'
)


def build(page: gr.Blocks, inspector: Inspector) -> None:
    """Puts the tab together."""
    names = inspector.store.names(GENERATOR)
    model = gr.Dropdown(
        names,
        value=names[0],
        label="Model",
        info="Those that you trained, and the starter, which has read Python's manual.",
        elem_id="inside-model",
    )
    text = gr.Textbox(
        value=_EXAMPLE,
        label="Text",
        info=f"What the model reads, at most {LONGEST:,} characters; looked at as you type.",
        lines=6,
        max_lines=12,
        elem_id="inside-text",
        elem_classes="mono",
    )
    offered = gr.State(_EXAMPLE)
    with gr.Tabs():
        with gr.Tab("Surprise") as first:
            surprise.build(page, inspector, model, text)
        with gr.Tab("State") as second:
            state.build(page, inspector, model, text)
        with gr.Tab("Reach") as third:
            models = reach.build(inspector)

    def offer(name: str, given: str, example: str) -> list[Any]:
        """Another model, other examples; what a visitor has typed stays."""
        other = _EXAMPLE if name == STARTER else inspector.sample(name)
        return [other if given in ("", example) else gr.update(), other]

    def menus() -> list[Any]:
        names = inspector.store.names(GENERATOR)
        return [gr.update(choices=names, value=names[0]), gr.update(choices=names, value=names[:1])]

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    model.change(offer, [model, text, offered], [text, offered], **quiet)
    loaded = page.load(menus, None, [model, models], **quiet)
    loaded.then(offer, [model, text, offered], [text, offered], **quiet)
    for part, needed in ((first, True), (second, True), (third, False)):
        part.select(
            lambda needed=needed: [gr.update(visible=needed)] * 2, None, [model, text], **quiet
        )
