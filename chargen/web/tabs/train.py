"""The tab to train a generator: a text, what is in it, and how the training goes."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import Any

from chargen.data.text import BUILTIN
from chargen.errors import ChargenError
from chargen.web import html, uploads
from chargen.web.gradio_setup import QUIET, gr
from chargen.web.labels import BASELINES, BITS, UNSEEN
from chargen.web.model_store import GENERATOR, ModelStore
from chargen.web.tabs.training_status import status_html
from chargen.web.training_job import (
    MAX_MINUTES,
    MAX_TEXT,
    MIN_TEXT,
    JobStatus,
    TrainingJob,
    safe_name,
    start_generator,
)

PASTE, UPLOAD, MANUAL = "Paste a text", "Upload a file", "Python's manual"
# What separates the documents of a text, by the choice of the visitor.
_SPLIT_ON = {
    "One text": None,
    "One item per line": "line",
    "Items separated by blank lines": "blank-line",
}
_GOOD_LENGTH, _SHORT = 100_000, 20_000  # characters
_MANY_CHARACTERS = 3_000  # different ones


class TrainTab:
    """The widgets of the tab, and what happens when they are used."""

    def __init__(
        self,
        page: gr.Blocks,
        tabs: gr.Tabs,
        write_model: gr.Dropdown,
        job: TrainingJob,
        store: ModelStore,
    ) -> None:
        """Lays the tab out in the block that is open, and connects it.

        `write_model` is the menu of the tab to write with, one of `tabs`.
        """
        self._job, self._store = job, store
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300):
                self._lay_out_text()
            with gr.Column(scale=7, min_width=320):
                self._lay_out_training()
        self.timer = gr.Timer(1.0, active=job.status.busy)
        self._connect(page, tabs, write_model)

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
            info=f"The more, the better; {_GOOD_LENGTH:,} characters are a good start.",
            lines=8,
            max_lines=12,
            elem_id="pasted",
            elem_classes="mono",
        )
        self.upload = gr.File(
            label="A text file in UTF-8, at most 20 MB",
            file_types=["text"],
            type="filepath",
            visible=False,
            elem_id="upload",
        )
        self.summary = gr.HTML(elem_id="found")
        self.split_on = gr.Radio(
            list(_SPLIT_ON),
            value="One text",
            label="What is in it",
            info="In a list of names or poems, the model also learns where each item ends.",
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
                minimum=0.05,
                maximum=MAX_MINUTES,
                label="Minutes",
                info="A short text needs fewer.",
                elem_id="minutes",
            )
        self.start_button = gr.Button(
            "Train", variant="primary", elem_id="train", elem_classes="primary-action"
        )

    def _lay_out_training(self) -> None:
        self.status = gr.HTML(elem_id="status")
        self.curves = gr.HTML(elem_id="curve")
        self.sample = gr.HTML(elem_id="sample")
        with gr.Row(elem_classes="buttons"):
            self.stop_button = gr.Button(
                "Stop and keep the best version",
                variant="stop",
                visible=False,
                elem_id="stop-training",
            )
            self.use_button = gr.Button(
                "Write with this model", variant="primary", visible=False, elem_id="use"
            )

    def _connect(self, page: gr.Blocks, tabs: gr.Tabs, write_model: gr.Dropdown) -> None:
        source = [self.source, self.pasted, self.upload]
        outputs = [
            self.status,
            self.curves,
            self.sample,
            self.stop_button,
            self.use_button,
            self.start_button,
            self.timer,
        ]
        self.source.change(
            self.choose_source, self.source, [self.pasted, self.upload, self.name], **QUIET
        ).then(self.summarise, source, self.summary, **QUIET)
        self.pasted.change(self.summarise, source, self.summary, trigger_mode="always_last", **QUIET)
        self.upload.change(self.summarise, source, self.summary, **QUIET).then(
            suggest_name, self.upload, self.name, **QUIET
        )
        self.start_button.click(
            self.start, [*source, self.split_on, self.name, self.minutes], outputs, **QUIET
        )
        self.stop_button.click(self.stop, None, outputs, **QUIET)
        self.use_button.click(self.use_model, None, [write_model, tabs], **QUIET)
        self.timer.tick(self.show_status, None, outputs, concurrency_limit=4, **QUIET)
        page.load(self.show_status, None, outputs, **QUIET)

    def choose_source(self, source: str) -> list[Any]:
        """Shows the field for a source, and suggests a name."""
        return [
            gr.update(visible=source == PASTE),
            gr.update(visible=source == UPLOAD),
            gr.update(value={MANUAL: BUILTIN}.get(source, "my text")),
        ]

    def summarise(self, source: str, pasted: str, path: str | None) -> str:
        """Shows what is in the training text."""
        if source == MANUAL:
            return html.note("The help texts that come with every Python: half a million characters.")
        try:
            text = training_text(source, pasted, path)
        except ChargenError as error:
            return html.error_note(error)
        return describe(text) if text else ""

    def start(
        self,
        source: str,
        pasted: str,
        path: str | None,
        split_on: str,
        name: str,
        minutes: float,
    ) -> list[Any]:
        """Starts the training."""
        try:
            text = None if source == MANUAL else training_text(source, pasted, path)
            name = self._job.free_name(name)
            start_generator(self._job, text, name, minutes, _SPLIT_ON[split_on])
        except ChargenError as error:
            return [html.error_note(error), *self.show_status()[1:]]
        return self.show_status()

    def stop(self) -> list[Any]:
        """Stops the training."""
        self._job.stop()
        return self.show_status()

    def use_model(self) -> list[Any]:
        """Chooses the new model in the tab to write with, and opens that."""
        names = self._store.names(GENERATOR)
        return [
            gr.update(choices=names, value=self._job.status.name),
            gr.update(selected="write"),
        ]

    def show_status(self) -> list[Any]:
        """Shows how the training goes."""
        status = self._job.status
        if status.kind != "generator" and status.state != "idle":
            elsewhere = f"“{status.name}” is training in the tab Classify." if status.busy else ""
            return [html.note(elsewhere), "", "", *self._show_buttons(JobStatus())]
        return [_status(status), _curves(status), _sample(status), *self._show_buttons(status)]

    def _show_buttons(self, status: JobStatus) -> list[Any]:
        busy = self._job.status.busy  # with whichever kind of model
        return [
            gr.update(visible=status.busy),
            gr.update(visible=status.saved),
            gr.update(interactive=not busy),
            gr.Timer(active=busy),
        ]


def suggest_name(path: str | None) -> Any:
    """Names the model after the file that was uploaded."""
    return gr.update(value=safe_name(path)) if path else gr.update()


def training_text(source: str, pasted: str, path: str | None) -> str:
    """Returns the text that was pasted or uploaded, "" where there is none yet.

    Raises ChargenError for a text that is too long and for a file that is no text.
    """
    if source != PASTE:
        return uploads.read_text(path) if path else ""
    if len(pasted) > MAX_TEXT:
        raise ChargenError(
            f"the text has {len(pasted):,} characters; the page trains on {MAX_TEXT:,} at most"
        )
    return pasted.replace("\r\n", "\n").replace("\r", "\n")


def describe(text: str) -> str:
    """Renders what is in a text, and warns of what looks wrong with it."""
    counts = Counter(text)
    letters = sum(count for character, count in counts.items() if character.isalpha())
    figures = [
        ("characters", f"{len(text):,}"),
        ("lines", f"{text.count(chr(10)) + 1:,}"),
        ("different characters", f"{len(counts):,}"),
        ("most frequent", " ".join(html.visible(c) for c, _ in counts.most_common(12))),
    ]
    warnings = []
    if len(text.strip()) < MIN_TEXT:
        warnings.append(f"Too short: a model needs at least {MIN_TEXT} characters.")
    elif len(text) < _SHORT:
        warnings.append(
            "Short: the model will soon repeat it word for word. "
            f"{_GOOD_LENGTH:,} characters are better."
        )
    if counts["\ufffd"]:
        warnings.append(
            f"{counts[chr(0xFFFD)]:,} characters were lost before (shown as \ufffd): the text may "
            "have been read in another encoding than its own."
        )
    if letters < len(text) / 4:
        warnings.append("Few letters: this looks like data rather than language.")
    if len(counts) > _MANY_CHARACTERS:
        warnings.append("Very many different characters: the model learns little about rare ones.")
    control = sum(counts[c] for c in counts if unicodedata.category(c) == "Cc" and c not in "\n\t")
    if control:
        warnings.append(f"{control:,} control characters: this may not be text.")
    return html.facts(figures) + "".join(html.note(warning, bad=True) for warning in warnings)


def _status(status: JobStatus) -> str:
    if status.state == "idle":
        return html.note("Nothing is training. Press Train, and the progress appears here.")
    sentences = {
        "preparing": f"“{status.name}”: reading the text and measuring the speed of this computer …",
        "finished": f"“{status.name}” has finished training.",
    }
    figures = [("characters per second", f"{status.speed:,.0f}")]
    if status.scores:
        figures.append(("bits per character", f"{min(bits for _, bits in status.scores):.3f}"))
    parts = [status_html(status, sentences, figures)]
    if status.scores:
        parts.append(html.note(BITS))
    if status.state == "stopped":
        command = f"chargen train --resume -o {status.folder}"
        parts.append(html.note(f"To continue this training, run in a terminal: {command}"))
    return "".join(parts)


def _curves(status: JobStatus) -> str:
    if len(status.losses) < 2:
        return ""
    baselines = {BASELINES.get(name, name): bits for name, bits in status.baselines.items()}
    return html.training_curves(
        status.losses, status.scores, baselines, "bits per character", ("training text", UNSEEN)
    )


def _sample(status: JobStatus) -> str:
    if not status.sample:
        return ""
    return html.note("A sample of what it writes:") + html.sheet("", status.sample, small=True)
