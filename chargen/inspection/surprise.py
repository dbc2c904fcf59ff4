"""The surprise of a model at each character of a text, in bits, and what it expected instead.

A character to which the model gives the probability p has a surprise of -log2(p) bits (Shannon 1948):
0 where the model was certain, 1 more for each halving of the probability. The mean over a text is the
bits per character of `evaluation.language`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from chargen import arguments
from chargen.errors import ChargenError
from chargen.evaluation.language import predictions
from chargen.model import LanguageModel
from chargen.modes import default_modes
from chargen.suggestions import suggests
from chargen.tokenizers.base import Ids, Tokenizer

ALTERNATIVES = 5  # likeliest tokens that are recorded at each position
_CONTEXT = 24  # characters of the line that are shown before a spot


class Character(NamedTuple):
    """The smallest unit of a text that the model reads: a character, or a piece of several."""

    text: str  # "" for the end of a document
    bits: float | None  # None for the first, which has no context
    expected: dict[str, float]  # the likeliest units here and their probabilities, likeliest first


class Spot(NamedTuple):
    """A character of a text with its position."""

    line: int  # from 1
    column: int  # from 1
    before: str  # the end of the line's text before it
    character: Character


class Line(NamedTuple):
    """A line of the text, or a document, with its mean surprise."""

    number: int  # from 1
    characters: list[Character]  # with the newline that ends it
    bits: float  # per character


@suggests
@dataclass(frozen=True, repr=False)
class Surprise:
    """A text with the surprise at its characters; `surprise` returns it."""

    tokenizer: Tokenizer
    ids: Ids  # (N,)
    bits: npt.NDArray[np.float64]  # (N,) of each token, NaN for the first
    likeliest: npt.NDArray[Any]  # (N, ALTERNATIVES) tokens, likeliest first
    chances: npt.NDArray[np.float32]  # (N, ALTERNATIVES) their probabilities

    def __repr__(self) -> str:
        return f"Surprise({len(self.ids):,} tokens, {self.bits_per_character:.3f} bits per character)"

    @property
    def bits_per_character(self) -> float:
        """The mean surprise in bits, equal to `Score.bits_per_character`."""
        characters, _ = self.tokenizer.measure(self.ids[1:])
        return float(np.nansum(self.bits)) / max(1, characters)

    def characters(self) -> Iterator[Character]:
        """Yields the characters in order; their joined texts are the whole text."""
        for text, start, end in self._parts:
            yield self._character(text, start, end)

    def worst(self, count: int) -> list[Spot]:
        """Returns the `count` spots with the highest surprise, highest first."""
        count = arguments.count(count, "count")
        starts = [start for _, start, _ in self._parts]
        sums = np.add.reduceat(np.nan_to_num(self.bits), starts)
        chosen = np.argsort(-sums, kind="stable")[:count].tolist()
        ranks = {number: rank for rank, number in enumerate(chosen)}
        spots: dict[int, Spot] = {}
        line, column, before = 1, 1, ""
        for number, (text, start, end) in enumerate(self._parts):
            if number in ranks:
                character = self._character(text, start, end)
                spots[ranks[number]] = Spot(line, column, before, character)
            if not text or "\n" in text:
                line += max(1, text.count("\n"))
                before = text.rpartition("\n")[2]
                column = 1 + len(before)
            else:
                column += len(text)
                before = (before + text)[-_CONTEXT:]
        return [spots[rank] for rank in range(len(spots))]

    def lines(self) -> Iterator[Line]:
        """Yields the text line by line, or document by document."""
        number, line = 1, list[Character]()
        for character in self.characters():
            line.append(character)
            if character.text == "" or "\n" in character.text:
                yield _line(number, line)
                number, line = number + max(1, character.text.count("\n")), []
        if line:
            yield _line(number, line)

    def _character(self, text: str, start: int, end: int) -> Character:
        expected: dict[str, float] = {}
        if start:
            ranked = zip(self.likeliest[start].tolist(), self.chances[start].tolist(), strict=True)
            for token, chance in ranked:
                name = self.tokenizer.name(token)
                expected[name] = expected.get(name, 0.0) + chance
        return Character(text, float(self.bits[start:end].sum()) if start else None, expected)

    @cached_property
    def _parts(self) -> list[tuple[str, int, int]]:
        """The smallest units of the text, each with the slice of its tokens: (text, start, end)."""
        stream, start = self.tokenizer.detokenizer(), 0
        parts = []
        for end, token in enumerate(self.ids.tolist(), start=1):
            text = stream.push(token)
            if text or token == self.tokenizer.end_id:
                parts.append((text, start, end))
                start = end
        if rest := stream.finish():
            parts.append((rest, start, len(self.ids)))
        return parts


@default_modes()
@torch.no_grad()
def surprise(model: LanguageModel, tokenizer: Tokenizer, ids: Ids) -> Surprise:
    """Reads the text `ids` (N,) once, from an empty state; raises ChargenError for an empty text."""
    if not len(ids):
        raise ChargenError("the text is empty: there is nothing to be surprised by")
    alternatives = min(ALTERNATIVES, len(tokenizer))
    bits = np.full(len(ids), math.nan)
    likeliest = np.zeros((len(ids), alternatives), tokenizer.dtype)
    chances = np.zeros((len(ids), alternatives), np.float32)
    start = 1
    if len(ids) > 1:
        for logits, targets, _ in predictions(model, ids, np.zeros(1, np.int64), len(ids) - 1):
            logs = logits[:, 0].log_softmax(-1)  # (T, V)
            part = slice(start, start + len(logs))
            bits[part] = -logs.gather(1, targets)[:, 0].cpu().double().numpy() / math.log(2)
            top = logs.topk(alternatives)
            likeliest[part] = top.indices.cpu().numpy()
            chances[part] = top.values.exp().cpu().numpy()
            start = part.stop
    return Surprise(tokenizer, ids, bits, likeliest, chances)


def _line(number: int, characters: list[Character]) -> Line:
    scored = [character for character in characters if character.bits is not None]
    bits = sum(character.bits or 0.0 for character in scored)
    # The end of a document has an empty text and counts as one character.
    return Line(number, characters, bits / max(1, sum(len(c.text) or 1 for c in scored)))
