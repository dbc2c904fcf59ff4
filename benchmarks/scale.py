"""Does it grow with the corpus? Preparing, starting, memory and time per step, for 1 MB to 1 GB.

The corpora are the standard library's sources, over and over, each time with other characters changed.
Each is prepared in a process of its own, for its memory; the steps of all are taken in turns in one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.copies import write_corpus
from chargen.data.corpus import Corpus, prepare
from chargen.data.text import Text
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig
from chargen.training.config import TrainConfig
from chargen.training.language_modeling import train
from chargen.training.loop import Step

SIZES = (1_000_000, 100_000_000, 1_000_000_000)  # characters
STEPS, ROUNDS = 20, 8  # steps of each training per round


def peak() -> int:
    """Returns the most memory that this process has had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def opened(path: Path) -> dict[str, Any]:
    """Prepares a corpus, opens it again from the cache, and takes the first step."""
    began, used, before = time.perf_counter(), time.process_time(), peak()
    prepare(Text.open([str(path)]))
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    began = time.perf_counter()
    corpus = prepare(Text.open([str(path)]))
    cached = time.perf_counter() - began
    next(steps_on(corpus))
    first = time.perf_counter() - began
    size = path.stat().st_size
    return {
        "megabytes": size / 1e6,
        "seconds": seconds,
        "MB_per_processor_second": size / 1e6 / processor,
        "memory_grown_MB": (peak() - before) / 1e6,
        "seconds_cached": cached,
        "seconds_to_first_step": first,
    }


def steps_on(corpus: Corpus) -> Iterator[Step]:
    """Returns the steps of a training of 2 × 256 on a corpus."""
    model = LanguageModel.new(ModelConfig(len(corpus.tokenizer), hidden_size=256), seed=0)
    return train(model, corpus, TrainConfig(steps=10_000))


def measure(sizes: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """Returns a row of the table for each size in characters; writes the corpora to `folder`."""
    paths, rows = [Path(folder, f"{size}.txt") for size in sizes], []
    for path, size in zip(paths, sizes, strict=True):
        write_corpus(path, size)
        command = [sys.executable, "-m", "benchmarks.scale", "--row", str(path)]
        rows.append(json.loads(subprocess.run(command, stdout=-1, check=True).stdout))
    trainings = [steps_on(prepare(Text.open([str(path)]))) for path in paths]
    times: list[list[float]] = [[] for _ in paths]
    for _ in range(ROUNDS):
        for training, its_times in zip(trainings, times, strict=True):
            next(training)  # which finds the caches full of the data of the others
            for _ in range(STEPS):
                began = time.perf_counter()
                next(training)
                its_times.append(time.perf_counter() - began)
    for row, its_times in zip(rows, times, strict=True):
        row["ms_per_step"] = 1000 * statistics.median(its_times)
        row["of_the_smallest"] = statistics.median(its_times) / statistics.median(times[0])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--row", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(opened(arguments.row)))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CHARGEN_CACHE"] = str(Path(folder, "cache"))
        report(measure(SIZES, Path(folder)), arguments.json)


if __name__ == "__main__":
    main()
