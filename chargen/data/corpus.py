"""A text as a memory-mapped stream of tokens, read in parallel lanes and consecutive windows.

    text    a b c d e f g h i j k l m n o p q r s t u v w x y z . .      N tokens, read in a circle

    lane 0  a b c d|e f g h|i j …        Each lane reads on from its own start, so the state at the
    lane 1  j k l m|n o p q|r s …        end of a window is that before the next one: the state is
    lane 2  s t u v|w x y z|. . …        carried, only the gradient is truncated.
             window   window

The documents of a corpus are shuffled anew for every epoch. A text that is read as one is cut at its
end for validation; documents are chosen, see `documents`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.data.cache import tokenize
from chargen.data.documents import SPLIT_SEED, training_count
from chargen.data.text import Text
from chargen.errors import ChargenError
from chargen.suggestions import suggests
from chargen.tokenizers.base import Ids, Tokenizer

SCORED = 1 << 17  # validation tokens, at most, that final scores and baselines are measured on
SMALLEST = 64  # training tokens; a shorter text is not enough to learn from


@suggests
@dataclass(frozen=True, repr=False)
class Corpus:
    """A tokenized text in two parts: one to train on, one to validate on."""

    training: Ids  # (N,) of the tokenizer's dtype, memory-mapped where the cache holds it
    validation: Ids  # (M,) the end of the text, or documents chosen by `split_seed`; M may be 0
    tokenizer: Tokenizer  # has an end symbol where the text consists of documents
    name: str
    sha256: str  # of the text's bytes
    size: int  # bytes
    split_on: str | None  # the separator of its documents
    val_fraction: float  # of the characters, from 0 to below 1
    split_seed: int | None = None  # of the choice of documents; None where the text is cut at its end

    def __repr__(self) -> str:
        sizes = f"{len(self.training):,} tokens to train on, {len(self.validation):,} for validation"
        return f"Corpus({self.name!r}, {sizes})"

    @property
    def scored(self) -> Ids:
        """The validation tokens of every final score: the first `SCORED`, whatever the machine."""
        return self.validation[:SCORED]


def prepare(
    text: Text,
    *,
    kind: str = "char",
    vocab_size: int = 1024,
    split_on: str | None = None,
    val_fraction: float = 0.1,
    split_seed: int | None = SPLIT_SEED,
) -> Corpus:
    """Tokenizes a text, or finds its tokens in the cache, and splits them; see `cache.tokenize`.

    Raises ChargenError for a text that cannot be read or is too short to learn from.
    """
    ids, tokenizer, _ = tokenize(text, kind, vocab_size, split_on, val_fraction, split_seed)
    return split(ids, tokenizer, text, split_on, val_fraction, split_seed)


def split(
    ids: Ids,
    tokenizer: Tokenizer,
    text: Text,
    split_on: str | None,
    val_fraction: float,
    split_seed: int | None = None,
) -> Corpus:
    """Splits the tokens `ids` of a text: the last `val_fraction` of the characters is for validation.

    Where there are documents, in the order of `split_seed`, the split is at the end of one and between
    two that differ. Raises ChargenError for a fraction out of range, for a training part of fewer than
    `SMALLEST` tokens, and for a single document.
    """
    if not 0 <= val_fraction < 1:
        raise ChargenError(
            f"the validation fraction must be at least 0 and below 1, got {val_fraction}",
            "set {val_fraction} to 0.1, for example",
        )
    # A fraction of the characters, so that the validation text does not depend on the tokenizer.
    cut = tokenizer.split_point(ids, 1 - val_fraction)
    if split_on is not None:
        ends = np.flatnonzero(ids == tokenizer.end_id) + 1
        _refuse_single(text.name, split_on, len(ends))
        cut = _cut_between(ids, ends, cut)
    if cut < SMALLEST:
        raise ChargenError(
            f"{text.name} is too short to learn from: {len(ids):,} tokens, of which {cut:,} are for "
            f"training and {len(ids) - cut:,} for validation; training needs at least {SMALLEST}",
            "give a longer text",
        )
    return Corpus(
        ids[:cut],
        ids[cut:],
        tokenizer,
        name=text.name,
        sha256=text.sha256,
        size=text.size,
        split_on=split_on,
        val_fraction=val_fraction,
        split_seed=None if split_on is None else split_seed,
    )


def _refuse_single(name: str, split_on: str, count: int) -> None:
    """Raises ChargenError for a collection of one document, or of none."""
    if count > 1:
        return
    reason = {"line": "it has one line", "blank-line": "it has no blank line"}.get(
        split_on, f"{split_on!r} does not occur in it"
    )
    if "\\n" in split_on:
        hint = (
            "for a newline, set {split_on} to line, or to blank-line for empty lines between documents"
        )
    else:
        hint = "set {split_on} to what separates them, or leave it out for one continuous text"
    raise ChargenError(
        f"{name} is a single document: {reason}, and a collection needs at least two documents",
        hint,
    )


def _cut_between(ids: Ids, ends: npt.NDArray[np.int64], cut: int) -> int:
    """Returns the end of a document near `cut` whose two neighbours differ; see `training_count`.

    `ends` (D,) are the ends of the documents in `ids` (N,).
    """
    starts = np.concatenate([[0], ends[:-1]])

    def differs(index: int) -> bool:
        before, after = (ids[starts[i] : ends[i]] for i in (index - 1, index))
        return not np.array_equal(before, after)

    count = training_count(ends, cut, differs)
    return int(ends[count - 1]) if count else 0


class Lanes:
    """Reads a corpus in `batch` (B) parallel lanes, in windows of `window` (T) tokens.

    A window is a pure function of the position: the number of tokens that each lane has read since
    the beginning of the training. `seed` shuffles the documents.
    """

    def __init__(self, corpus: Corpus, batch: int, window: int, seed: int) -> None:
        ids, end_id = corpus.training, corpus.tokenizer.end_id
        self._ids = ids
        self._window = window
        self._seed = seed
        self._starts = np.arange(batch) * len(ids) // batch  # (B,)
        self.epoch_length = len(ids) // batch  # tokens that each lane reads in an epoch
        self._documents = None if end_id is None else np.flatnonzero(ids == end_id) + 1
        self._shuffled: tuple[int, npt.NDArray[Any], npt.NDArray[Any]] | None = None

    def read(self, position: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], bool]:
        """Returns inputs (T, B), targets (T, B), and whether the lanes start from an empty state.

        With documents, each epoch starts anew, and its last window may be shorter than T.
        """
        length, fresh = self._window, position == 0
        if self._documents is not None:
            epoch, position = divmod(position, self.epoch_length)
            length, fresh = min(length, self.epoch_length - position), position == 0
        positions = (self._starts + position + np.arange(length + 1)[:, None]) % len(self._ids)
        if self._documents is not None:
            positions = self._shuffle(epoch, positions)
        ids = self._ids[positions].astype(np.int64)  # (T + 1, B)
        return ids[:-1], ids[1:], fresh

    def _shuffle(self, epoch: int, positions: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Maps positions in the epoch's order of documents to positions in the text."""
        assert self._documents is not None
        if self._shuffled is None or self._shuffled[0] != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._documents))
            ends = self._documents
            starts = np.concatenate([[0], ends[:-1]])
            new_ends = np.cumsum((ends - starts)[order])  # of the shuffled documents
            self._shuffled = epoch, new_ends, ends[order] - new_ends
        _, new_ends, shifts = self._shuffled
        documents = np.searchsorted(new_ends, positions, side="right")
        shuffled: npt.NDArray[Any] = positions + shifts[documents]
        return shuffled
