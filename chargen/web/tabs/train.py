"""The tab to train in: a text, what is in it, and a training to look at."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import chargen
from chargen.data.text import BUILTIN
from chargen.errors import ChargenError
from chargen.web import html as drawing
from chargen.web.gradio_setup import gr
from chargen.web.model_store import GENERATOR, ModelStore
from chargen.web.tabs.training_status import status
from chargen.web.training_job import (
    FEWEST,
    LONGEST_TEXT,
    MOST_MINUTES,
    JobStatus,
    TrainingJob,
    begin_training,
    safe_name,
)

_PASTE, _UPLOAD, _MANUAL = "Paste a text", "Upload a file", "Python's manual"
_KINDS = {"One text": None, "Each line is one": "line", "Empty lines between them": "blank-line"}


def build(
    page: gr.Blocks, tabs: gr.Tabs, menu: gr.Dropdown, job: TrainingJob, store: ModelStore
) -> None:
    """Puts the tab together; `menu` is where a trained model can be chosen for writing."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=300):
            source = gr.Radio(
                [_PASTE, _UPLOAD, _MANUAL],
                value=_PASTE,
                label="What to learn from",
                info="Anything that is text: verse, names, code, letters, in any language.",
                elem_id="source",
            )
            pasted = gr.Textbox(
                label="Text",
                info="The more the better: from 100,000 characters on it gets good.",
                lines=8,
                max_lines=12,
                elem_id="pasted",
                elem_classes="mono",
            )
            upload = gr.File(
                label="A text file, UTF-8, at most 20 MB",
                file_types=["text"],
                type="filepath",
                visible=False,
                elem_id="upload",
            )
            found = gr.HTML(elem_id="found")
            split = gr.Radio(
                list(_KINDS),
                value="One text",
                label="How it is made",
                info="A list of names or poems is learned with where each of them ends.",
            )
            with gr.Row():
                name = gr.Textbox(
                    label="Name",
                    info="What the model will be called.",
                    value="my text",
                    max_length=60,
                    elem_id="name",
                )
                minutes = gr.Number(
                    value=2,
                    minimum=0.05,
                    maximum=MOST_MINUTES,
                    label="Minutes",
                    info="A short text takes less.",
                    elem_id="minutes",
                )
            start = gr.Button("Train", variant="primary", elem_id="train", elem_classes="does")
        with gr.Column(scale=7, min_width=320):
            told = gr.HTML(elem_id="status")
            figure = gr.HTML(elem_id="curve")
            sample = gr.HTML(elem_id="sample")
            with gr.Row(elem_classes="buttons"):
                stop = gr.Button(
                    "Stop and keep the best",
                    variant="stop",
                    visible=False,
                    elem_id="stop-training",
                )
                use = gr.Button("Write with it", variant="primary", visible=False, elem_id="use")
    clock = gr.Timer(1.0, active=job.view().busy)

    def switch(kind: str) -> list[Any]:
        return [
            gr.update(visible=kind == _PASTE),
            gr.update(visible=kind == _UPLOAD),
            gr.update(value={_MANUAL: BUILTIN}.get(kind, "my text")),
        ]

    def look(kind: str, text: str, path: str | None) -> Any:
        if kind == _MANUAL:
            return drawing.note("The help texts that every Python carries: half a million letters.")
        try:
            text = _text(kind, text, path)
        except ChargenError as error:
            return drawing.note(str(error), bad=True)
        return describe(text) if text else ""

    def called(path: str | None) -> Any:
        return gr.update(value=safe_name(path)) if path else gr.update()

    def begin(kind: str, text: str, path: str | None, made: str, wanted: str, length: float) -> Any:
        try:
            learned = None if kind == _MANUAL else _text(kind, text, path)
            begin_training(job, learned, job.free_name(wanted), length, _KINDS[made])
        except ChargenError as error:
            return [drawing.note(str(error), bad=True), *draw()[1:]]
        return draw()

    def draw() -> list[Any]:
        view = job.view()
        if view.kind != "generator" and view.state != "idle":
            where = f"“{view.name}” is being trained in the tab Classify." if view.busy else ""
            return [drawing.note(where), "", "", *_buttons(JobStatus())]
        return [_status(view), _figure(view), _sample(view), *_buttons(view)]

    def _buttons(view: JobStatus) -> list[Any]:
        written = view.state in ("finished", "stopped") and view.step > 0
        return [
            gr.update(visible=view.busy),
            gr.update(visible=written),
            gr.update(interactive=not job.view().busy),
            gr.Timer(active=job.view().busy),
        ]

    def halt() -> list[Any]:
        job.stop()
        return draw()

    def write_with() -> list[Any]:
        names = store.names(GENERATOR)
        return [gr.update(choices=names, value=job.view().name), gr.update(selected="write")]

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    shown = [told, figure, sample, stop, use, start, clock]
    source.change(switch, source, [pasted, upload, name], **quiet).then(
        look, [source, pasted, upload], found, **quiet
    )
    pasted.change(look, [source, pasted, upload], found, trigger_mode="always_last", **quiet)
    upload.change(look, [source, pasted, upload], found, **quiet).then(called, upload, name, **quiet)
    start.click(begin, [source, pasted, upload, split, name, minutes], shown, **quiet)
    stop.click(halt, None, shown, **quiet)
    use.click(write_with, None, [menu, tabs], **quiet)
    clock.tick(draw, None, shown, concurrency_limit=4, **quiet)
    page.load(draw, None, shown, **quiet)


