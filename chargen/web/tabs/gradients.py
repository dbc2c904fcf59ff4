"""The part of the tab that measures how far back models can learn from: three cells, or your own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chargen.errors import ChargenError
from chargen.inspection.gradients import GradientReach
from chargen.web import charts, html
from chargen.web.gradio_setup import QUIET, UNCHECKED, gr
from chargen.web.inspector import Inspector
from chargen.web.model_store import GENERATOR

COMPARED_DISTANCE = 50  # characters back
_WHY = (
    "How strongly does the loss at one character depend on an earlier one? In a simple recurrent "
    "network this shrinks by a factor at every step back, so that it cannot learn how distant "
    "characters belong together. The gates of GRU and LSTM let it pass."
)
_GRADIENT_TITLE = "How far back it can learn from: the norm of the gradient"
_CHANGE_TITLE = "How far back it remembers: bits by which another character changes the prediction"


class GradientsPart:
    """The widgets of this part, and what happens when they are used."""

    def __init__(self, inspector: Inspector) -> None:
        """Lays the part out in the block that is open, and connects it."""
        self._inspector = inspector
        gr.HTML(html.note(_WHY))
        with gr.Row(elem_classes="buttons"):
            self.cells_button = gr.Button(
                "Train an RNN, a GRU and an LSTM for ten seconds each",
                variant="primary",
                elem_id="compare-cells",
                elem_classes="primary-action",
            )
            self.stop_button = gr.Button("Stop", variant="stop", visible=False, elem_id="stop-cells")
        with gr.Row():
            self.models = gr.Dropdown(
                inspector.store.names(GENERATOR),
                multiselect=True,
                label="Or compare your models",
                info="Measured on text that each of them writes.",
                elem_id="reach-models",
            )
            self.measure_button = gr.Button("Measure", elem_id="measure", min_width=120)
        self.message = gr.HTML(elem_id="reach-told")
        self.gradient = gr.HTML(elem_id="gradient")
        self.change = gr.HTML(elem_id="change")
        self._connect()

    def _connect(self) -> None:
        outputs = [self.message, self.gradient, self.change, self.stop_button]
        training = self.cells_button.click(
            self.compare_cells, None, outputs, concurrency_limit=1, **QUIET
        )
        self.stop_button.click(None, cancels=[training], **QUIET).then(
            self.show_stopped, None, outputs, **QUIET
        )
        self.measure_button.click(
            self.compare_models, self.models, outputs, concurrency_limit=2, **UNCHECKED
        )

    def compare_models(self, models: list[str]) -> Iterator[dict[Any, Any]]:
        """Measures the chosen models."""
        yield {self.message: html.note("Measuring …")}
        try:
            yield self._show(self._inspector.gradients(models), "")
        except ChargenError as error:
            yield {self.message: html.error_note(error)}

    def compare_cells(self) -> Iterator[dict[Any, Any]]:
        """Trains the three cells, says for how long, and measures them."""
        try:
            for seconds, gradients in self._inspector.compare_cells():
                message = f"Training three small models … {seconds:.0f} seconds"
                yield {self.message: html.note(message), self.stop_button: gr.update(visible=True)}
                if gradients:
                    yield self._show(gradients, _compared(gradients))
        except ChargenError as error:
            yield {self.message: html.error_note(error), self.stop_button: gr.update(visible=False)}

    def show_stopped(self) -> dict[Any, Any]:
        """Says that the training was stopped."""
        return {self.message: html.note("Stopped."), self.stop_button: gr.update(visible=False)}

    def _show(self, results: dict[str, GradientReach], message: str) -> dict[Any, Any]:
        gradients = {name: list(enumerate(r.gradient.tolist(), 1)) for name, r in results.items()}
        changes = {
            name: list(zip(r.distances, r.change.tolist(), strict=True)) for name, r in results.items()
        }
        return {
            self.message: html.note(message),
            self.gradient: charts.decay_curves(gradients, _GRADIENT_TITLE),
            self.change: charts.decay_curves(changes, _CHANGE_TITLE),
            self.stop_button: gr.update(visible=False),
        }


def _compared(results: dict[str, GradientReach]) -> str:
    simple, gated = (results[cell].gradient[COMPARED_DISTANCE - 1] for cell in ("rnn", "lstm"))
    ratio = gated / max(simple, 1e-300)
    return (
        f"At {COMPARED_DISTANCE} characters back, the gradient of the LSTM is {ratio:,.3g} times that "
        "of the RNN."
    )
