"""A linear classifier over the n-grams of a text: what a recurrent network is measured against.

    logits = normalised tf-idf @ weights + bias

It knows which n-grams occur and how often, and nothing of their order. It is also the wide part of a
classifier, whose logits are added to those of the network (after Cheng et al. 2016,
https://arxiv.org/abs/1606.07792).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from chargen.errors import ChargenError
from chargen.modes import default_modes
from chargen.ngrams import Hashes, NGrams, hash_ngrams
from chargen.storage.arrays import Arrays, check_arrays

_CHUNK = 1 << 19  # characters of texts whose n-grams are in memory at once

with warnings.catch_warnings():  # torch says once in a process that this layout is in beta
    warnings.simplefilter("ignore")
    torch.zeros(1, 1).to_sparse_csr()


@dataclass(frozen=True, repr=False)
class LinearClassifier:
    """F n-grams by their hashes, and their weights for C classes. Unknown n-grams do not count."""

    hashes: Hashes  # (F,) ascending
    idf: npt.NDArray[np.float32]  # (F,) inverse document frequencies
    weights: Tensor  # (F, C)
    bias: Tensor  # (C,)

    @classmethod
    def from_arrays(cls, path: Path, arrays: Arrays, classes: int) -> LinearClassifier:
        """Returns the classifier that gave these `arrays`.

        Raises ChargenError, with the `path` of their file, unless they fit that number of `classes`.
        """
        arrays = dict(arrays)
        try:
            hashes = arrays.pop("hashes").view(np.uint64)
        except (KeyError, TypeError, ValueError) as error:  # missing, or of another type
            raise ChargenError(f"{path} is damaged: {error}") from error
        if hashes.ndim != 1 or not (hashes[1:] > hashes[:-1]).all():
            raise ChargenError(f"{path} is damaged: its n-grams are not in ascending order")
        count = len(hashes)
        shapes = {"idf": (count,), "weights": (count, classes), "bias": (classes,)}
        check_arrays(path, arrays, shapes)
        idf, weights, bias = (arrays[name].astype(np.float32) for name in shapes)
        return cls(hashes, idf, torch.from_numpy(weights), torch.from_numpy(bias))

    def arrays(self) -> Arrays:
        """Returns the arrays by the names that they are saved under."""
        return {
            "hashes": self.hashes.view(np.int64),
            "idf": self.idf,
            "weights": self.weights.half().numpy(),
            "bias": self.bias.half().numpy(),
        }

    def __repr__(self) -> str:
        return f"LinearClassifier({len(self.hashes):,} n-grams, {len(self.bias):,} classes)"

    @default_modes()
    @torch.no_grad()
    def logits(self, texts: Sequence[str]) -> Tensor:
        """Returns the logits (N, C) of N texts, on the CPU."""
        parts = [self.features(part) @ self.weights + self.bias for part in chunks(texts)]
        return torch.cat(parts) if parts else self.bias.new_zeros(0, len(self.bias))

    def features(self, texts: Sequence[str]) -> Tensor:
        """Returns the normalised tf-idf of texts, a sparse tensor (N, F)."""
        return tf_idf(hash_ngrams(texts), len(texts), self.hashes, self.idf)

    def scaled(self, factor: float) -> LinearClassifier:
        """Returns the same classifier with all logits times `factor`, the inverse of a temperature."""
        return replace(self, weights=rounded(self.weights * factor), bias=rounded(self.bias * factor))

    @default_modes()
    @torch.no_grad()
    def contributions(self, text: str, index: int) -> npt.NDArray[np.float64]:
        """Returns how much each character of a text adds to the logit of the class `index`, (T,).

        That is the excess over the mean of all classes. An n-gram divides what it adds equally among
        its characters.
        """
        ngrams = hash_ngrams([text])
        features = self.features([text])
        columns, known = _columns(ngrams.hashes, self.hashes)
        excess = (self.weights[:, index] - self.weights.mean(1)).numpy()
        values = np.zeros(len(self.hashes), np.float32)
        values[features.col_indices().numpy()] = features.values().numpy()
        counts = np.bincount(columns[known], minlength=len(self.hashes))
        starts = np.maximum(ngrams.starts[known], 0)
        ends = np.minimum(ngrams.ends[known], len(text))
        chosen = columns[known]
        each = values[chosen] * excess[chosen] / (counts[chosen] * (ends - starts))
        edges = np.zeros(len(text) + 1)
        np.add.at(edges, starts, each)
        np.add.at(edges, ends, -each)
        contributions: npt.NDArray[np.float64] = np.cumsum(edges)[:-1]
        return contributions


def chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields consecutive parts of `texts`, each with few enough characters for its n-grams."""
    ends = np.cumsum([len(text) for text in texts])
    if not len(ends):
        return
    cuts = np.searchsorted(ends, np.arange(_CHUNK, ends[-1], _CHUNK), side="left") + 1
    for start, end in pairwise([0, *np.unique(cuts).tolist(), len(texts)]):
        if start < end:
            yield texts[start:end]


def tf_idf(ngrams: NGrams, texts: int, hashes: Hashes, idf: npt.NDArray[np.float32]) -> Tensor:
    """Returns (1 + log count) * idf of each n-gram in each text, of unit length: sparse (N, F).

    `texts` is N; `hashes` (F,), ascending, and their `idf` are the known n-grams.
    """
    columns, known = _columns(ngrams.hashes, hashes)
    keys, counts = np.unique(ngrams.texts[known] * len(hashes) + columns[known], return_counts=True)
    rows, columns = keys // max(1, len(hashes)), keys % max(1, len(hashes))
    values = (1 + np.log(counts)) * idf[columns]
    lengths = np.sqrt(np.bincount(rows, values * values, minlength=texts))
    return sparse(
        torch.from_numpy(np.searchsorted(rows, np.arange(texts + 1)).astype(np.int32)),
        torch.from_numpy(columns.astype(np.int32)),
        torch.from_numpy((values / lengths[rows]).astype(np.float32)),
        len(hashes),
    )


def sparse(ends: Tensor, columns: Tensor, values: Tensor, width: int) -> Tensor:
    """Returns a sparse matrix of `width` columns.

    Row r has the `values` from ends[r] to ends[r + 1], each in its column.
    """
    shape = len(ends) - 1, width
    return torch.sparse_csr_tensor(ends, columns, values, shape, check_invariants=False)


def rounded(weights: Tensor) -> Tensor:
    """Rounds weights to half precision, in which they are stored."""
    return weights.half().float()


def _columns(occurring: Hashes, hashes: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Returns the index of each of the `occurring` hashes among `hashes`, and whether it is there."""
    if not len(hashes):
        return np.zeros(len(occurring), np.int64), np.zeros(len(occurring), np.bool_)
    columns = np.minimum(np.searchsorted(hashes, occurring), len(hashes) - 1)
    return columns, hashes[columns] == occurring
