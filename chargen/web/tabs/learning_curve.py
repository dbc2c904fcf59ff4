"""The part of the tab that trains on shares of the texts, to see whether more texts would help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import chargen
from chargen.errors import ChargenError
from chargen.evaluation.classes import ClassScore
from chargen.experiments import SHARES, learning_curve, more_texts_help
from chargen.rendering.describe import more_texts
from chargen.web import html, judging
from chargen.web.apart import run_apart
from chargen.web.gradio_setup import QUIET, gr

_WHY = (
    "Three classifiers are trained, on 10, 30 and 100 % of the texts. If the last step still gains, "
    "more texts would help. None of the three is saved."
)
Rows = list[tuple[int, ClassScore]]  # texts, and the score of the classifier that learned them


class LearningCurvePart:
    """The widgets of this part, and what happens when they are used."""

    def __init__(self, texts: Callable[..., chargen.Labelled], inputs: list[Any]) -> None:
        """Lays the part out in the block that is open; `texts` gets the values of `inputs`."""
        self._texts = texts
        with gr.Accordion("Would more texts help?", open=False, elem_id="more-texts"):
            gr.HTML(html.note(_WHY))
            with gr.Row(elem_classes="buttons"):
                self.button = gr.Button("Draw the learning curve", elem_id="draw-curve")
                self.stop_button = gr.Button(
                    "Stop", variant="stop", visible=False, elem_id="stop-curve"
                )
            self.message = gr.HTML(elem_id="curve-told")
            self.table = gr.HTML(elem_id="learning-curve")
        outputs = [self.message, self.table, self.stop_button]
        measuring = self.button.click(self.measure, inputs, outputs, concurrency_limit=1, **QUIET)
        self.stop_button.click(None, cancels=[measuring], **QUIET).then(
            self.show_stopped, None, outputs, **QUIET
        )

    def measure(self, *values: Any) -> Iterator[dict[Any, Any]]:
        """Trains on each share, says for how long, and shows the scores."""
        try:
            texts = self._texts(*values)
            for seconds, rows in run_apart(lambda check: _train(texts, check)):
                message = html.note(f"Training three classifiers … {seconds:.0f} seconds")
                yield {self.message: message, self.stop_button: gr.update(visible=True)}
                if rows:
                    yield self._show(rows)
        except ChargenError as error:
            yield {self.message: html.error_note(error), self.stop_button: gr.update(visible=False)}

    def show_stopped(self) -> dict[Any, Any]:
        """Says that the trainings were stopped."""
        return {self.message: html.note("Stopped."), self.stop_button: gr.update(visible=False)}

    def _show(self, rows: Rows) -> dict[Any, Any]:
        (_, smaller), (_, larger) = rows[-2:]
        gain = larger.accuracy - smaller.accuracy
        verdict = more_texts(more_texts_help(smaller, larger), len(larger.labels), SHARES[-2], gain)
        return {
            self.message: html.note(verdict[0].upper() + verdict[1:] + "."),
            self.table: judging.curve(
                [
                    (share, texts, score.accuracy, score.macro_f1)
                    for share, (texts, score) in zip(SHARES, rows, strict=True)
                ]
            ),
            self.stop_button: gr.update(visible=False),
        }


def _train(texts: chargen.Labelled, check: Callable[[], None]) -> Rows:
    """Returns how many texts each share has, and the score of the classifier that learned them."""
    rows: Rows = []
    for part, _, steps in learning_curve(texts, chargen.TextClassifier.new):
        for step in steps:
            check()
            if step.score:
                score = step.score
        rows.append((len(part), score))
    return rows
