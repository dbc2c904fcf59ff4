"""The tab to classify with: texts as they are typed, what mattered, and training on a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chargen
from chargen.data.labelled import languages
from chargen.errors import ChargenError
from chargen.evaluation.classes import answer
from chargen.web import charts, html, judging, uploads
from chargen.web.classification import classify, held_out
from chargen.web.gradio_setup import LATEST, QUIET, UNCHECKED, gr
from chargen.web.labels import BASELINES, LABELS, UNSEEN, quoted
from chargen.web.model_store import CLASSIFIER, ModelStore
from chargen.web.names import name_for
from chargen.web.numbers import number
from chargen.web.tabs.encoding_menu import HIDDEN, encoding_menu, find_encoding, in_encoding
from chargen.web.tabs.learning_curve import LearningCurvePart
from chargen.web.tabs.training_status import (
    StopButton,
    UnfinishedMenu,
    start_label,
    status_html,
    visitor,
)
from chargen.web.training_job import (
    MAX_MINUTES,
    MIN_MINUTES,
    JobStatus,
    Starter,
    TrainingJob,
    start_classifier,
)

_BUILTIN, _UPLOAD = "Sentences in 16 languages", "Upload a table"
_LISTED = 8  # classes of a table
_MEASURING = "Classifying the held-out texts …"


class ClassifyTab:
    """The widgets of the tab, and what happens when they are used."""

    def __init__(self, job: TrainingJob, store: ModelStore, timer: gr.Timer) -> None:
        """Lays the tab out in the block that is open, and connects it.

        `timer` ticks while something is training.
        """
        self._job, self._store = job, store
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                self._lay_out_classifying()
            with gr.Column(scale=6, min_width=320):
                self._lay_out_training()
        self.outputs = [
            self.status,
            self.details,
            self.curves,
            self.confusion,
            self.judged,
            *self.stopping.outputs,
            *self.unfinished.outputs,
            self.start_button,
            self.no_classifier,
            self.classifying,
            self.model,
        ]
        self._connect(timer)

    def _lay_out_classifying(self) -> None:
        names = self._store.names(CLASSIFIER)
        self.no_classifier = gr.HTML(
            html.empty_sheet("There is no classifier yet. Train one here in less than a minute."),
            visible=not names,
            elem_id="no-classifier",
        )
        with gr.Column(visible=bool(names)) as self.classifying:
            self.model = gr.Dropdown(
                names,
                value=names[0] if names else None,
                label="Classifier",
                info="Your own classifiers, newest first.",
                elem_id="classifier",
            )
            with gr.Row():
                self.text = gr.Textbox(
                    label="Text",
                    info="Classified as you type.",
                    lines=3,
                    max_lines=10,
                    scale=3,
                    min_width=220,
                    elem_id="to-judge",
                )
                self.at_least = gr.Number(
                    value=0,
                    label=LABELS["at_least"],
                    info="0 always answers.",
                    scale=1,
                    min_width=140,
                    elem_id="at-least",
                )
            self.classes = gr.HTML(elem_id="judged")
            self.weights = gr.HTML(elem_id="coloured")
            with gr.Accordion(
                "How it does on texts it has never seen", open=False, elem_id="how-it-does"
            ) as self.how_it_does:
                self.measured = gr.HTML(html.note(_MEASURING), elem_id="measured")

    def _lay_out_training(self) -> None:
        self.source = gr.Radio(
            [_BUILTIN, _UPLOAD],
            value=_BUILTIN,
            label="Training texts",
            info="Short sentences that come with chargen, or your own table with a text and its class "
            "in each row.",
            elem_id="table-source",
        )
        self.upload = gr.File(
            label="A table: CSV, TSV or JSON Lines, at most 20 MB",
            file_types=[".csv", ".tsv", ".jsonl", ".txt"],
            type="filepath",
            visible=False,
            elem_id="table",
        )
        self.encoding = encoding_menu("table-encoding")
        self.summary = gr.HTML(elem_id="table-found")
        self.skip = gr.Checkbox(label=LABELS["skip_bad_rows"], visible=False, elem_id="skip-bad-rows")
        with gr.Row():
            self.name = gr.Textbox(
                label="Name",
                info="The name of the new classifier.",
                value="languages",
                max_length=60,
                elem_id="classifier-name",
            )
            self.minutes = gr.Number(
                value=0.6,
                label="Minutes",
                info="More of them make it better.",
                elem_id="classifier-minutes",
            )
        self.refusal = gr.HTML(elem_id="classifier-refused")
        self.start_button = gr.Button(
            "Train", variant="primary", elem_id="train-classifier", elem_classes="primary-action"
        )
        self.status = gr.HTML(elem_id="classifier-status")
        self.details = gr.HTML(elem_id="classifier-plan")
        self.stopping = StopButton("stop-classifier")
        self.unfinished = UnfinishedMenu(self._job, "classifier", "-classifier")
        self.curves = gr.HTML(elem_id="classifier-curve")
        self.confusion = gr.HTML(elem_id="confusion")
        self.judged = gr.HTML(elem_id="held-out")
        LearningCurvePart(_texts, [self.source, self.upload, self.encoding, self.skip])

    def _connect(self, timer: gr.Timer) -> None:
        outputs, table = [*self.outputs, timer], [self.upload, self.encoding, self.skip]
        described = [self.summary, self.skip]
        for widget in (self.text, self.model, self.at_least):
            widget.change(
                self.classify,
                [self.text, self.model, self.at_least],
                [self.classes, self.weights],
                concurrency_limit=4,
                **LATEST,
            )
        measured = [self.how_it_does, self.measured]
        self.model.change(
            lambda: [gr.update(open=False), html.note(_MEASURING)], None, measured, **QUIET
        )
        self.how_it_does.expand(
            self.measure, self.model, self.measured, concurrency_limit=1, **UNCHECKED
        )
        self.source.change(
            self.choose_source,
            [self.source, self.upload],
            [self.upload, self.name, self.minutes, self.encoding, *described],
            **QUIET,
        )
        self.upload.change(
            self.describe_upload, self.upload, [self.name, self.encoding, *described], **QUIET
        )
        for control in (self.encoding, self.skip):
            control.input(self.describe_again, table, described, **QUIET)
        self.start_button.click(
            self.start,
            [self.source, *table, self.name, self.minutes],
            [self.refusal, *outputs],
            **QUIET,
        )
        self.unfinished.connect(self._shown, [self.refusal, *outputs])
        self.stopping.connect(self._job, self.stop, outputs)

    def classify(self, text: str, name: str | None, at_least: Any) -> list[str]:
        """Shows the probability of each class, and which characters mattered.

        Where no class has `at_least` percent, the answer is that it is unknown.
        """
        if not name or not (text or "").strip():
            return ["", ""]
        try:
            at_least = number(at_least, quoted("at_least"), 0, 100)
            classes, weights = classify(self._store, name, text)
        except ChargenError as error:
            return [html.error_note(error), ""]
        bars = html.bars(classes, "Probability of each class", clickable=False, names=True)
        if answer(classes, at_least / 100) is None:
            bars = html.verdict("unknown", f"no class has {at_least:g} % or more") + bars
        if not weights:
            return [bars, ""]
        likeliest = next(iter(classes))
        legend = html.legend([("cool", f"speaks for {likeliest}"), ("warm", "speaks against it")])
        return [bars, legend + html.weighted_text(weights)]

    def measure(self, name: str | None) -> str:
        """Shows what the held-out texts of the chosen classifier say of it."""
        if not name:
            return ""
        try:
            texts = held_out(self._store, name)
            score = self._store.classifier(name).evaluate(texts)
        except ChargenError as error:
            return html.error_note(error)
        figures = [("held-out texts", f"{len(texts):,}"), ("correct", f"{score.accuracy:.1%}")]
        return html.facts(figures) + judging.sections(*judging.judged(score, texts))

    def choose_source(self, source: str, path: str | None) -> list[Any]:
        """Shows the field for a table, and suggests a name and a time."""
        builtin = source == _BUILTIN
        name = "languages" if builtin else name_for(path) if path else "my classes"
        described = [gr.update(**HIDDEN), "", gr.update(visible=False)]
        if not builtin:
            described = self.describe_upload(path)[1:]
        return [gr.update(visible=not builtin), name, 0.6 if builtin else 5, *described]

    def describe_upload(self, path: str | None) -> list[Any]:
        """Suggests a name and an encoding for the table, and shows what is in it."""
        menu, summary = find_encoding(path, _describe)
        return [name_for(path) if path else gr.update(), menu, *_with_box(path, summary)]

    def describe_again(self, path: str | None, encoding: str, skip: bool) -> list[Any]:
        """Shows what is in the table in another encoding, with bad rows or without them."""
        summary = in_encoding(
            path, encoding, lambda path, encoding: _describe(path, encoding, bool(skip))
        )
        return [summary, gr.update()] if skip else _with_box(path, summary)

    def start(
        self,
        source: str,
        path: str | None,
        encoding: str,
        skip: bool,
        name: str,
        minutes: Any,
        request: gr.Request,
    ) -> list[Any]:
        """Starts the training, or says beside the button why not."""
        try:
            _texts(source, path, encoding, skip)  # whether the table is one
            table = uploads.read_text(path, encoding) if path and source == _UPLOAD else None
            minutes = number(minutes, quoted("minutes"), MIN_MINUTES, MAX_MINUTES)
            name = self._job.free_name(name)
            suffix = Path(path or "").suffix
            start_classifier(self._job, table, name, minutes, suffix, bool(skip), visitor(request))
        except ChargenError as error:
            return [html.error_note(error), *self._shown(request)]
        return ["", *self._shown(request)]

    def stop(self, request: gr.Request) -> list[Any]:
        """Stops the training."""
        self._job.stop()
        return self._shown(request)

    def _shown(self, request: gr.Request) -> list[Any]:
        status = self._job.status
        return [*self.show(status, visitor(request)), gr.Timer(active=status.busy)]

    def show(self, status: JobStatus, you: Starter) -> list[Any]:
        """Returns the values of `outputs`, for a visitor: how the training goes, the classifiers."""
        names = self._store.names(CLASSIFIER)
        own = status if status.kind == "classifier" else JobStatus()
        choice: dict[str, Any] = {} if names else {"value": None}
        if own.state in ("finished", "stopped") and own.name in names:
            choice = {"value": own.name}
        return [
            _status(own, status, you),
            html.details(own.model) if own.model else "",
            _curves(own),
            charts.confusion_matrix(own.classes, own.confusion) if own.confusion else "",
            # Each evaluation would close a section that is open.
            "" if own.busy else judging.sections(own.by_length, own.mistakes),
            *self.stopping.show(own.busy),
            *self.unfinished.show(status, self.unfinished.offered(status)),
            start_label(status),
            gr.update(visible=not names),
            gr.update(visible=bool(names)),
            gr.update(choices=names, **choice),
        ]


def _texts(source: str, path: str | None, encoding: str, skip: bool) -> chargen.Labelled:
    """Returns the texts that a visitor has chosen; raises ChargenError if there are none."""
    if source == _BUILTIN:
        return chargen.Labelled.open(languages())
    if not path:
        raise ChargenError("there is no table yet; choose one above")
    return uploads.read_table(path, encoding, bool(skip))


def _describe(path: str, encoding: str, skip: bool = False) -> str:
    return describe(uploads.read_table(path, encoding, skip))


def _with_box(path: str | None, summary: str) -> list[Any]:
    """Returns a summary, and the box for bad rows where it says that the table has some."""
    return [summary, gr.update(value=False, visible=quoted("skip_bad_rows") in summary)]


def describe(data: chargen.Labelled) -> str:
    """Renders what is in a table."""
    counts = data.counts()
    listed = ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:_LISTED])
    more = f", … {len(counts) - _LISTED} more" if len(counts) > _LISTED else ""
    figures = [("texts", f"{len(data):,}"), ("classes", f"{len(counts):,}")]
    return html.facts(figures) + "".join(map(html.note, [listed + more, *data.notes]))


def _status(own: JobStatus, any_kind: JobStatus, you: Starter) -> str:
    """Renders the status of a classifier's training; `any_kind` may be that of a generator's."""
    if own.state == "idle":
        if not any_kind.busy:
            return html.note("")
        begun = any_kind.starter.seen_by(you)
        return html.note(f"“{any_kind.name}” is training in the tab Train, {begun}.")
    sentences = {
        "preparing": f"“{own.name}”: reading the texts …",
        "finished": f"“{own.name}” has finished training. Type a text to classify it.",
    }
    figures = [("correct, on texts it has never seen", f"{share:.1%}") for _, share in own.scores[-1:]]
    return status_html(own, you, sentences, figures)


def _curves(status: JobStatus) -> str:
    if len(status.scores) < 2:
        return ""
    scores = [(seconds, 100 * share) for seconds, share in status.scores]
    baselines = {BASELINES.get(name, name): 100 * share for name, share in status.baselines.items()}
    return charts.training_curves((), scores, baselines, "% correct", ("", UNSEEN), highest=100)
