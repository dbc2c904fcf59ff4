"""The process that trains for the page: reads a job from stdin, writes events to stdout.

Job and events are JSON, one object a line. The training ends when its budget is spent, at the next
line on standard input, or when standard input is closed because the page is gone; the model is saved
in each case.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import chargen
from chargen.data.corpus import Corpus
from chargen.data.labelled import READING, languages
from chargen.device import device_notes, find_device
from chargen.errors import ChargenError, device_error
from chargen.evaluation.baselines import better_note
from chargen.evaluation.overlap import repeated_share, repetition_note
from chargen.runs.launch import NewTraining, ResumedTraining, TrainRequest
from chargen.shapes import ModelConfig
from chargen.training.loop import Step
from chargen.web import judging
from chargen.web.labels import error_text

# How a table is read where nobody said how: what `chargen classify train` keeps of its options.
_AS_FOUND = dict.fromkeys(READING) | {"text": [], "encoding": "utf-8", "val": None}
SECONDS = 0.3  # between two events that only show progress
MOST_CLASSES = 30  # a confusion matrix of more classes cannot be read on a page
_NEWS = {"model", "network", "note", "score", "done"}  # an event with one of these is reported at once


def main() -> None:
    """Reads the job and does it."""
    job = json.loads(sys.stdin.readline())
    stop = threading.Event()
    threading.Thread(target=_await_stop, args=(stop,), daemon=True).start()
    work = {"generator": _generator, "classifier": _classifier}[job["kind"]]
    try:
        with ExitStack() as stack:
            events = stack.enter_context(closing(work(job, stack)))
            reported, number = 0.0, 0
            for event in events:
                number = event.get("step", number)
                if event.keys() & _NEWS or time.time() - reported > SECONDS:
                    _report(event)
                    reported = time.time()
                if stop.is_set() and "done" not in event:
                    break
            else:
                return
        _report({"stopped": number})
    except ChargenError as error:
        _report({"failed": error_text(error)})
    except (MemoryError, RuntimeError) as error:
        explained = device_error(error)
        if explained is None:
            raise
        _report({"failed": error_text(explained)})


def _await_stop(stop: threading.Event) -> None:
    """Sets `stop` at the next line of standard input, or at its end."""
    sys.stdin.readline()
    stop.set()


def _report(event: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the page is gone, which the end of standard input says as well
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _generator(job: dict[str, Any], stack: ExitStack) -> Generator[dict[str, Any]]:
    run = stack.enter_context(chargen.Run(job["folder"]))
    launch: NewTraining | ResumedTraining
    if job.get("resume"):
        launch = yield from _resumed(run)
    else:
        sources = (job["source"],) if job["source"] else ()
        request = TrainRequest(sources, split_on=job["split_on"], minutes=job["minutes"])
        launch = yield from _begun(run, request)
    nats = _nats_per_bit(launch.corpus)
    for row in _metrics(run.folder) if job.get("resume") else ():
        bits, loss = row["val_bits_per_character"], row["training_nats_per_token"]
        yield (
            _earlier(row)
            | ({} if loss is None else {"loss": loss / nats})
            | ({} if bits is None else {"score": bits})
        )
    generation: int | None = None
    for step in launch.start():
        event = _progress(step)
        if not step.finished and math.isfinite(step.mean_loss):
            event["loss"] = step.mean_loss / nats
        if step.score:
            event["score"] = step.val_bits_per_character
            event["sample"] = step.sample
        if step.finished and step.score:
            event["note"] = better_note(launch.baselines, step.val_bits_per_character)
        if generation is not None and step.generation > generation:
            event["network"] = True
        generation = step.generation
        yield event


def _begun(run: chargen.Run, request: TrainRequest) -> Generator[dict[str, Any], None, NewTraining]:
    """Returns a training that begins with its first step, after the events that describe it."""
    launch = NewTraining(run, request)
    repetition = repetition_note(repeated_share(launch.corpus))  # tokenizing may add to the notes, too
    for note in filter(None, (*launch.text.notes, *device_notes(request.device), repetition)):
        yield {"note": note}
    plan = launch.plan
    summary = f"{_shape(plan.model)}; reads the text about {plan.passes:,.0f} times"
    yield {"model": plan.reason, "summary": summary, "baselines": launch.baselines}
    return launch


def _resumed(run: chargen.Run) -> Generator[dict[str, Any], None, ResumedTraining]:
    """Returns a training that goes on from its newest state, after the events that describe it."""
    saved = run.saved(find_device("auto"))
    if saved is None:
        raise ChargenError("nothing of this training was saved")
    sources = tuple(_source(run.folder, str(source)) for source in saved.settings["corpus"])
    launch = ResumedTraining(run, saved, TrainRequest(sources))
    for note in [*launch.text.notes, *saved.faults]:
        yield {"note": note}
    config = saved.writer.model.config
    model = (
        f"{config.cell}, {config.parameters / 1e6:.2f} M parameters; goes on from step "
        f"{saved.state.step:,}"
    )
    yield {"model": model, "summary": _shape(config), "baselines": launch.baselines}
    if saved.state.generation:
        yield {"network": True, "seconds": saved.state.first_second}
    return launch


def _source(folder: Path, source: str) -> str:
    """Returns where a source is now: the page's own text moves with the folder of its training."""
    moved = folder / Path(source).name
    return str(moved.absolute()) if not Path(source).exists() and moved.is_file() else source


