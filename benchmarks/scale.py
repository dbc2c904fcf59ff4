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
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.copies import write_corpus
from chargen.data.corpus import Corpus, prepare
from chargen.data.text import Text
from chargen.model import LanguageModel, ModelConfig
from chargen.training.config import TrainConfig
from chargen.training.language_modeling import train

MEGABYTES = (1, 100, 1000)
STEPS, ROUNDS = 20, 8


def peak() -> int:
    """The most memory that this process has had, in bytes."""
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


def steps_on(corpus: Corpus) -> Any:
    model = LanguageModel.new(ModelConfig(len(corpus.tokenizer), hidden_size=256), seed=0)
    return train(model, corpus, TrainConfig(steps=10_000))


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
        paths = [Path(folder, f"{megabytes}.txt") for megabytes in MEGABYTES]
        rows = []
        for path, megabytes in zip(paths, MEGABYTES, strict=True):
            write_corpus(path, megabytes * 1_000_000)
            command = [sys.executable, "-m", "benchmarks.scale", "--row", str(path)]
            rows.append(json.loads(subprocess.run(command, stdout=-1, check=True).stdout))
        trainings = [steps_on(prepare(Text.open([str(path)]))) for path in paths]
        times: list[list[float]] = [[] for _ in paths]
        for _ in range(ROUNDS):
            for training, mine in zip(trainings, times, strict=True):
                next(training)  # what others left in the caches is gone
                for _ in range(STEPS):
                    began = time.perf_counter()
                    next(training)
                    mine.append(time.perf_counter() - began)
    for row, mine in zip(rows, times, strict=True):
        row["ms_per_step"] = 1000 * statistics.median(mine)
        row["of_the_smallest"] = statistics.median(mine) / statistics.median(times[0])
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
