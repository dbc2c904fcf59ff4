"""Tokenizes texts for a classifier, one alone or many at once, and counts what it does not read."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chargen.data.batches import MAX_LENGTH, Coverage, Texts
from chargen.data.labelled import Labelled, class_indices
from chargen.errors import ChargenError
from chargen.tokenizers.base import Ids, Tokenizer

_LONGEST_PIECE = 16  # characters, of any tokenizer
_TEXTS = 1 << 13  # tokenized at once
_LONG = 1000  # characters from which on a text gains nothing from being tokenized with others


@dataclass(frozen=True)
class Coverages:
    """How much of each of N texts a classifier reads; the fields mean what they mean in `Coverage`."""

    cut: npt.NDArray[np.bool_]  # (N,)
    characters: npt.NDArray[np.int64]  # (N,)
    unknown: npt.NDArray[np.int64]  # (N,)
    blank: npt.NDArray[np.bool_]  # (N,)

    def sum(self) -> Coverage:
        """Returns how much of all texts together is read."""
        columns = (self.cut, self.characters, self.unknown, self.blank)
        return Coverage(len(self.cut), *(int(column.sum()) for column in columns))


def encode_labelled(
    data: Labelled, tokenizer: Tokenizer, classes: list[str], max_length: int = MAX_LENGTH
) -> Texts:
    """Tokenizes labelled texts, each truncated to `max_length` tokens."""
    labels = class_indices(data.labels, classes)
    texts, coverages = encode_many(data.texts, tokenizer, max_length)
    return Texts(texts.ids, texts.ends, labels, coverages.sum())


def encode_many(
    texts: Sequence[str], tokenizer: Tokenizer, max_length: int
) -> tuple[Texts, Coverages]:
    """Returns what `encode_truncated` returns for each of the texts (N,), all of them labelled -1."""
    blocks = [
        _encode_block(texts[start : start + _TEXTS], tokenizer, max_length)
        for start in range(0, max(1, len(texts)), _TEXTS)
    ]
    ids, lengths, *columns = (np.concatenate(column) for column in zip(*blocks, strict=True))
    coverages = Coverages(*columns)
    labels = np.full(len(lengths), -1, np.int64)
    return Texts(ids, np.cumsum(lengths, dtype=np.int64), labels, coverages.sum()), coverages


def _encode_block(
    texts: Sequence[str], tokenizer: Tokenizer, max_length: int
) -> tuple[npt.NDArray[np.generic], ...]:
    """Returns the tokens of N texts, the number of tokens of each, and the columns of `Coverages`.

    The texts are tokenized as one where the tokens of a character do not depend on its neighbours.
    Those that are long, or need more than other characters, follow one by one.
    """
    longest = min(max_length, _LONG)
    parts = [text if len(text) < longest else "" for text in texts]
    alone = np.array([len(text) >= longest for text in texts], bool)
    if any("\r" in part for part in parts):
        parts = [_with_newlines(part) for part in parts]
    characters = np.array([len(part) for part in parts], np.int64)
    cut, unknown = np.zeros(len(texts), bool), np.zeros(len(texts), np.int64)
    start = np.array(tokenizer.start_tokens(), tokenizer.dtype)
    ids, lengths = np.zeros(0, tokenizer.dtype), np.zeros(len(texts), np.int64)
    try:
        parts = _substitute(parts, tokenizer, unknown, alone)
        joined = "".join(parts)
        counts = tokenizer.tokens_per_character(joined)
    except ChargenError:  # half a character, which `encode_truncated` reports
        counts = None
    if counts is None:
        alone[:] = True
    else:
        sums = np.concatenate([[0], np.cumsum(counts)])
        lengths = np.diff(sums[np.cumsum([len(part) for part in parts], dtype=np.int64)], prepend=0)
        alone |= lengths + len(start) > max_length
        ids = tokenizer.encode(joined)[~np.repeat(alone, lengths)]
    blank = np.array([not part.strip() for part in parts], bool)
    lengths += len(start)
    others = dict[int, Ids]()
    for index in np.flatnonzero(alone).tolist():
        others[index], coverage = encode_truncated(texts[index], tokenizer, max_length)
        lengths[index], characters[index] = len(others[index]), coverage.characters
        cut[index], unknown[index] = bool(coverage.cut), coverage.unknown
        blank[index] = bool(coverage.blank)
    starts = np.cumsum(lengths) - lengths
    result = np.empty(int(lengths.sum()), tokenizer.dtype)
    inside = np.repeat(~alone, lengths)  # whether a token is one of `ids`
    for offset, token in enumerate(start):
        result[starts[~alone] + offset] = token
        inside[starts[~alone] + offset] = False
    result[inside] = ids
    for index, one in others.items():
        result[starts[index] : starts[index] + len(one)] = one
    return result, lengths, cut, characters, unknown, blank


def _substitute(
    parts: list[str],
    tokenizer: Tokenizer,
    unknown: npt.NDArray[np.int64],
    alone: npt.NDArray[np.bool_],
) -> list[str]:
    """Returns N texts with substitutes for the characters that the vocabulary lacks.

    Counts in `unknown` (N,) how many are left out of each. A text whose composed form (NFC) would have
    to be looked at is marked in `alone` (N,), and becomes "".
    """
    distinct = set().union(*parts)
    table = {
        ord(character): tokenizer.adapt(character, skip=True)[0]
        for character in distinct
        if not tokenizer.knows(character)
    }
    if not table:
        return parts
    lost = {code: None for code, substitute in table.items() if not substitute}
    substituted = [part.translate(table) for part in parts]
    for index, (part, new) in enumerate(zip(parts, substituted, strict=True)):
        if new == part:
            continue
        if unicodedata.is_normalized("NFC", part):
            unknown[index] = len(part) - len(part.translate(lost))
        else:
            substituted[index], alone[index] = "", True
    return substituted


def encode_truncated(text: str, tokenizer: Tokenizer, max_length: int) -> tuple[Ids, Coverage]:
    """Returns the first `max_length` tokens of a text, the beginning of a document included.

    Characters that the tokenizer cannot represent are adapted or left out; the coverage says how many.
    """
    # Tokenizing the rest of a long text would be wasted.
    part = _with_newlines(text[: _LONGEST_PIECE * max_length])
    unknown, readable = 0, part
    try:
        ids = tokenizer.encode(part)
    except ChargenError:
        readable = tokenizer.adapt(part, skip=True)[0]
        ids = tokenizer.encode(readable)
        counts = Counter(unicodedata.normalize("NFC", part))
        unknown = sum(n for one, n in counts.items() if not tokenizer.adapt(one, skip=True)[0])
    ids = np.concatenate([np.array(tokenizer.start_tokens(), tokenizer.dtype), ids])
    cut = len(ids) > max_length or len(text) > _LONGEST_PIECE * max_length
    coverage = Coverage(1, int(cut), len(part), unknown, int(not readable.strip()))
    return ids[:max_length], coverage


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
