"""Texts as ids in padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from chargen.data.labelled import Labelled
from chargen.errors import ChargenError
from chargen.tokenizers.base import Ids, Tokenizer

SHORTEST = 0.3  # part of a text that is shown where it is cropped


@dataclass(frozen=True)
class Augmentation:
    """How texts are shown while learning."""

    reading: float = 1.0  # weight of the loss of reading, beside that of judging
    noise: float = 0.1  # share of the symbols that are hidden, so that no single one decides
    cropped: float = 0.5  # share of the texts shown in part only, so that a part will do later, too
    longest: int | None = None  # ids of a text that are shown at once, another part each time


FINE_TUNING = Augmentation(reading=0.2, noise=0.05, cropped=0.0)  # of a stack that can read already


@dataclass(frozen=True)
class Texts:
    """Texts as ids, one behind the other, with their labels."""

    ids: Ids
    ends: npt.NDArray[np.int64]  # (N,) where each text ends
    labels: npt.NDArray[np.int64]  # (N,) places in the list of classes; -1 for a label not in it

    @classmethod
    def of(cls, texts: Sequence[Ids], labels: Sequence[int]) -> Texts:
        """Puts texts together; none may be empty."""
        lengths = [len(text) for text in texts]
        ids = np.concatenate(texts) if texts else np.zeros(0, np.uint8)
        return cls(ids, np.cumsum(lengths, dtype=np.int64), np.array(labels, np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(N,) ids of each text."""
        lengths: npt.NDArray[np.int64] = np.diff(self.ends, prepend=0)
        return lengths

    def batch(
        self,
        places: npt.NDArray[np.int64],
        augmentation: Augmentation | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The texts at these places as ids (T, B), padded with zeros, and their lengths (B,).

        With habits and randomness, some are shown in part; the first id always stays the first.
        """
        lengths, skipped = self.lengths[places], np.zeros(len(places), np.int64)
        begins = self.ends[places] - lengths
        if augmentation is not None and rng is not None:
            chosen = rng.random(len(places)) < augmentation.cropped
            shares = np.where(chosen, rng.uniform(SHORTEST, 1, len(places)), 1)
            kept = np.ceil(lengths * shares).astype(np.int64)
            kept = np.minimum(kept, augmentation.longest or kept)
            skipped = (rng.random(len(places)) * (lengths - kept + 1)).astype(np.int64)
            lengths = kept
        times = np.arange(lengths.max())[:, None]  # (T, 1)
        inside = times < lengths
        where = np.where(inside, begins + times + skipped * (times > 0), 0)
        ids = np.where(inside, self.ids[where].astype(np.int64), 0)
        return torch.from_numpy(ids), torch.from_numpy(lengths)


MAX_LENGTH = 1000  # ids of a text that are read


def encoded(
    data: Labelled, tokenizer: Tokenizer, classes: list[str], longest: int = MAX_LENGTH
) -> Texts:
    """Texts as ids, each behind the beginning of a document, as far as they are read."""
    places = {name: place for place, name in enumerate(classes)}
    labels = [places.get(label, -1) for label in data.labels]
    return Texts.of([encode_truncated(text, tokenizer, longest) for text in data.texts], labels)


def encode_truncated(text: str, tokenizer: Tokenizer, longest: int) -> Ids:
    # No piece is longer than sixteen characters: the rest of a long text need not be looked at.
    text = text[: 16 * longest].replace("\r\n", "\n").replace("\r", "\n")
    try:
        ids = tokenizer.encode(text)
    except ChargenError:
        ids = tokenizer.encode(tokenizer.adapt(text, skip=True)[0])
    return np.concatenate([np.array(tokenizer.start_tokens(), tokenizer.dtype), ids])[:longest]
