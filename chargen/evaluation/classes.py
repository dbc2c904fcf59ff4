"""How well a classifier does on labelled texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from chargen.data.batches import Texts
from chargen.model import Classifier

BINS = 10  # of confidence, for the calibration error


@dataclass(frozen=True)
class ClassScore:
    """What a classifier said of texts whose labels are known."""

    probabilities: npt.NDArray[np.float64]  # (N, C)
    labels: npt.NDArray[np.int64]  # (N,)
    classes: list[str]

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """(N,) the likeliest class of each text."""
        likeliest: npt.NDArray[np.int64] = self.probabilities.argmax(1)
        return likeliest

    @property
    def accuracy(self) -> float:
        """The share of texts whose likeliest class is the right one."""
        return float((self.predictions == self.labels).mean())

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """(C, C) how often a text of the row's class was given the column's."""
        table = np.zeros((len(self.classes), len(self.classes)), np.int64)
        known = self.labels >= 0
        np.add.at(table, (self.labels[known], self.predictions[known]), 1)
        return table

    @cached_property
    def per_class(self) -> npt.NDArray[np.float64]:
        """(C, 3) precision, recall and F1 of each class; 0 where there is nothing to divide by."""
        right = np.diag(self.confusion).astype(float)
        given = np.bincount(self.predictions, minlength=len(self.classes))
        there = self.confusion.sum(1)
        precision = right / np.maximum(1, given)
        recall = right / np.maximum(1, there)
        f1 = 2 * precision * recall / np.maximum(1e-12, precision + recall)
        return np.stack([precision, recall, f1], 1)

    @property
    def macro_f1(self) -> float:
        """The mean F1 over the classes that occur among the labels or the predictions."""
        occurs = (self.confusion.sum(1) + self.confusion.sum(0)) > 0
        return float(self.per_class[occurs, 2].mean()) if occurs.any() else 0.0

    @property
    def nats(self) -> float:
        """The mean surprise at the right class."""
        known = self.labels >= 0
        right = self.probabilities[known, self.labels[known]]
        return float(-np.log(np.maximum(right, 1e-12)).mean()) if known.any() else math.nan

    @property
    def validation_loss(self) -> float:
        """What training watches on what it never saw: errors, and surprise where they are equal.

        Surprise alone would choose too early: it grows with overconfidence while errors still fall.
        """
        return 1 - self.accuracy + self.nats / 100

    @property
    def calibration_error(self) -> float:
        """How far confidence and accuracy lie apart, on average (Guo et al. 2017)."""
        confidence = self.probabilities.max(1)
        right = self.predictions == self.labels
        bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
        gaps = [
            abs(float(confidence[bins == b].mean()) - float(right[bins == b].mean()))
            * float((bins == b).mean())
            for b in range(BINS)
            if (bins == b).any()
        ]
        return float(sum(gaps))


@torch.no_grad()
def evaluate(
    model: Classifier,
    texts: Texts,
    classes: list[str],
    places: npt.NDArray[np.int64] | None = None,
) -> ClassScore:
    """What the classifier says of texts, in batches of similar length."""
    places = np.arange(len(texts)) if places is None else places
    device = model.head.weight.device
    probabilities = np.zeros((len(places), len(classes)))
    order = np.argsort(texts.lengths[places], kind="stable")
    for part in np.split(order, np.arange(64, len(order), 64)):
        ids, lengths = (tensor.to(device) for tensor in texts.batch(places[part]))
        logits, _ = model(ids, lengths)
        probabilities[part] = logits.double().softmax(-1).cpu().numpy()
    return ClassScore(probabilities, texts.labels[places], classes)
