"""Fits a linear classifier over n-grams, and what it says of texts that it was not fitted to.

The weights are those of a logistic regression that is shrunk towards `prior` times the weights of
naive Bayes rather than towards zero (in the spirit of Wang and Manning 2012,
https://aclanthology.org/P12-2018). With few examples of an n-gram, naive Bayes knows more; whether
that helps on given texts is found on held-out folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from chargen.linear import LinearClassifier, chunks, rounded, sparse, tf_idf
from chargen.modes import default_modes
from chargen.ngrams import Hashes, hash_ngrams

STRENGTH = 10.0  # inverse of the penalty on the distance from the prior (C in scikit-learn)
PRIORS = (0.0, 2.0)  # factors of the weights of naive Bayes, to choose from
SMOOTHING = 0.1  # added to the counts of naive Bayes
FOLDS = 3
ITERATIONS = 40  # of L-BFGS, at most
MAX_FEATURES = 1 << 19  # the n-grams of the most texts
MAX_WEIGHTS = 1 << 21  # n-grams times classes
MAX_CHARACTERS = 8_000_000  # of texts to fit to; of more, a part is drawn

Labels = npt.NDArray[np.int64]


class LinearFit(NamedTuple):
    """A linear classifier, and its logits for each text when it is fitted without that text."""

    classifier: LinearClassifier
    out_of_fold: Tensor  # (N, C); scaled so that they are as confident as they may be


@default_modes()
@torch.no_grad()
def cross_fit(
    texts: Sequence[str],
    labels: Labels,
    sources: npt.NDArray[np.int64],
    num_classes: int,
    *,
    power: float = 0.0,
    seed: int = 0,
) -> LinearFit:
    """Fits to all `texts` with their `labels` (N,), and to all but a fold for the logits of that fold.

    Texts of the same source, by the index in `sources` (N,), are in the same fold. Of the `PRIORS`,
    the one with the lowest cross entropy out of fold is taken, on the first text of each source.
    `power` is that of the class sizes by which texts are weighted: 0 weighs all texts equally, 1 all
    classes. If there are more than `MAX_CHARACTERS`, some texts are drawn to fit to, by `seed`.
    """
    rng = np.random.default_rng(seed)
    lengths = np.array([len(text) for text in texts])
    drawn = rng.random(len(texts)) < MAX_CHARACTERS / max(1, int(lengths.sum()))
    chosen = np.flatnonzero(drawn)
    part = [texts[index] for index in chosen.tolist()]
    hashes, idf, features = _vocabulary(part, num_classes)
    folds = (rng.permutation(int(sources.max()) + 1) % FOLDS)[sources[chosen]]
    first_of_source = np.unique(sources[chosen], return_index=True)[1]
    targets = labels[chosen]
    sizes = np.maximum(1, np.bincount(targets, minlength=num_classes))
    weighting = ((len(targets) / (num_classes * sizes)) ** power)[targets]

    def fitted(rows: npt.NDArray[np.int64], priors: Sequence[float]) -> list[Tensor]:
        """Returns the weights and the bias (F + 1, C) of a fit to some rows, for each of `priors`."""
        one_hot = F.one_hot(torch.from_numpy(targets[rows]), num_classes).float()
        of_rows = _rows(features, rows)
        columns = of_rows.transpose(0, 1).to_sparse_csr()
        bayes = _naive_bayes(columns, one_hot, torch.from_numpy(idf))
        weights = torch.from_numpy(weighting[rows]).float()
        return [_regression(of_rows, columns, one_hot, weights, prior * bayes) for prior in priors]

    by_prior = torch.zeros(len(PRIORS), len(part), num_classes)  # logits out of fold
    for fold in range(FOLDS):
        own = np.flatnonzero(folds == fold)
        features_of_fold = _rows(features, own)
        for logits, weights in zip(
            by_prior, fitted(np.flatnonzero(folds != fold), PRIORS), strict=True
        ):
            logits[own] = features_of_fold @ weights[:-1] + weights[-1]
    scales = [best_scale(logits, targets) for logits in by_prior]
    by_prior *= torch.tensor(scales)[:, None, None]
    of_texts = torch.from_numpy(targets[first_of_source])
    losses = [float(F.cross_entropy(logits[first_of_source], of_texts)) for logits in by_prior]
    best = losses.index(min(losses))
    (weights,) = fitted(np.arange(len(part)), PRIORS[best : best + 1])
    weights = scales[best] * weights
    classifier = LinearClassifier(hashes, idf, rounded(weights[:-1]), rounded(weights[-1]))
    out_of_fold = torch.zeros(len(texts), num_classes)
    out_of_fold[chosen] = by_prior[best]
    others = np.flatnonzero(~drawn)  # which it was not fitted to at all
    out_of_fold[others] = classifier.logits([texts[index] for index in others.tolist()])
    return LinearFit(classifier, out_of_fold)


@default_modes()
def best_scale(logits: Tensor, labels: Labels) -> float:
    """Returns the factor of `logits` (N, C), from 0.1 to 10, with the lowest cross entropy.

    One more text than there are is taken to be of any class (after Platt 1999): that few texts are
    all right does not make a classifier certain.
    """
    targets, smoothing = torch.from_numpy(labels), 1 / (len(labels) + 2)

    def loss(exponent: float) -> float:
        scaled = logits * 10.0**exponent
        return float(F.cross_entropy(scaled, targets, label_smoothing=smoothing))

    low, high = -1.0, 1.0
    while high - low > 1e-3:  # the cross entropy has one minimum
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(10.0 ** ((low + high) / 2))


def _vocabulary(
    texts: Sequence[str], num_classes: int
) -> tuple[Hashes, npt.NDArray[np.float32], Tensor]:
    """Returns the hashes (F,) and idf (F,) of the n-grams to count, and the features (N, F)."""
    parts = list(chunks(texts))
    hashed = [hash_ngrams(part) for part in parts]
    distinct, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for ngrams in hashed:  # count the texts that each n-gram is in
        order = np.lexsort((ngrams.texts, ngrams.hashes))
        hashes, owners = ngrams.hashes[order], ngrams.texts[order]
        first = np.r_[True, (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])]
        own, in_texts = np.unique(hashes[first], return_counts=True)
        distinct, inverse = np.unique(np.r_[distinct, own], return_inverse=True)
        counts = np.bincount(inverse, np.r_[counts, in_texts], len(distinct)).astype(np.int64)
    limit = min(MAX_FEATURES, MAX_WEIGHTS // num_classes)
    if len(distinct) > limit:
        frequent = np.sort(np.argsort(-counts, kind="stable")[:limit])
        distinct, counts = distinct[frequent], counts[frequent]
    idf = (np.log((1 + len(texts)) / (1 + counts)) + 1).astype(np.float32)
    matrices = [
        tf_idf(ngrams, len(part), distinct, idf) for ngrams, part in zip(hashed, parts, strict=True)
    ]
    return distinct, idf, _stacked(matrices, len(distinct))


def _rows(matrix: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
    """Returns some `rows` of a sparse matrix."""
    ends = matrix.crow_indices().numpy()
    counts = ends[rows + 1] - ends[rows]
    bounds = np.concatenate([[0], np.cumsum(counts)])
    within = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts)
    values = torch.from_numpy(np.repeat(ends[rows], counts) + within)
    return sparse(
        torch.from_numpy(bounds.astype(np.int32)),
        matrix.col_indices()[values],
        matrix.values()[values],
        matrix.shape[1],
    )


def _stacked(matrices: list[Tensor], columns: int) -> Tensor:
    """Returns sparse matrices below one another."""
    counts = np.concatenate([np.diff(matrix.crow_indices().numpy()) for matrix in matrices])
    rows = np.concatenate([[0], np.cumsum(counts)])
    return sparse(
        torch.from_numpy(rows.astype(np.int32)),
        torch.cat([matrix.col_indices() for matrix in matrices]),
        torch.cat([matrix.values() for matrix in matrices]),
        columns,
    )


def _naive_bayes(columns: Tensor, targets: Tensor, idf: Tensor) -> Tensor:
    """Returns the weights (F, C) of multinomial naive Bayes, for features of unit length.

    `columns` (F, N) are the features, transposed. An n-gram counts once in each text. Over the
    classes, the weights of each n-gram have the mean 0.
    """
    ones = torch.ones_like(columns.values())
    present = sparse(columns.crow_indices(), columns.col_indices(), ones, columns.shape[1])
    counts = present @ targets + SMOOTHING  # (F, C)
    weights = (counts / counts.sum(0)).log()
    return (weights - weights.mean(1, keepdim=True)) / idf[:, None]


def _regression(
    features: Tensor, columns: Tensor, targets: Tensor, weighting: Tensor, start: Tensor
) -> Tensor:
    """Returns the weights and the bias (F + 1, C) of a logistic regression shrunk towards `start`.

    `columns` (F, N) are the features (N, F), transposed.
    """
    number = len(targets)
    weights = torch.cat([start, start.new_zeros(1, start.shape[1])]).requires_grad_()
    decay = 1 / (STRENGTH * number)
    optimizer = torch.optim.LBFGS(
        [weights],
        max_iter=ITERATIONS,
        history_size=8,
        tolerance_grad=1e-5,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        with torch.no_grad():
            log_probabilities = (features @ weights[:-1] + weights[-1]).log_softmax(1)
            distance = weights[:-1] - start
            losses = -(log_probabilities * targets).sum(1) * weighting
            errors = (log_probabilities.exp() - targets) * (weighting / number)[:, None]
            slopes = columns @ errors + decay * distance
            weights.grad = torch.cat([slopes, errors.sum(0, keepdim=True)])
            return float(losses.mean() + decay / 2 * distance.square().sum())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()
