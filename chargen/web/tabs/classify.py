"""The tab to classify with: texts as they are typed, what mattered, and training on a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chargen
from chargen.errors import ChargenError
from chargen.web import html, uploads
from chargen.web.classification import classify
from chargen.web.gradio_setup import LATEST, QUIET, gr
from chargen.web.labels import BASELINES, UNSEEN
from chargen.web.model_store import CLASSIFIER, ModelStore
from chargen.web.tabs.training_status import status_html
from chargen.web.training_job import MAX_MINUTES, JobStatus, TrainingJob, safe_name, start_classifier

_BUILTIN, _UPLOAD = "Sentences in 16 languages", "Upload a table"
_LISTED = 8  # classes of a table


class ClassifyTab:
    """The widgets of the tab, and what happens when they are used."""

    def __init__(self, page: gr.Blocks, job: TrainingJob, store: ModelStore) -> None:
        """Lays the tab out in the block that is open, and connects it."""
        self._job, self._store = job, store
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                self._lay_out_classifying()
            with gr.Column(scale=6, min_width=320):
                self._lay_out_training()
        self.timer = gr.Timer(1.0, active=job.status.busy)
        self._connect(page)

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
            self.text = gr.Textbox(
                label="Text",
                info="Classified as you type.",
                lines=3,
                max_lines=10,
                elem_id="to-judge",
            )
            self.classes = gr.HTML(elem_id="judged")
            self.weights = gr.HTML(elem_id="coloured")

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
        self.summary = gr.HTML(elem_id="table-found")
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
                minimum=0.05,
                maximum=MAX_MINUTES,
                label="Minutes",
                info="More of them make it better.",
                elem_id="classifier-minutes",
            )
        with gr.Row(elem_classes="buttons"):
            self.start_button = gr.Button(
                "Train", variant="primary", elem_id="train-classifier", elem_classes="primary-action"
            )
            self.stop_button = gr.Button(
                "Stop and keep the best version",
                variant="stop",
                visible=False,
                elem_id="stop-classifier",
            )
        self.status = gr.HTML(elem_id="classifier-status")
        self.curves = gr.HTML(elem_id="classifier-curve")
        self.confusion = gr.HTML(elem_id="confusion")

    def _connect(self, page: gr.Blocks) -> None:
        outputs = [
            self.status,
            self.curves,
            self.confusion,
            self.stop_button,
            self.start_button,
            self.no_classifier,
            self.classifying,
            self.model,
            self.timer,
        ]
        for widget in (self.text, self.model):
            widget.change(
                self.classify,
                [self.text, self.model],
                [self.classes, self.weights],
                concurrency_limit=4,
                **LATEST,
            )
        self.source.change(
            self.choose_source, self.source, [self.upload, self.name, self.minutes], **QUIET
        )
        self.upload.change(self.summarise, [self.source, self.upload], self.summary, **QUIET).then(
            suggest_name, self.upload, self.name, **QUIET
        )
        self.start_button.click(
            self.start, [self.source, self.upload, self.name, self.minutes], outputs, **QUIET
        )
        self.stop_button.click(self.stop, None, outputs, **QUIET)
        self.timer.tick(self.show_status, None, outputs, concurrency_limit=4, **QUIET)
        page.load(self.show_status, None, outputs, **QUIET)

    def classify(self, text: str, name: str | None) -> list[str]:
        """Shows the probability of each class, and which characters mattered."""
        if not name or not (text or "").strip():
            return ["", ""]
        try:
            classes, weights = classify(self._store, name, text)
        except ChargenError as error:
            return [html.error_note(error), ""]
        bars = html.bars(classes, "Probability of each class", clickable=False)
        if not weights:
            return [bars, ""]
        legend = "What mattered: green characters speak for the likeliest class, red ones against it."
        return [bars, html.note(legend) + html.weighted_text(weights)]

    def choose_source(self, source: str) -> list[Any]:
        """Shows the field for a table, and suggests a name and a time."""
        builtin = source == _BUILTIN
        return [
            gr.update(visible=not builtin),
            gr.update(value="languages" if builtin else "my classes"),
            gr.update(value=0.6 if builtin else 5),
        ]

    def summarise(self, source: str, path: str | None) -> str:
        """Shows what is in the table."""
        if source != _UPLOAD or not path:
            return ""
        try:
            return describe(uploads.read_table(path))
        except ChargenError as error:
            return html.error_note(error)

    def start(self, source: str, path: str | None, name: str, minutes: float) -> list[Any]:
        """Starts the training."""
        try:
            table = None
            if source == _UPLOAD:
                if not path:
                    raise ChargenError("there is no table yet; choose one above")
                uploads.read_table(path)  # whether it is one
                table = Path(path).read_text("utf-8-sig")
            name = self._job.free_name(name)
            start_classifier(self._job, table, name, minutes, Path(path or "").suffix)
        except ChargenError as error:
            return [html.error_note(error), *self.show_status()[1:]]
        return self.show_status()

    def stop(self) -> list[Any]:
        """Stops the training."""
        self._job.stop()
        return self.show_status()

    def show_status(self) -> list[Any]:
        """Shows how the training goes, and the new classifier once there is one."""
        status, names = self._job.status, self._store.names(CLASSIFIER)
        own = status if status.kind == "classifier" else JobStatus()
        choice: dict[str, Any] = {} if names else {"value": None}
        if own.state in ("finished", "stopped") and own.name in names:
            choice = {"value": own.name}
        return [
            _status(own, status),
            _curves(own),
            html.confusion_matrix(own.classes, own.confusion) if own.confusion else "",
            gr.update(visible=own.busy),
            gr.update(interactive=not status.busy),
            gr.update(visible=not names),
            gr.update(visible=bool(names)),
            gr.update(choices=names, **choice),
            gr.Timer(active=status.busy),
        ]


def suggest_name(path: str | None) -> Any:
    """Names the classifier after the file that was uploaded."""
    return gr.update(value=safe_name(path)) if path else gr.update()


def describe(data: chargen.Labelled) -> str:
    """Renders what is in a table."""
    counts = data.counts()
    listed = ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:_LISTED])
    more = f", … {len(counts) - _LISTED} more" if len(counts) > _LISTED else ""
    figures = [("texts", f"{len(data):,}"), ("classes", f"{len(counts):,}")]
    return html.facts(figures) + "".join(map(html.note, [listed + more, *data.notes]))


def _status(own: JobStatus, any_kind: JobStatus) -> str:
    """Renders the status of a classifier's training; `any_kind` may be that of a generator's."""
    if own.state == "idle":
        busy = f"“{any_kind.name}” is training in the tab Train." if any_kind.busy else ""
        return html.note(busy)
    sentences = {
        "preparing": f"“{own.name}”: reading the texts …",
        "finished": f"“{own.name}” has finished training. Type a text to classify it.",
    }
    figures = [("correct, on texts it has never seen", f"{share:.1%}") for _, share in own.scores[-1:]]
    return status_html(own, sentences, figures)


def _curves(status: JobStatus) -> str:
    if len(status.scores) < 2:
        return ""
    scores = [(seconds, 100 * share) for seconds, share in status.scores]
    baselines = {BASELINES.get(name, name): 100 * share for name, share in status.baselines.items()}
    return html.training_curves((), scores, baselines, "% correct", ("", UNSEEN))