def describe(text: str) -> str:
    """What is in a text, and what looks wrong with it."""
    counts = Counter(text)
    letters = sum(count for character, count in counts.items() if character.isalpha())
    often = " ".join(drawing.named(c) for c, _ in counts.most_common(12))
    pairs = [
        ("characters", f"{len(text):,}"),
        ("lines", f"{text.count(chr(10)) + 1:,}"),
        ("different characters", f"{len(counts):,}"),
        ("the most frequent", often),
    ]
    warnings = []
    if len(text.strip()) < FEWEST:
        warnings.append("Too short: there is nothing to learn from so little.")
    elif len(text) < 20_000:
        warnings.append("Short: the model will soon know it by heart. 100,000 characters are better.")
    if counts["\ufffd"]:
        warnings.append(
            f"{counts[chr(0xFFFD)]:,} characters were lost when this was read (they stand as \ufffd): "
            "it may have been saved in another encoding than UTF-8."
        )
    if letters < len(text) / 4:
        warnings.append("Few letters: this looks like data rather than language.")
    if len(counts) > 3000:
        warnings.append("Very many different characters: rare ones are learned badly.")
    control = sum(counts[c] for c in counts if unicodedata.category(c) == "Cc" and c not in "\n\t")
    if control:
        warnings.append(f"{control:,} control characters: this may not be text.")
    return drawing.facts(pairs) + "".join(drawing.note(w, bad=True) for w in warnings)


def _text(kind: str, pasted: str, path: str | None) -> str:
    """The text that was pasted or uploaded, read by the same rules as everywhere."""
    if kind == _PASTE:
        if len(pasted) > LONGEST_TEXT:
            raise ChargenError(f"the text has {len(pasted):,} characters; at most {LONGEST_TEXT:,}")
        return pasted.replace("\r\n", "\n").replace("\r", "\n")
    if path is None:
        return ""
    source = chargen.Text.open([path])
    if source.size > LONGEST_TEXT:
        raise ChargenError(f"the file has {source.size / 1e6:,.1f} MB; at most 20 MB are read here")
    try:
        return "".join(source.pieces())
    except ChargenError as error:
        raise ChargenError(str(error).replace(path, Path(path).name)) from error


def _status(view: JobStatus) -> str:
    if view.state == "idle":
        return drawing.note("Nothing is being trained. What happens will be drawn here.")
    heads = {
        "preparing": f"Reading the text and measuring this computer, for “{view.name}” …",
        "finished": f"“{view.name}” has learned.",
    }
    pairs = [("characters per second", f"{view.speed:,.0f}")]
    if view.scores:
        pairs.append(("bits per character", f"{min(s for _, s in view.scores):.3f}"))
    parts = [status(view, heads, pairs)]
    if view.state == "stopped":
        parts.append(drawing.note(f"Go on in a terminal: chargen train --resume -o {view.place}"))
    return "".join(parts)


def _figure(view: JobStatus) -> str:
    if len(view.losses) < 2:
        return ""
    names = ("training", "held-out text")
    return drawing.curve(view.losses, view.scores, view.baselines, "bits per character", names)


def _sample(view: JobStatus) -> str:
    if not view.sample:
        return ""
    return drawing.note("What it writes now:") + drawing.sheet("", view.sample, small=True)
