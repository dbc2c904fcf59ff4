"""`python -m benchmarks.saving`: what it costs to keep a training, beside the time of the training.

A state holds weights, best weights, AdamW's two moments, randomness and carried state; it is written
with its sums and synced to the disk, as is the model whenever it became better. The training is that
of `chargen train` on the built-in corpus.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report
from chargen import Run, Text, TextGenerator
from chargen.data.corpus import prepare
from chargen.model import LanguageModel, ModelConfig
from chargen.runs.state import state_folders
from chargen.training.config import TrainConfig


class TimedRun(Run):
    """Notes how long each save of a state takes."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.times: list[float] = []

    def _save(self, *arguments: Any) -> None:
        began = time.perf_counter()
        super()._save(*arguments)
        self.times.append(time.perf_counter() - began)


class TimedGenerator(TextGenerator):
    """Notes how long each save of a model takes."""

    times: list[float]

    def save(self, *arguments: Any) -> None:
        began = time.perf_counter()
        super().save(*arguments)
        self.times.append(time.perf_counter() - began)


def measure(hidden: int, minutes: float) -> dict[str, object]:
    """One row of the table: a whole training with all that it writes."""
    corpus = prepare(Text.open(["python-docs"]))
    config = ModelConfig(len(corpus.tokenizer), hidden_size=hidden)
    writer = TimedGenerator(LanguageModel.new(config, seed=0), corpus.tokenizer)
    writer.times = []
    with tempfile.TemporaryDirectory(dir=".") as folder, TimedRun(folder) as run:
        *_, last = run.begin(writer, corpus, TrainConfig(minutes=minutes))
        size = sum(path.stat().st_size for path in state_folders(Path(folder))[-1].iterdir())
    return {
        "shape": f"2x{hidden}",
        "minutes": minutes,
        "state_megabytes": size / 1e6,
        "milliseconds_per_state": 1000 * statistics.median(run.times),
        "states": len(run.times),
        "percent_of_the_time": 100 * sum(run.times) / last.seconds,
        "percent_with_models": 100 * (sum(run.times) + sum(writer.times)) / last.seconds,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="of training, per shape")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report([measure(hidden, options.minutes) for hidden in (128, 256, 512)], options.json)
