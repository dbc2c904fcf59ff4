"""The process that trains for the page: reads a job from stdin, writes events to stdout.

Job and events are JSON, one object a line. The training ends when its budget is spent, at the next
line on standard input, or when standard input is closed because the page is gone; the model is saved
in each case.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import chargen
from chargen.data.corpus import Corpus
from chargen.data.labelled import languages
from chargen.device import device_notes
from chargen.errors import ChargenError, device_error
from chargen.runs.launch import NewTraining, TrainRequest
from chargen.storage.lock import claimed
from chargen.training.loop import Step
from chargen.web.labels import error_text

SECONDS = 0.3  # between two events that only show progress
MOST_CLASSES = 30  # a confusion matrix of more classes cannot be read on a page
_NEWS = {"model", "note", "score", "done"}  # an event with one of these is reported at once


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
    sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")
    sys.stdout.flush()


def _generator(job: dict[str, Any], stack: ExitStack) -> Generator[dict[str, Any]]:
    run = stack.enter_context(chargen.Run(job["folder"]))
    sources = (job["source"],) if job["source"] else ()
    request = TrainRequest(sources, split_on=job["split_on"], minutes=job["minutes"])
    launch = NewTraining(run, request)
    corpus = launch.corpus  # tokenizing may add to the notes
    for note in (*launch.text.notes, *device_notes(request.device)):
        yield {"note": note}
    yield {"model": launch.plan.reason, "baselines": launch.baselines}
    nats = _nats_per_bit(corpus)
    for step in launch.start():
        event = _progress(step)
        if not step.finished:
            event["loss"] = step.mean_loss / nats
        if step.score:
            event["score"] = step.val_bits_per_character
            event["sample"] = step.sample
        yield event


def _nats_per_bit(corpus: Corpus) -> float:
    """Returns the nats per token that are one bit per character, in the beginning of the corpus."""
    tokens = corpus.training[: 1 << 16]
    characters, _ = corpus.tokenizer.measure(tokens)
    return math.log(2) * characters / len(tokens)


def _classifier(job: dict[str, Any], stack: ExitStack) -> Generator[dict[str, Any]]:
    folder = Path(job["folder"])
    stack.enter_context(claimed(folder))
    data = chargen.Labelled.open(job["source"] or str(languages()))
    for note in data.notes:
        yield {"note": note}
    reader = chargen.TextClassifier.new(data)
    config = reader.model.config
    yield {
        "model": f"{config.cell} {config.num_layers} × {config.hidden_size}, "
        f"{config.parameters / 1e6:.2f} M parameters, {len(data):,} texts in {len(data.classes):,} "
        "classes",
        "baselines": {"largest class": max(data.counts().values()) / len(data)},
    }
    for step in reader.keep(reader.train(data, minutes=job["minutes"]), folder):
        event = _progress(step)
        if step.score:
            event["score"] = step.score.accuracy
            if len(reader.classes) <= MOST_CLASSES:
                event["classes"] = reader.classes
                event["confusion"] = step.score.confusion.tolist()
        yield event


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