def _metrics(folder: Path) -> list[dict[str, Any]]:
    """Returns what was logged before a training was stopped, for its curve."""
    try:
        lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]
    except (OSError, ValueError):
        return []


def _earlier(row: dict[str, Any]) -> dict[str, Any]:
    """Returns the part of an event of the past that is the same for both kinds of model."""
    return {"step": row["step"], "progress": 0.0, "seconds": row["seconds"], "speed": 0.0}


def _shape(config: ModelConfig) -> str:
    layers = "1 layer" if config.num_layers == 1 else f"{config.num_layers} layers"
    return f"{layers} of {config.hidden_size} cells"


def _nats_per_bit(corpus: Corpus) -> float:
    """Returns the nats per token that are one bit per character, in the beginning of the corpus."""
    tokens = corpus.training[: 1 << 16]
    characters, _ = corpus.tokenizer.measure(tokens)
    return math.log(2) * characters / len(tokens)


def _classifier(job: dict[str, Any], stack: ExitStack) -> Generator[dict[str, Any]]:
    run = stack.enter_context(chargen.ClassifierRun(job["folder"]))
    start = _resumed_classifier(run) if job.get("resume") else _begun_classifier(run, job)
    reader, held_out, steps = yield from start
    for step in steps:
        event = _progress(step)
        if step.score:
            event["score"] = step.score.accuracy
            if len(reader.classes) <= MOST_CLASSES:
                event["classes"] = reader.classes
                event["confusion"] = step.score.confusion.tolist()
            if len(step.score.labels) == len(held_out):  # of very many, only some are read meanwhile
                event |= judging.as_event(step.score, held_out)
        yield event


_Start = Generator[
    dict[str, Any], None, tuple[chargen.TextClassifier, chargen.Labelled, Iterator[Step]]
]


def _begun_classifier(run: chargen.ClassifierRun, job: dict[str, Any]) -> _Start:
    """Returns a classifier, its held-out texts and its steps, after the events that describe it."""
    settings = _AS_FOUND | {"data": job["source"], "skip_bad_rows": bool(job["skip_bad_rows"])}
    data = _labelled(run.folder, settings, "data")
    for note in data.notes:
        yield {"note": note}
    reader = chargen.TextClassifier.new(data)
    yield _described(reader, data)
    prepared = reader.prepare(data, minutes=job["minutes"])
    yield _described(reader, data, prepared.preparation)
    return reader, prepared.texts.validation, run.begin(reader, prepared, settings)


def _resumed_classifier(run: chargen.ClassifierRun) -> _Start:
    """Returns the same of a training that goes on from its newest state."""
    saved = run.saved(find_device("auto"))
    if saved is None:
        raise ChargenError("nothing of this training was saved")
    data = _labelled(run.folder, saved.settings, "data")
    validation = None
    if saved.settings["val"]:
        validation = _labelled(run.folder, saved.settings, "val", saved.reader.classes)
    for note in [*data.notes, *saved.faults]:
        yield {"note": note}
    event = _described(saved.reader, data, saved.preparation)
    yield event | {"model": f"{event['model']}; goes on from step {saved.state.step:,}"}
    held_out = saved.prepared(data, validation).texts.validation
    steps = run.resume(saved, data, validation)
    for row in _metrics(run.folder):
        score = {} if row["accuracy"] is None else {"score": row["accuracy"]}
        yield _earlier(row) | score
    return saved.reader, held_out, steps


def _labelled(
    folder: Path, settings: dict[str, Any], name: str, classes: Sequence[str] = ()
) -> chargen.Labelled:
    """Opens the labelled texts that a setting names, from where they are now.

    The `classes` of a classifier tell the labels.
    """
    source = str(languages()) if settings[name] is None else _source(folder, settings[name])
    options = {option: settings[option] for option in READING}
    return chargen.Labelled.open(source, classes=classes, **options)


def _described(
    reader: chargen.TextClassifier,
    data: chargen.Labelled,
    preparation: chargen.Preparation | None = None,
) -> dict[str, Any]:
    """Returns the event that describes a classifier and its texts."""
    config, texts = reader.model.config, f"{len(data):,} texts in {len(data.classes):,} classes"
    baselines = {"largest class": max(data.counts().values()) / len(data)}
    if preparation and preparation.ngrams:
        baselines["n-grams"] = preparation.ngrams["accuracy"]
    return {
        "model": f"{config.cell} {config.num_layers} × {config.hidden_size}, "
        f"{config.parameters / 1e6:.2f} M parameters, {texts}",
        "summary": f"{_shape(config)}; {texts}",
        "baselines": baselines,
    }


def _progress(step: Step) -> dict[str, Any]:
    """Returns the part of an event that is the same for both kinds of model."""
    event: dict[str, Any] = {
        "step": step.number,
        "progress": step.progress,
        "seconds": step.seconds,
        "speed": step.characters_per_second,
    }
    if step.remark:
        event["note"] = step.remark
    if step.finished:
        event["done"] = True
    return event


if __name__ == "__main__":
    main()
