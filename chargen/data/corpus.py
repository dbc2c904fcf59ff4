"""A text as a memory-mapped stream of tokens, read in parallel lanes and consecutive windows.

    text    a b c d e f g h i j k l m n o p q r s t u v w x y z . .      N tokens, read in a circle

    lane 0  a b c d|e f g h|i j …        Each lane reads on from its own start, so the state at the
    lane 1  j k l m|n o p q|r s …        end of a window is that before the next one: the state is
    lane 2  s t u v|w x y z|. . …        carried, only the gradient is truncated.
             window   window

The documents of a corpus are shuffled anew for every epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.data.cache import open_entry, tokenize
from chargen.data.text import Text
from chargen.errors import ChargenError
from chargen.tokenizers.base import Ids, Tokenizer

SMALLEST = 64  # training tokens; a shorter text is not enough to learn from


@dataclass(frozen=True)
class Corpus:
    """A tokenized text in two parts: one to train on, one to validate on."""

    training: Ids  # (N,) of the tokenizer's dtype, memory-mapped where the cache holds it
    validation: Ids  # (M,) the contiguous end of the text; M may be 0
    tokenizer: Tokenizer  # has an end symbol where the text consists of documents
    name: str
    sha256: str  # of the text's bytes
    size: int  # bytes
    split_on: str | None  # the separator of its documents
    val_fraction: float  # from 0 to below 1


def prepare(
    text: Text,
    *,
    kind: str = "char",
    vocab_size: int = 1024,
    split_on: str | None = None,
    val_fraction: float = 0.1,
) -> Corpus:
    """Tokenizes a text, or finds its tokens in the cache, and splits them; see `cache.tokenize`.

    Raises ChargenError for a text that cannot be read or is too short to learn from.
    """
    folder = tokenize(text, kind, vocab_size, split_on, val_fraction)
    return split(*open_entry(folder), text, split_on, val_fraction)


def split(
    ids: Ids, tokenizer: Tokenizer, text: Text, split_on: str | None, val_fraction: float
) -> Corpus:
    """Splits the tokens `ids` of a text: the last `val_fraction` of the characters is for validation.

    Where there are documents, the split is at the end of one. Raises ChargenError for a fraction out
    of range and for a training part of fewer than `SMALLEST` tokens.
    """
    if not 0 <= val_fraction < 1:
        raise ChargenError(
            f"the validation fraction must be at least 0 and below 1, got {val_fraction}",
            "set {val_fraction} to 0.1, for example",
        )
    # A fraction of the characters, so that the validation text does not depend on the tokenizer.
    cut = tokenizer.split_point(ids, 1 - val_fraction)
    if tokenizer.end_id is not None and cut < len(ids):
        ends = np.flatnonzero(ids[:cut] == tokenizer.end_id)
        cut = int(ends[-1]) + 1 if len(ends) else 0
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
    )


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
