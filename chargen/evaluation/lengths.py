"""How well texts are classified by their length: as they are, and as pairs of words and single words.

Words are what white space separates, so a text in a script without spaces is one word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from chargen.data.labelled import Labelled
from chargen.evaluation.classes import ClassScore

STARTS = (0, 1, 2, 3, 6, 11, 21, 51)  # words at which a bin begins; the last one has no end
LETTERS = 4  # of a single word, at least: shorter ones occur in many languages and on all subjects
MAX_CROPS = 20_000  # of a kind


@dataclass(frozen=True)
class LengthBin:
    """The accuracy on the texts of some numbers of words."""

    words: str  # such as "1", "3-5" or "51+"
    texts: int  # count
    accuracy: float  # from 0 to 1


def by_length(score: ClassScore, texts: Sequence[str]) -> list[LengthBin]:
    """Returns the accuracy of a `score` on its `texts` (N,), for each bin of lengths that occurs."""
    right = score.predictions == score.labels
    bins = np.searchsorted(STARTS, [len(text.split()) for text in texts], side="right") - 1
    return [
        LengthBin(_name(number), int((bins == number).sum()), float(right[bins == number].mean()))
        for number in np.unique(bins).tolist()
    ]


def crops(data: Labelled, most: int = MAX_CROPS) -> tuple[Labelled, Labelled]:
    """Returns the pairs of neighbouring words of `data`, and its words of `LETTERS` letters or more.

    They are words of letters only, without the punctuation around them. Each has the label of its
    text, and occurs once for each label. Of more than `most` of a kind, as many are taken, spread over
    all texts; a note says so.
    """
    pairs: dict[tuple[str, str], None] = {}
    words: dict[tuple[str, str], None] = {}
    for text, label in zip(data.texts, data.labels, strict=True):
        cut = [_letters(word) for word in text.split()]
        pairs.update(
            {(f"{first} {second}", label): None for first, second in pairwise(cut) if first and second}
        )
        words.update({(word, label): None for word in cut if sum(map(str.isalpha, word)) >= LETTERS})
    return _labelled(data, list(pairs), "pairs of words", most), _labelled(
        data, list(words), "words", most
    )


def _name(number: int) -> str:
    first = STARTS[number]
    if number + 1 == len(STARTS):
        return f"{first}+"
    last = STARTS[number + 1] - 1
    return str(first) if first == last else f"{first}-{last}"


def _letters(word: str) -> str:
    """Returns a word of letters without the punctuation around it; "" for any other word."""
    if word.isalpha():
        return word
    # The vowel signs of India and other accents are marks, which belong to their letters.
    is_letter = [unicodedata.category(character)[0] in "LM" for character in word]
    if not any(is_letter) or any(map(str.isnumeric, word)):
        return ""
    first, end = is_letter.index(True), len(word) - is_letter[::-1].index(True)
    return word[first:end] if all(is_letter[first:end]) else ""


def _labelled(data: Labelled, rows: list[tuple[str, str]], kind: str, most: int) -> Labelled:
    """Returns `most` of the (crop, label) in `rows`, evenly spread, as labelled texts."""
    notes = []
    if len(rows) > most:
        notes = [f"measured on {most:,} of {len(rows):,} {kind}"]
        rows = [rows[index] for index in (np.arange(most) * (len(rows) / most)).astype(int)]
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    return replace(data, texts=texts, labels=labels, notes=notes)
