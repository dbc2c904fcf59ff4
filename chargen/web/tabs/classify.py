"""The tab to sort texts in: judge one as it is typed, see what mattered, learn from a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chargen
from chargen.errors import ChargenError
from chargen.web import html as drawing
from chargen.web.gradio_setup import gr
from chargen.web.model_store import CLASSIFIER, ModelStore
from chargen.web.tabs.training_status import status
from chargen.web.training_job import MOST_MINUTES, JobStatus, TrainingJob, safe_name

LONGEST = 10_000  # characters of a text to judge
LONGEST_TABLE = 20_000_000
LONGEST_COLOURED = 1_000  # characters whose weights are worked out, as fast as one types
_BUILTIN, _UPLOAD = "Sentences in 16 languages", "Upload a table"


def build(page: gr.Blocks, job: TrainingJob, store: ModelStore) -> None:
    """Puts the tab together."""
    names = store.names(CLASSIFIER)
    with gr.Row(equal_height=False):
        with gr.Column(scale=6, min_width=320):
            hint = gr.HTML(
                drawing.blank("There is no classifier yet. Train one, beside, in less than a minute."),
                visible=not names,
                elem_id="no-classifier",
            )
            with gr.Column(visible=bool(names)) as judging:
                model = gr.Dropdown(
                    names,
                    value=names[0] if names else None,
                    label="Classifier",
                    info="Those that you trained, the newest first.",
                    elem_id="classifier",
                )
                typed = gr.Textbox(
                    label="Text",
                    info="It is judged as you type.",
                    lines=3,
                    max_lines=10,
                    elem_id="to-judge",
                )
                judged = gr.HTML(elem_id="judged")
                coloured = gr.HTML(elem_id="coloured")
        with gr.Column(scale=6, min_width=320):
            source = gr.Radio(
                [_BUILTIN, _UPLOAD],
                value=_BUILTIN,
                label="What to learn from",
                info="Short sentences that come with chargen, or a table with a text and its class "
                "in each row.",
                elem_id="table-source",
            )
            upload = gr.File(
                label="A table: CSV, TSV or JSON Lines, at most 20 MB",
                file_types=[".csv", ".tsv", ".jsonl", ".txt"],
                type="filepath",
                visible=False,
                elem_id="table",
            )
            found = gr.HTML(elem_id="table-found")
            with gr.Row():
                name = gr.Textbox(
                    label="Name",
                    info="What the classifier will be called.",
                    value="languages",
                    max_length=60,
                    elem_id="classifier-name",
                )
                minutes = gr.Number(
                    value=0.6,
                    minimum=0.05,
                    maximum=MOST_MINUTES,
                    label="Minutes",
                    info="More make it better.",
                    elem_id="classifier-minutes",
                )
            with gr.Row(elem_classes="buttons"):
                start = gr.Button(
                    "Train", variant="primary", elem_id="train-classifier", elem_classes="does"
                )
                stop = gr.Button(
                    "Stop and keep the best",
                    variant="stop",
                    visible=False,
                    elem_id="stop-classifier",
                )
            told = gr.HTML(elem_id="classifier-status")
            figure = gr.HTML(elem_id="classifier-curve")
            confusion = gr.HTML(elem_id="confusion")
    clock = gr.Timer(1.0, active=job.view().busy)

    def judge_text(text: str, name: str | None) -> list[str]:
        if not name or not (text or "").strip():
            return ["", ""]
        try:
            classes, weights = judge(store, name, text)
        except ChargenError as error:
            return [drawing.note(str(error), bad=True), ""]
        bars = drawing.bars(classes, "How likely each class is", clickable=False)
        legend = "What mattered: in this colour for the likeliest class, in the other against it"
        return [bars, drawing.note(legend) + drawing.heat(weights) if weights else ""]

    def switch(kind: str) -> list[Any]:
        builtin = kind == _BUILTIN
        return [
            gr.update(visible=not builtin),
            gr.update(value="languages" if builtin else "my classes"),
            gr.update(value=0.6 if builtin else 5),
        ]

    def look(kind: str, path: str | None) -> str:
        try:
            return describe(_table(path)) if kind == _UPLOAD and path else ""
        except ChargenError as error:
            return drawing.note(str(error), bad=True)

    def called(path: str | None) -> Any:
        return gr.update(value=safe_name(path)) if path else gr.update()

    def begin(kind: str, path: str | None, wanted: str, length: float) -> list[Any]:
        try:
            text = None
            if kind == _UPLOAD:
                if not path:
                    raise ChargenError("choose a table first")
                _table(path)
                text = Path(path).read_text("utf-8-sig")
            begin_training(job, text, job.free_name(wanted), length, Path(path or "").suffix)
        except ChargenError as error:
            return [drawing.note(str(error), bad=True), *draw()[1:]]
        return draw()

    def draw() -> list[Any]:
        view = job.view()
        names = store.names(CLASSIFIER)
        there = [gr.update(visible=not names), gr.update(visible=bool(names))]
        done = view.state in ("finished", "stopped") and view.kind == "classifier"
        if done and view.name in names:
            there.append(gr.update(choices=names, value=view.name))
        else:
            there.append(gr.update(choices=names, **({} if names else {"value": None})))
        mine = view if view.kind == "classifier" else JobStatus()
        return [
            _status(mine, job.view()),
            _figure(mine),
            drawing.matrix(mine.classes, mine.confusion) if mine.confusion else "",
            gr.update(visible=mine.busy),
            gr.update(interactive=not view.busy),
            *there,
            gr.Timer(active=view.busy),
        ]

    def halt() -> list[Any]:
        job.stop()
        return draw()

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    shown = [told, figure, confusion, stop, start, hint, judging, model, clock]
    judging_now: dict[str, Any] = {
        "fn": judge_text,
        "inputs": [typed, model],
        "outputs": [judged, coloured],
        "trigger_mode": "always_last",
        "concurrency_limit": 4,
        **quiet,
    }
    typed.change(**judging_now)
    model.change(**judging_now)
    source.change(switch, source, [upload, name, minutes], **quiet)
    upload.change(look, [source, upload], found, **quiet).then(called, upload, name, **quiet)
    start.click(begin, [source, upload, name, minutes], shown, **quiet)
    stop.click(halt, None, shown, **quiet)
    clock.tick(draw, None, shown, concurrency_limit=4, **quiet)
    page.load(draw, None, shown, **quiet)


def judge(store: ModelStore, name: str, text: str) -> tuple[dict[str, float], list[tuple[str, float]]]:
    """The probability of each class, and how much each character mattered where it is not too long."""
    if len(text) > LONGEST:
        raise ChargenError(f"the text has {len(text):,} characters; at most {LONGEST:,} are judged")
    reader = store.reader(name)
    if len(text) > LONGEST_COLOURED:
        return reader.predict(text), []
    return reader.explain(text)


def begin_training(
    job: TrainingJob, table: str | None, name: str, minutes: float, suffix: str
) -> None:
    """Begins to learn from a table, or from the sentences that come along; raises ChargenError."""
    if table is not None and len(table) > LONGEST_TABLE:
        raise ChargenError(f"the table has {len(table):,} characters; at most {LONGEST_TABLE:,}")
    job.begin("classifier", name, table, minutes, suffix=suffix)


def describe(data: chargen.Labelled) -> str:
    """What is in a table."""
    counts = data.counts()
    some = ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:8])
    more = f", … {len(counts) - 8} more" if len(counts) > 8 else ""
    pairs = [("texts", f"{len(data):,}"), ("classes", f"{len(counts):,}")]
    return drawing.facts(pairs) + "".join(map(drawing.note, [some + more, *data.notes]))


def _table(path: str) -> chargen.Labelled:
    if Path(path).stat().st_size > LONGEST_TABLE:
        raise ChargenError("the table is too large; at most 20 MB are read here")
    try:
        return chargen.Labelled.open(path)
    except ChargenError as error:
        raise ChargenError(str(error).replace(path, Path(path).name)) from error


def _status(view: JobStatus, any_view: JobStatus) -> str:
    if view.state == "idle":
        busy = f"“{any_view.name}” is being trained in the tab Train." if any_view.busy else ""
        return drawing.note(busy)
    heads = {
        "preparing": f"Reading the texts for “{view.name}” …",
        "finished": f"“{view.name}” has learned: type a text and see.",
    }
    right = [("right, of texts it never saw", f"{score:.1%}") for _, score in view.scores[-1:]]
    return status(view, heads, right)


def _figure(view: JobStatus) -> str:
    if len(view.scores) < 2:
        return ""
    percent = tuple((seconds, 100 * score) for seconds, score in view.scores)
    baselines = {name: 100 * share for name, share in view.baselines.items()}
    return drawing.curve((), percent, baselines, "% right", ("", "held-out texts"))
