"""`python -m benchmarks.classification_speed`: short lines classified, beside the ordinary way.

The lines are made of syllables, some of which are far more frequent than others: they are as long as
first names, and have as many prefixes in common. The ordinary way tokenizes text by text and reads
padded batches of 64, sorted by length. `alone` classifies line by line, as one would in a loop over
`predict`. `arrays` leaves the probabilities in an array instead of making a dictionary for each line.
All run on one thread. `prefixes_per_token` is the share of the tokens that the fast way reads when all
lines are there at once.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

from benchmarks import report, seconds
from chargen import Labelled, TextClassifier
from chargen.data.batches import Texts
from chargen.data.encoding import encode_truncated

LINES = 100_000
ORDINARY, ALONE = 10_000, 500  # lines, of which the slower ways are timed
ONSETS = [*"mlrskdtnjabch", "br", "sh", "ch", "th", *"gfvwzp", "st", "kr", ""]
VOWELS = [*"aeiou", "ie", "ee", "ay"]
CODAS = [*["", "", ""], *"nlrs", "nd", "ck", "th"]
SYLLABLES = [0.1, 0.6, 0.3]  # share of lines with one, two and three


def lines(count: int) -> list[str]:
    """Returns lines that look like first names, the same ones each time."""
    rng = np.random.default_rng(0)

    def parts(choices: list[str]) -> list[str]:
        weights = 1 / np.arange(1, len(choices) + 1)
        return list(map(str, rng.choice(choices, count, p=weights / weights.sum())))

    syllables = [
        [onset + vowel + coda for onset, vowel, coda in rows]
        for rows in (
            zip(parts(ONSETS), parts(VOWELS), rng.choice(CODAS, count).tolist(), strict=True)
            for _ in SYLLABLES
        )
    ]
    lengths = rng.choice([1, 2, 3], count, p=SYLLABLES).tolist()
    return ["".join(row[:size]) for *row, size in zip(*syllables, lengths, strict=True)]


@torch.no_grad()
def ordinary(reader: TextClassifier, texts: list[str]) -> list[dict[str, float]]:
    """Classifies texts in padded batches of 64, each text tokenized by itself."""
    encoded = [encode_truncated(text, reader.tokenizer, reader.record.max_length)[0] for text in texts]
    together = Texts.concatenate(encoded, [-1] * len(texts))
    order = np.argsort(together.lengths, kind="stable")
    probabilities = np.zeros((len(texts), len(reader.classes)))
    for part in np.split(order, np.arange(64, len(order), 64)):
        logits, _ = reader.model(*together.batch(part))
        probabilities[part] = logits.double().softmax(-1).numpy()
    return [
        {reader.classes[index]: float(row[index]) for index in np.argsort(-row, kind="stable")}
        for row in probabilities
    ]


def measure(
    layers: int, hidden: int, cell: str = "lstm", pooling: str = "mean", classes: int = 2
) -> dict[str, Any]:
    """One row of the table."""
    texts = lines(LINES)
    data = Labelled(texts, [f"class {index % classes}" for index in range(LINES)], "syllables")
    reader = TextClassifier.new(
        data, cell=cell, num_layers=layers, hidden_size=hidden, pooling=pooling
    )
    prefixes = {text[:end] for text in texts for end in range(len(text) + 1)}
    rate = LINES / seconds(lambda: list(reader.predict_many(texts)))
    some = texts[:ORDINARY]
    slow = len(some) / seconds(lambda: ordinary(reader, some))
    one = texts[:ALONE]
    return {
        "shape": f"{cell} {layers}x{hidden}",
        "pooling": pooling,
        "classes": classes,
        "prefixes_per_token": len(prefixes) / sum(len(text) + 1 for text in texts),
        "lines_per_second": rate,
        "arrays": LINES / seconds(lambda: list(reader.predict_arrays(texts))),
        "ordinary": slow,
        "alone": len(one) / seconds(lambda: [reader.predict(text) for text in one]),
        "ratio_to_ordinary": rate / slow,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        measure(2, 128),
        measure(2, 128, pooling="attention"),
        measure(2, 128, cell="gru"),
        measure(2, 128, classes=16),
        measure(2, 256),
    ]
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
