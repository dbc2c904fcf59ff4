"""The index of a corpus for copied passages: its making, its size, and what a question takes.

The corpus is the standard library's sources, over and over, each time with other characters changed.
Asked is about a text of known pieces of it between letters that it does not have.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sysconfig
import tempfile
import time
from pathlib import Path

from benchmarks import report
from chargen.data.cache import entry_folder
from chargen.data.text import Text
from chargen.inspection.copies import Copies

PIECES, SHORTEST, LONGEST = 2_000, 30, 600


def sources() -> str:
    """The Python files of the standard library, one behind the other, in ASCII."""
    library = Path(sysconfig.get_paths()["stdlib"])
    found = sorted(library.glob("*.py")) + sorted(library.glob("*/*.py"))
    return (
        "".join(path.read_text("utf-8", "replace") for path in found)
        .encode("ascii", "ignore")
        .decode()
    )


def write_corpus(path: Path, characters: int) -> None:
    """As many characters as asked for, in which each copy of the sources has changes of its own."""
    rng, base = random.Random(0), bytearray(sources().encode())
    with path.open("wb") as file:
        while (left := characters - file.tell()) > 0:
            changed = bytearray(base)
            for _ in range(len(changed) // 2000):
                changed[rng.randrange(len(changed))] = rng.choice(b"abcdefgh _")
            file.write(changed[:left])


def measure(path: Path) -> dict[str, object]:
    """One row of the table."""
    text = Text.open([str(path)])
    size = text.size
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, used = time.perf_counter(), time.process_time()
    copies = Copies.of(text)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    folder = entry_folder(text.sha256)
    disk = sum(file.stat().st_size for file in folder.iterdir())

    began = time.perf_counter()
    Copies.of(text)
    again = time.perf_counter() - began

    rng, corpus = random.Random(1), path.read_text()
    asked, known = "", []
    for _ in range(PIECES):
        length = rng.randint(SHORTEST, LONGEST)
        place = rng.randrange(len(corpus) - length)
        asked += "\u2603"
        known.append((len(asked), length))
        asked += corpus[place : place + length]
    began = time.perf_counter()
    found = copies.report(asked, SHORTEST).passages
    question = time.perf_counter() - began
    assert [(passage.start, passage.length) for passage in found] == known
    return {
        "characters": size,
        "seconds": seconds,
        "processor_seconds": processor,
        "bytes_per_character": disk / size,
        "peak_bytes_per_character": peak * 1024 / size,
        "seconds_from_cache": again,
        "asked_characters": len(asked),
        "asked_seconds": question,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--megabytes", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CHARGEN_CACHE"] = str(Path(folder, "cache"))
        path = Path(folder, "corpus.txt")
        write_corpus(path, arguments.megabytes * 1_000_000)
        report([measure(path)], arguments.json)


if __name__ == "__main__":
    main()
