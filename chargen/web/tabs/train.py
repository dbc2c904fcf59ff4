"""The tab to train a generator: a text, what is in it, and how the training goes."""

from __future__ import annotations

from typing import Any

from chargen.data.text import BUILTIN
from chargen.errors import ChargenError
from chargen.web import charts, html, uploads
from chargen.web.gradio_setup import LATEST, QUIET, gr
from chargen.web.labels import BASELINES, BITS, UNSEEN, quoted
from chargen.web.model_store import GENERATOR, ModelStore
from chargen.web.names import name_for
from chargen.web.numbers import number
from chargen.web.scripts import COUNT_TEXT
from chargen.web.tabs.encoding_menu import HIDDEN, encoding_menu, find_encoding, in_encoding
from chargen.web.tabs.training_status import (
    StopButton,
    UnfinishedMenu,
    start_label,
    status_html,
    visitor,
)
from chargen.web.text_summary import GOOD_LENGTH, Counts
from chargen.web.training_job import (
    MAX_MINUTES,
    MAX_TEXT,
    MIN_MINUTES,
    JobStatus,
    Starter,
    TrainingJob,
    start_generator,
)

PASTE, UPLOAD, MANUAL = "Paste a text", "Upload a file", "Python's manual"
# What separates the documents of a text, by the choice of the visitor.
_SPLIT_ON = {
    "One text": None,
    "One item per line": "line",
    "Items separated by blank lines": "blank-line",
}
_ABOUT_MANUAL = "The help texts that come with every Python: half a million characters."


class TrainTab:
    """The widgets of the tab, and what happens when they are used."""

    def __init__(
        self,
        tabs: gr.Tabs,
        write_model: gr.Dropdown,
        job: TrainingJob,
        store: ModelStore,
        timer: gr.Timer,
    ) -> None:
        """Lays the tab out in the block that is open, and connects it.

        `write_model` is the menu of the tab to write with, one of `tabs`. `timer` ticks while
        something is training.
        """
        self._job, self._store = job, store
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300):
                self._lay_out_text()
            with gr.Column(scale=7, min_width=320):
                self._lay_out_training()
        self.outputs = [
            self.status,
            self.details,
            self.curves,
            self.sample,
            *self.stopping.outputs,
            self.use_button,
            self.start_button,
            *self.unfinished.outputs,
        ]
        self._connect(tabs, write_model, timer)

    def _lay_out_text(self) -> None:
        self.source = gr.Radio(
            [PASTE, UPLOAD, MANUAL],
            value=PASTE,
            label="Training text",
            info="Anything that is text: verse, names, code, letters, in any language.",
            elem_id="source",
        )
        self.pasted = gr.Textbox(
            label="Text",
            info=f"The more, the better; {GOOD_LENGTH:,} characters are a good start.",
            lines=8,
            max_lines=12,
            elem_id="pasted",
            elem_classes="mono",
        )
        self.upload = gr.File(
            label="A text file, at most 20 MB",
            file_types=["text"],
            type="filepath",
            visible=False,
            elem_id="upload",
        )
        self.counts = gr.Textbox(visible=False)
        self.encoding = encoding_menu("encoding")
        self.summary = gr.HTML(elem_id="found")
        self.split_on = gr.Radio(
            list(_SPLIT_ON),
            value="One text",
            label="What is in it",
            info="In a list of names or poems, the model also learns where each item ends.",
            elem_id="split-on",
        )
        with gr.Row():
            self.name = gr.Textbox(
                label="Name",
                info="The name of the new model.",
                value="my text",
                max_length=60,
                elem_id="name",
            )
            self.minutes = gr.Number(
                value=2,
                label="Minutes",
                info="A short text needs fewer.",
                elem_id="minutes",
            )
        self.refusal = gr.HTML(elem_id="refused")
        self.start_button = gr.Button(
            "Train", variant="primary", elem_id="train", elem_classes="primary-action"
        )

    def _lay_out_training(self) -> None:
        self.status = gr.HTML(elem_id="status")
        self.details = gr.HTML(elem_id="plan")  # by itself, so that it stays open when others change
        self.stopping = StopButton("stop-training")
        self.use_button = gr.Button(
            "Write with this model", variant="primary", visible=False, elem_id="use"
        )
        self.unfinished = UnfinishedMenu(self._job, "generator")
        self.curves = gr.HTML(elem_id="curve")
        self.sample = gr.HTML(elem_id="sample")

    def _connect(self, tabs: gr.Tabs, write_model: gr.Dropdown, timer: gr.Timer) -> None:
        outputs = [*self.outputs, timer]
        self.source.change(
            self.choose_source,
            [self.source, self.upload],
            [self.pasted, self.upload, self.name, self.encoding, self.summary],
            **QUIET,
        )
        # The first step runs in the browser alone; the second one gets its counts, without the text.
        self.pasted.change(
            None, self.pasted, self.counts, js=COUNT_TEXT, api_visibility="private"
        ).then(self.describe_pasted, self.counts, self.summary, **LATEST)
        self.upload.change(
            self.describe_upload, self.upload, [self.name, self.encoding, self.summary], **QUIET
        )
        self.encoding.input(self.describe_in, [self.upload, self.encoding], self.summary, **QUIET)
        self.start_button.click(
            self.start,
            [
                self.source,
                self.pasted,
                self.upload,
                self.encoding,
                self.split_on,
                self.name,
                self.minutes,
            ],
            [self.refusal, *outputs],
            **QUIET,
        )
        self.unfinished.connect(self._shown, [self.refusal, *outputs])
        self.stopping.connect(self._job, self.stop, outputs)
        self.use_button.click(self.use_model, None, [write_model, tabs], **QUIET)

    def choose_source(self, source: str, path: str | None) -> list[Any]:
        """Shows the field for a source, and suggests a name."""
        name = {MANUAL: BUILTIN, UPLOAD: name_for(path) if path else "my text"}.get(source, "my text")
        menu, summary = gr.update(**HIDDEN), html.note(_ABOUT_MANUAL) if source == MANUAL else ""
        if source == UPLOAD:
            menu, summary = find_encoding(path, _describe)
        return [
            gr.update(visible=source == PASTE),
            gr.update(visible=source == UPLOAD),
            name,
            menu,
            summary,
        ]

    def describe_pasted(self, counts: str) -> str:
        """Shows what the browser has counted in the pasted text."""
        counted = Counts.from_json(counts)
        return counted.html() if counted else ""

    def describe_upload(self, path: str | None) -> list[Any]:
        """Suggests a name and an encoding for the file, and shows what is in it."""
        return [name_for(path) if path else gr.update(), *find_encoding(path, _describe)]

    def describe_in(self, path: str | None, encoding: str) -> str:
        """Shows what is in the file in another encoding."""
        return in_encoding(path, encoding, _describe)

    def start(
        self,
        source: str,
        pasted: str,
        path: str | None,
        encoding: str,
        split_on: str,
        name: str,
        minutes: Any,
        request: gr.Request,
    ) -> list[Any]:
        """Starts the training, or says beside the button why not."""
        try:
            text = None if source == MANUAL else training_text(source, pasted, path, encoding)
            minutes = number(minutes, quoted("minutes"), MIN_MINUTES, MAX_MINUTES)
            name = self._job.free_name(name)
            start_generator(self._job, text, name, minutes, _SPLIT_ON.get(split_on), visitor(request))
        except ChargenError as error:
            return [html.error_note(error), *self._shown(request)]
        return ["", *self._shown(request)]

    def stop(self, request: gr.Request) -> list[Any]:
        """Stops the training."""
        self._job.stop()
        return self._shown(request)

    def use_model(self) -> list[Any]:
        """Chooses the new model in the tab to write with, and opens that."""
        names = self._store.names(GENERATOR)
        return [
            gr.update(choices=names, value=self._job.status.name),
            gr.update(selected="write"),
        ]

    def _shown(self, request: gr.Request) -> list[Any]:
        status = self._job.status
        return [*self.show(status, visitor(request)), gr.Timer(active=status.busy)]

    def show(self, status: JobStatus, you: Starter) -> list[Any]:
        """Returns the values of `outputs`: how the training goes, for a visitor."""
        own = status if status.kind == "generator" else JobStatus()
        unfinished = self.unfinished.offered(status)
        return [
            _status(own, status, you, bool(unfinished)),
            html.details(own.model) if own.model else "",
            _curves(own),
            _sample(own),
            *self.stopping.show(own.busy),
            gr.update(visible=own.saved),
            start_label(status),
            *self.unfinished.show(status, unfinished),
        ]


