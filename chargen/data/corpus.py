"""A text as a memory-mapped stream of ids, cut into parallel lanes and consecutive windows.

    text:   a b c d e f g h i j k l m n o p q r s t u v w x y z . .      N ids, taken as a circle

    lane 0  a b c d|e f g h|i j …        Each lane reads on for ever from a place of its own, so that
    lane 1  j k l m|n o p q|r s …        the state at the end of a window is the right one for the
    lane 2  s t u v|w x y z|. . …        start of the next: it is carried, only the gradient is cut.
             window   window

A corpus of documents is dealt anew every epoch: the lanes read the documents in a shuffled order.
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

SMALLEST = 64  # training ids; less is not a text to learn from


@dataclass(frozen=True)
class Corpus:
    """What is learned from, and what is kept apart to measure by."""

    training: Ids  # (N,) of the tokenizer's dtype, memory-mapped where it came from a file
    validation: Ids  # (M,) the contiguous end of the text; M may be 0
    tokenizer: Tokenizer  # with an end symbol where the text consists of documents
    name: str
    sha256: str  # of the text's bytes
    size: int  # bytes
    split_on: str | None  # what separates its documents
    val_fraction: float


def prepare(
    text: Text,
    *,
    kind: str = "char",
    vocab_size: int = 1024,
    split_on: str | None = None,
    val_fraction: float = 0.1,
) -> Corpus:
    """Tokenizes a text into the cache folder, or finds it there from an earlier time.

    Raises ChargenError for a text that cannot be read or is too short to learn from.
    """
    folder = tokenize(text, kind, vocab_size, split_on, val_fraction)
    return split(*open_entry(folder), text, split_on, val_fraction)


def split(
    ids: Ids, tokenizer: Tokenizer, text: Text, split_on: str | None, val_fraction: float
) -> Corpus:
    """Keeps the last part for validation, at the end of a document where there are documents."""
    if not 0 <= val_fraction < 1:
        raise ChargenError(f"--val-fraction must be at least 0 and below 1, got {val_fraction}")
    cut = tokenizer.split_point(ids, 1 - val_fraction)  # the same text, whatever the tokenizer
    if tokenizer.end_id is not None and cut < len(ids):
        ends = np.flatnonzero(ids[:cut] == tokenizer.end_id)
        cut = int(ends[-1]) + 1 if len(ends) else 0
    if cut < SMALLEST:
        raise ChargenError(
            f"{text.name} is too short to learn from: {len(ids):,} ids, of which {cut:,} are for "
            f"training and {len(ids) - cut:,} for validation; training needs at least {SMALLEST}"
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
    """B readers of one corpus, each a window of T ids at a time.

    Nothing is remembered between windows: what is read is a pure function of the position, the
    number of ids that each lane has read since the beginning of the training.
    """

    def __init__(self, corpus: Corpus, batch: int, window: int, seed: int) -> None:
        ids, end_id = corpus.training, corpus.tokenizer.end_id
        self._ids = ids
        self._window = window
        self._seed = seed
        self._starts = np.arange(batch) * len(ids) // batch  # (B,)
        self.epoch_length = len(ids) // batch  # ids of each lane that make up one epoch
        self._documents = None if end_id is None else np.flatnonzero(ids == end_id) + 1
        self._dealt: tuple[int, npt.NDArray[Any], npt.NDArray[Any]] | None = None

    def read(self, position: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], bool]:
        """Inputs (T, B), targets (T, B), and whether the lanes begin anew with an empty state.

        Documents are dealt anew at each epoch, so the last window of an epoch may be shorter.
        """
        length, fresh = self._window, position == 0
        if self._documents is not None:
            epoch, position = divmod(position, self.epoch_length)
            length, fresh = min(length, self.epoch_length - position), position == 0
        where = (self._starts + position + np.arange(length + 1)[:, None]) % len(self._ids)
        if self._documents is not None:
            where = self._deal(epoch, where)
        ids = self._ids[where].astype(np.int64)  # (T + 1, B)
        return ids[:-1], ids[1:], fresh

    def _deal(self, epoch: int, where: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Places in this epoch's order of documents, as places in the file."""
        assert self._documents is not None
        if self._dealt is None or self._dealt[0] != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._documents))
            ends = self._documents
            starts = np.concatenate([[0], ends[:-1]])
            after = np.cumsum((ends - starts)[order])  # where each dealt document ends
            self._dealt = epoch, after, ends[order] - after
        _, after, shift = self._dealt
        place: npt.NDArray[Any] = where + shift[np.searchsorted(after, where, side="right")]
        return place
