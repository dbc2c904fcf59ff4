"""How much each character of a text surprises a model, in bits, and what it had expected instead.

A character that the model gives the probability p has -log2(p) bits (Shannon 1948): none where it was
certain, one for each halving of the odds. Their mean is the score of `evaluation.evaluate`.
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

from chargen.errors import ChargenError
from chargen.evaluation.language import predictions
from chargen.model import LanguageModel
from chargen.tokenizers.base import Ids, Tokenizer

ALTERNATIVES = 5  # likeliest ids that are kept for each place
_NEAR = 24  # characters shown before a spot


class Character(NamedTuple):
    """The least part of a text that the model tells apart: a character, or a piece of several."""

    text: str  # "" for the end of a document
    bits: float | None  # None for the first, which has no context
    expected: dict[str, float]  # what would have been likeliest here, named as by `Mark.expected`


class Spot(NamedTuple):
    """Where in a text a character surprises."""

    line: int  # from 1
    column: int  # from 1
    before: str  # what stands in its line before it, its last characters
    character: Character


class Line(NamedTuple):
    """A line of the text, or a document."""

    number: int  # from 1
    characters: list[Character]  # with the newline that ends it
    bits: float  # the mean of a character


@dataclass(frozen=True)
class Surprise:
    """A text with the surprise of its characters; made by `surprise`."""

    tokenizer: Tokenizer
    ids: Ids  # (N,)
    bits: npt.NDArray[np.float64]  # (N,) of each id, NaN for the first
    likeliest: npt.NDArray[Any]  # (N, ALTERNATIVES) ids
    chances: npt.NDArray[np.float32]  # (N, ALTERNATIVES) their probabilities

    @property
    def bits_per_character(self) -> float:
        """The mean, which is that of `evaluation.evaluate`."""
        characters, _ = self.tokenizer.measure(self.ids[1:])
        return float(np.nansum(self.bits)) / max(1, characters)

    def characters(self) -> Iterator[Character]:
        """From the first to the last; joined, their texts are the text."""
        for text, start, end in self._parts:
            yield self._character(text, start, end)

    def worst(self, count: int) -> list[Spot]:
        """Where the model was surprised most, most first."""
        starts = [start for _, start, _ in self._parts]
        sums = np.add.reduceat(np.nan_to_num(self.bits), starts)
        chosen = np.argsort(-sums, kind="stable")[:count].tolist()
        places = {number: rank for rank, number in enumerate(chosen)}
        found: dict[int, Spot] = {}
        line, column, before = 1, 1, ""
        for number, (text, start, end) in enumerate(self._parts):
            if number in places:
                character = self._character(text, start, end)
                found[places[number]] = Spot(line, column, before, character)
            if not text or "\n" in text:
                line += max(1, text.count("\n"))
                before = text.rpartition("\n")[2]
                column = 1 + len(before)
            else:
                column += len(text)
                before = (before + text)[-_NEAR:]
        return [found[rank] for rank in range(len(found))]

    def lines(self) -> Iterator[Line]:
        """Line by line, or document by document."""
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
            for place, chance in ranked:
                named = self.tokenizer.name(place)
                expected[named] = expected.get(named, 0.0) + chance
        return Character(text, float(self.bits[start:end].sum()) if start else None, expected)

    @cached_property
    def _parts(self) -> list[tuple[str, int, int]]:
        """The least parts of the text, each with its first id and the one behind its last."""
        stream, start = self.tokenizer.detokenizer(), 0
        parts = []
        for place, token in enumerate(self.ids.tolist()):
            text = stream.push(token)
            if text or token == self.tokenizer.end_id:
                parts.append((text, start, place + 1))
                start = place + 1
        if rest := stream.finish():
            parts.append((rest, start, len(self.ids)))
        return parts


@torch.no_grad()
def surprise(model: LanguageModel, tokenizer: Tokenizer, ids: Ids) -> Surprise:
    """Reads a text once, from an empty state; raises ChargenError for an empty one."""
    if not len(ids):
        raise ChargenError("the text is empty: there is nothing to be surprised by")
    kept = min(ALTERNATIVES, len(tokenizer))
    bits = np.full(len(ids), math.nan)
    likeliest = np.zeros((len(ids), kept), tokenizer.dtype)
    chances = np.zeros((len(ids), kept), np.float32)
    place = 1
    if len(ids) > 1:
        for logits, targets, _ in predictions(model, ids, np.zeros(1, np.int64), len(ids) - 1):
            logs = logits[:, 0].log_softmax(-1)  # (T, V)
            there = slice(place, place + len(logs))
            bits[there] = -logs.gather(1, targets)[:, 0].cpu().double().numpy() / math.log(2)
            top = logs.topk(kept)
            likeliest[there] = top.indices.cpu().numpy()
            chances[there] = top.values.exp().cpu().numpy()
            place = there.stop
    return Surprise(tokenizer, ids, bits, likeliest, chances)


def _line(number: int, characters: list[Character]) -> Line:
    known = [character for character in characters if character.bits is not None]
    bits = sum(character.bits or 0.0 for character in known)
    return Line(number, characters, bits / max(1, sum(len(c.text) or 1 for c in known)))