def training_text(source: str, pasted: str, path: str | None, encoding: str) -> str:
    """Returns the text that was pasted or uploaded, in the encoding that was chosen for the file.

    Raises ChargenError for a text that is too long, and for a file that is not there or no text.
    """
    if source != PASTE:
        if not path:
            raise ChargenError("there is no file yet; choose one above")
        return uploads.read_text(path, encoding)
    if len(pasted) > MAX_TEXT:
        raise ChargenError(
            f"the text has {len(pasted):,} characters; the page trains on {MAX_TEXT:,} at most"
        )
    return pasted.replace("\r\n", "\n").replace("\r", "\n")


def _describe(path: str, encoding: str) -> str:
    return Counts.of(uploads.read_text(path, encoding)).html()


def _status(own: JobStatus, any_kind: JobStatus, you: Starter, resumable: bool) -> str:
    """Renders the status of a generator's training; `any_kind` may be that of a classifier's."""
    if own.state == "idle":
        if any_kind.busy:
            begun = any_kind.starter.seen_by(you)
            return html.note(f"“{any_kind.name}” is training in the tab Classify, {begun}.")
        more = " Or go on with one that was not finished." if resumable else ""
        return html.note(f"Nothing is training. Press Train, and the progress appears here.{more}")
    sentences = {
        "preparing": f"“{own.name}”: reading the text and measuring the speed of this computer …",
        "finished": f"“{own.name}” has finished training.",
    }
    figures = [("characters per second", f"{own.speed:,.0f}")] if own.speed else []
    if own.scores:
        figures.append(("bits per character", f"{min(bits for _, bits in own.scores):.3f}"))
    parts = [status_html(own, you, sentences, figures)]
    if own.scores:
        parts.append(html.note(BITS))
    return "".join(parts)


def _curves(status: JobStatus) -> str:
    if len(status.losses) < 2:
        return ""
    baselines = {BASELINES.get(name, name): bits for name, bits in status.baselines.items()}
    return charts.training_curves(
        status.losses,
        status.scores,
        baselines,
        "bits per character",
        ("training text", UNSEEN),
        marks=[(seconds, "a second network begins") for seconds in status.networks],
    )


def _sample(status: JobStatus) -> str:
    if not status.sample:
        return ""
    return html.note("A sample of what it writes:") + html.sheet("", status.sample, small=True)
