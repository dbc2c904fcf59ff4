"""How far back models can learn from: three cells trained meanwhile, or models that are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chargen.errors import ChargenError
from chargen.inspection.gradients import GradientReach
from chargen.web import html as drawing
from chargen.web.gradio_setup import gr
from chargen.web.inspector import Inspector
from chargen.web.model_store import GENERATOR

COMPARED = 50  # characters back, at which the cells are compared in words
_WHY = (
    "How strongly the loss at one character depends on a character some places before it. In a simple "
    "recurrent network this shrinks by a factor at every step back, so that it cannot learn what is "
    "far apart; the gates of GRU and LSTM let it pass."
)
_LEARNS = "How far back it can learn from: the norm of the gradient"
_REMEMBERS = "How far back it remembers: bits by which another character there changes what it expects"


def build(inspector: Inspector) -> gr.Dropdown:
    """Puts this part of the tab together; returns the menu of models."""
    gr.HTML(drawing.note(_WHY))
    with gr.Row(elem_classes="buttons"):
        cells = gr.Button(
            "Train an rnn, a gru and an lstm, ten seconds each",
            variant="primary",
            elem_id="compare-cells",
            elem_classes="does",
        )
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop-cells")
    with gr.Row():
        models = gr.Dropdown(
            inspector.store.names(GENERATOR),
            multiselect=True,
            label="Or models that are there",
            info="Measured on text that each of them writes.",
            elem_id="reach-models",
        )
        measure = gr.Button("Measure", elem_id="measure", min_width=120)
    told = gr.HTML(elem_id="reach-told")
    gradient = gr.HTML(elem_id="gradient")
    change = gr.HTML(elem_id="change")
    shown = [told, gradient, change, stop]

    def given(chosen: list[str]) -> Iterator[dict[Any, Any]]:
        yield {told: drawing.note("Measuring …")}
        try:
            yield drawn(inspector.reach(chosen), "")
        except ChargenError as error:
            yield {told: drawing.note(str(error), bad=True)}

    def train_cells() -> Iterator[dict[Any, Any]]:
        try:
            for seconds, found in inspector.compare_cells():
                said = f"Three small models are being trained … {seconds:.0f} seconds"
                yield {told: drawing.note(said), stop: gr.update(visible=True)}
                if found:
                    yield drawn(found, _compared(found))
        except ChargenError as error:
            yield {told: drawing.note(str(error), bad=True), stop: gr.update(visible=False)}

    def drawn(found: dict[str, GradientReach], words: str) -> dict[Any, Any]:
        learns = {name: list(enumerate(one.gradient.tolist(), 1)) for name, one in found.items()}
        remembers = {
            name: list(zip(one.distances, one.change.tolist(), strict=True))
            for name, one in found.items()
        }
        return {
            told: drawing.note(words),
            gradient: drawing.decay(learns, _LEARNS),
            change: drawing.decay(remembers, _REMEMBERS),
            stop: gr.update(visible=False),
        }

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    running = cells.click(train_cells, None, shown, concurrency_limit=1, **quiet)
    halted = stop.click(None, cancels=[running], **quiet)
    halted.then(
        lambda: [drawing.note("stopped"), gr.update(visible=False)], None, [told, stop], **quiet
    )
    measure.click(given, models, shown, concurrency_limit=2, **quiet)
    return models


def _compared(found: dict[str, GradientReach]) -> str:
    simple, gated = (found[cell].gradient[COMPARED - 1] for cell in ("rnn", "lstm"))
    times = gated / max(simple, 1e-300)
    return (
        f"At {COMPARED} characters back, the gradient of the lstm is {times:,.3g} times that of the "
        "rnn."
    )
