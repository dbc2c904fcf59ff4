"""`python -m benchmarks.saving`: what it costs to keep a training, beside the time of the training.

A state holds the weights, their averages and the best ones, the optimizer's moments and bases, the
random generator and the carried state. It is written with its sums and synced to the disk, as is the
model whenever it has improved. The training is that of `chargen train` on the built-in corpus.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import report
from chargen import Run, Text, TextGenerator
from chargen.data.corpus import prepare
from chargen.model import LanguageModel
from chargen.runs.saved import state_folders
from chargen.shapes import ModelConfig
from chargen.training.config import TrainConfig


@contextmanager
def timed(target: str) -> Iterator[list[float]]:
    """Notes how long each call of a function takes, in seconds, while the `with` block lasts."""
    times: list[float] = []
    module, _, name = target.rpartition(".")
    original = getattr(import_module(module), name)

    def call(*arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(*arguments)
        finally:
            times.append(time.perf_counter() - began)

    with mock.patch(target, call):
        yield times


def measure(hidden: int, minutes: float) -> dict[str, object]:
    """Returns one row of the table: a whole training with all that it writes."""
    corpus = prepare(Text.open(["python-docs"]))
    config = ModelConfig(len(corpus.tokenizer), hidden_size=hidden)
    writer = TextGenerator(LanguageModel.new(config, seed=0), corpus.tokenizer)
    with (
        timed("chargen.runs.run.save_state") as states,
        timed("chargen.storage.checkpoint.save") as models,
        tempfile.TemporaryDirectory(dir=".") as folder,
        Run(folder) as run,
    ):
        *_, last = run.begin(writer, corpus, TrainConfig(minutes=minutes))
        size = sum(path.stat().st_size for path in state_folders(Path(folder))[-1].iterdir())
    return {
        "shape": f"2x{hidden}",
        "minutes": minutes,
        "state_megabytes": size / 1e6,
        "milliseconds_per_state": 1000 * statistics.median(states),
        "states": len(states),
        "percent_of_the_time": 100 * sum(states) / last.seconds,
        "percent_with_models": 100 * (sum(states) + sum(models)) / last.seconds,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="of training, per shape")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report([measure(hidden, options.minutes) for hidden in (128, 256, 512)], options.json)
