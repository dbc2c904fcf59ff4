"""`python -m benchmarks.start`: from the start of the process to the first character.

Each run is a process of its own: `chargen sample -n 20` with the starter model until its first
character arrives, and beside it `import torch`, which writing does without.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from benchmarks import report
from chargen.generator import STARTER

SAMPLE = [sys.executable, "-m", "chargen", "sample", "-m", str(STARTER), "-n", "20", "--seed", "1"]
IMPORT = [sys.executable, "-c", "import torch; print(1)"]


def first_output(command: list[str]) -> float:
    """Returns the seconds until a command writes its first byte."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        seconds = time.perf_counter() - start
        process.stdout.read()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {"sample": [], "sample_int8": [], "import_torch": []}
    for _ in range(arguments.runs):  # in turns, so that a busy moment falls on all
        seconds["sample"].append(first_output(SAMPLE))
        seconds["sample_int8"].append(first_output([*SAMPLE, "--weights", "int8"]))
        seconds["import_torch"].append(first_output(IMPORT))
    report([{name: statistics.median(values) for name, values in seconds.items()}], arguments.json)


if __name__ == "__main__":
    main()
