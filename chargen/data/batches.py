"""Tokenized texts of different lengths, in padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from chargen.tokenizers.base import Ids

SHORTEST_CROP = 0.3  # of a text's length
MAX_LENGTH = 1000  # tokens of a text that are read


@dataclass(frozen=True)
class Augmentation:
    """Regularisation of a classifier's training; the fields are keys of config.json."""

    reading: float = 1.0  # weight of the auxiliary loss, that of predicting the next token
    noise: float = 0.1  # share of the tokens that are hidden, so that no single one decides
    cropped: float = 0.5  # share of the texts that are cropped, so that a part suffices later, too
    longest: int | None = None  # tokens that are read of a longer text, another crop in each epoch


FINE_TUNING = Augmentation(reading=0.2, noise=0.05, cropped=0.0)  # for a pretrained stack


@dataclass(frozen=True)
class Coverage:
    """How much of a text, or of several texts, a classifier reads."""

    texts: int = 0  # count
    cut: int = 0  # texts of which only the beginning is read
    characters: int = 0  # count, of texts that were cut only near the part that is read
    unknown: int = 0  # characters that the tokenizer cannot represent, so that they are left out
    blank: int = 0  # texts without a single known character that is not white space

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            self.texts + other.texts,
            self.cut + other.cut,
            self.characters + other.characters,
            self.unknown + other.unknown,
            self.blank + other.blank,
        )

    def notes(self, longest: str) -> list[str]:
        """Returns a sentence on each kind of loss, for a person; `longest` is such as "9 tokens"."""
        notes = []
        if self.cut:
            texts = "the text" if self.texts == 1 else f"{self.cut:,} of {self.texts:,} texts"
            are = "is" if self.cut == 1 else "are"
            notes.append(f"{texts} {are} longer than {longest}: the rest is not read")
        if self.unknown:
            characters = f"{self.unknown:,} of {self.characters:,} characters"
            are = "is" if self.unknown == 1 else "are"
            notes.append(f"{characters} {are} unknown to the model and left out")
        if self.blank and self.texts > 1:
            texts, hold = (
                f"{self.blank:,} of {self.texts:,} texts",
                "holds" if self.blank == 1 else "hold",
            )
            notes.append(f"{texts} {hold} no character that the model knows")
        return notes


@dataclass(frozen=True, repr=False)
class Texts:
    """N tokenized texts in one array, with their labels."""

    ids: Ids  # the tokens of all texts
    ends: npt.NDArray[np.int64]  # (N,) the end of each text in `ids`
    labels: npt.NDArray[np.int64]  # (N,) indices into the list of classes; -1 for any other label
    coverage: Coverage = field(default_factory=Coverage)  # of what was tokenized
    # (N, C) the logits of a linear classifier, to which the network adds its own
    offsets: torch.Tensor | None = None

    @classmethod
    def concatenate(
        cls, texts: Sequence[Ids], labels: Sequence[int], coverage: Coverage | None = None
    ) -> Texts:
        """Concatenates the tokens of texts, none of which may be empty."""
        lengths = [len(text) for text in texts]
        ids = np.concatenate(texts) if texts else np.zeros(0, np.uint8)
        ends = np.cumsum(lengths, dtype=np.int64)
        return cls(ids, ends, np.array(labels, np.int64), coverage or Coverage())

    def __len__(self) -> int:
        return len(self.ends)

    def __repr__(self) -> str:
        return f"Texts({len(self):,} texts, {len(self.ids):,} tokens)"

    def scaled(self, factor: float) -> Texts:
        """Returns the same texts with `offsets` times a factor."""
        return self if self.offsets is None else replace(self, offsets=self.offsets * factor)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens of each text, (N,)."""
        lengths: npt.NDArray[np.int64] = np.diff(self.ends, prepend=0)
        return lengths

    def batch(
        self,
        indices: npt.NDArray[np.int64],
        augmentation: Augmentation | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the texts at `indices` (B,) as tokens (T, B), padded with zeros, and lengths (B,).

        With `augmentation` and `rng`, texts are cropped at random. The first token, which stands for
        the beginning of a document, stays the first.
        """
        lengths, skipped = self.lengths[indices], np.zeros(len(indices), np.int64)
        starts = self.ends[indices] - lengths
        if augmentation is not None and rng is not None:
            chosen = rng.random(len(indices)) < augmentation.cropped
            shares = np.where(chosen, rng.uniform(SHORTEST_CROP, 1, len(indices)), 1)
            crops = np.ceil(lengths * shares).astype(np.int64)
            crops = np.minimum(crops, augmentation.longest or crops)
            skipped = (rng.random(len(indices)) * (lengths - crops + 1)).astype(np.int64)
            lengths = crops
        times = np.arange(lengths.max())[:, None]  # (T, 1)
        inside = times < lengths
        positions = np.where(inside, starts + times + skipped * (times > 0), 0)
        ids = np.where(inside, self.ids[positions].astype(np.int64), 0)
        return torch.from_numpy(ids), torch.from_numpy(lengths)
