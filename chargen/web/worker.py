"""A training of the page, in a process of its own: what to do comes in, what happens goes out.

Everything is JSON, one object per line. The training ends at its budget, at any further line on
standard input, and when that is closed because the page is gone; what was learned is kept in each
case.
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
from chargen.data.corpus import prepare
from chargen.data.labelled import languages
from chargen.device import find_device
from chargen.errors import ChargenError
from chargen.evaluation.baselines import baseline_bits
from chargen.model import LanguageModel
from chargen.storage.lock import claimed
from chargen.training.loop import Step
from chargen.training.planner import plan

SECONDS = 0.3  # between two lines about nothing but steps
MOST_CLASSES = 30  # of which a confusion matrix can be looked at


def main() -> None:
    """Reads the job and does it."""
    job = json.loads(sys.stdin.readline())
    asked = threading.Event()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    work = {"generator": _generator, "classifier": _classifier}[job["kind"]]
    try:
        with ExitStack() as stack:
            steps = stack.enter_context(closing(work(job, stack)))
            told, number = 0.0, 0
            for event in steps:
                number = event.get("step", number)
                if event.keys() & {"model", "note", "score", "done"} or time.time() - told > SECONDS:
                    _tell(event)
                    told = time.time()
                if asked.is_set() and "done" not in event:
                    break
            else:
                return
        _tell({"stopped": number})
    except ChargenError as error:
        _tell({"failed": str(error)})


def _listen(asked: threading.Event) -> None:
    sys.stdin.readline()
    asked.set()


def _tell(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")
    sys.stdout.flush()


def _generator(job: dict[str, Any], stack: ExitStack) -> Generator[dict[str, Any]]:
    device = find_device("auto")
    run = stack.enter_context(chargen.Run(job["folder"]))
    text = chargen.Text.open([job["source"]])
    corpus = prepare(
        text,
        kind=job["tokenizer"],
        vocab_size=1024,
        split_on=job["split_on"],
        val_fraction=0.1,
    )
    chosen = plan(corpus, device, chargen.TrainConfig(minutes=job["minutes"]), {})
    yield {"model": chosen.reason, "baselines": baseline_bits(corpus)}
    model = LanguageModel.new(chosen.model, seed=0).to(device)
    # As `chargen train --resume` wants to find them.
    settings = {
        "corpus": [str(Path(job["source"]).absolute()) if job["uploaded"] else job["source"]],
        "encoding": "utf-8",
        "tokenizer": job["tokenizer"],
        "vocab_size": 1024,
        "split_on": job["split_on"],
        "val_fraction": 0.1,
    }
    writer = chargen.TextGenerator(model, corpus.tokenizer)
    some = corpus.training[: 1 << 16]
    nats = math.log(2) * corpus.tokenizer.measure(some)[0] / len(some)  # of a bit per character
    for step in run.begin(writer, corpus, chosen.training, settings, chosen.threads):
        event = _progress(step)
        if not step.finished:
            event["loss"] = step.mean_loss / nats
        if step.score:
            event["score"] = step.val_bits_per_character
            event["sample"] = step.sample
        yield event


def _classifier(job: dict[str, Any], stack: ExitStack) -> Generator[dict[str, Any]]:
    folder = Path(job["folder"])
    stack.enter_context(claimed(folder))
    source = job["source"] or str(languages())
    data = chargen.Labelled.open(source)
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
    steps = reader.train(data, minutes=job["minutes"])
    for step in reader.keep(steps, folder):
        event = _progress(step)
        if step.score:
            event["score"] = step.score.accuracy
            if len(reader.classes) <= MOST_CLASSES:
                event["classes"] = reader.classes
                event["confusion"] = step.score.confusion.tolist()
        yield event


def _progress(step: Step) -> dict[str, Any]:
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
