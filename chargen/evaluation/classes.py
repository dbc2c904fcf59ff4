"""Scores of a classifier on labelled texts: accuracy, confusion, F1, loss and calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from chargen import arguments
from chargen.data.batches import Texts
from chargen.data.labelled import class_indices
from chargen.evaluation.prefixes import class_logits
from chargen.model import Classifier
from chargen.modes import default_modes
from chargen.suggestions import suggests

BINS = 10  # of equal width in confidence, for the calibration error


@suggests
@dataclass(frozen=True, repr=False)
class ClassScore:
    """A classifier's probabilities for N labelled texts and C classes, and what follows from them."""

    probabilities: npt.NDArray[np.float64]  # (N, C)
    labels: npt.NDArray[np.int64]  # (N,) indices into `classes`; -1 for a label that is not in it
    classes: list[str]
    crops: ClassScore | None = None  # of words cut from the texts, which training selects by, too

    def __repr__(self) -> str:
        scores = f"accuracy {self.accuracy:.1%}, macro-F1 {self.macro_f1:.3f}"
        return f"ClassScore({len(self.labels):,} texts, {len(self.classes):,} classes, {scores})"

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """The likeliest class of each text, (N,) indices into `classes`."""
        likeliest: npt.NDArray[np.int64] = self.probabilities.argmax(1)
        return likeliest

    @property
    def accuracy(self) -> float:
        """The share of texts whose likeliest class is their label, from 0 to 1."""
        return float((self.predictions == self.labels).mean())

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """(C, C) counts of the texts with the row's label and the column's prediction."""
        table = np.zeros((len(self.classes), len(self.classes)), np.int64)
        known = self.labels >= 0
        np.add.at(table, (self.labels[known], self.predictions[known]), 1)
        return table

    @cached_property
    def per_class(self) -> npt.NDArray[np.float64]:
        """(C, 3) precision, recall and F1 of each class; 0 for a class that does not occur."""
        right = np.diag(self.confusion).astype(float)
        predicted = np.bincount(self.predictions, minlength=len(self.classes))
        labelled = self.confusion.sum(1)
        precision = right / np.maximum(1, predicted)
        recall = right / np.maximum(1, labelled)
        f1 = 2 * precision * recall / np.maximum(1e-12, precision + recall)
        return np.stack([precision, recall, f1], 1)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that occur among the labels or the predictions."""
        occurs = (self.confusion.sum(1) + self.confusion.sum(0)) > 0
        return float(self.per_class[occurs, 2].mean()) if occurs.any() else 0.0

    @property
    def nats(self) -> float:
        """The mean cross entropy in nats per text; NaN where no label is known."""
        known = self.labels >= 0
        right = self.probabilities[known, self.labels[known]]
        return float(-np.log(np.maximum(right, 1e-12)).mean()) if known.any() else math.nan

    @property
    def validation_loss(self) -> float:
        """The error rate plus a hundredth of the nats: the number that training selects weights by.

        The nats break ties between equal error rates. By themselves they would select too early: they
        grow with overconfidence while the error rate still falls. Not comparable with
        `Score.validation_loss` of a generator, which is in nats. Where no label is known, the nats do
        not count: that they are not a number says nothing of the model. If there are `crops`, it is
        the mean with theirs.
        """
        loss = 1 - self.accuracy + (self.nats / 100 if (self.labels >= 0).any() else 0.0)
        return loss if self.crops is None else (loss + self.crops.validation_loss) / 2

    @property
    def calibration_error(self) -> float:
        """The expected calibration error, from 0 to 1 (Guo et al. 2017).

        The mean distance of confidence and accuracy over `BINS` bins of confidence, weighted by the
        number of texts in each.
        """
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

    def answered(self, at_least: float) -> tuple[float, float]:
        """Returns the share of texts that `answer` answers, and the accuracy on those.

        Both are from 0 to 1; the accuracy is NaN where no text is answered.
        """
        sure = self.probabilities.max(1) >= _probability(at_least)
        right = (self.predictions == self.labels)[sure]
        return float(sure.mean()), float(right.mean()) if len(right) else math.nan


def answer(prediction: Mapping[str, float], at_least: float) -> str | None:
    """Returns the likeliest class of a `prediction`, or None if it is less likely than `at_least`.

    `prediction` is what `TextClassifier.predict` returns, likeliest first; one without a class has no
    answer either. Raises ChargenError for an `at_least` that is not from 0 to 1.
    """
    at_least = _probability(at_least)
    likeliest, probability = next(iter(prediction.items()), (None, 0.0))
    return likeliest if probability >= at_least else None


def _probability(at_least: float) -> float:
    return arguments.number(at_least, "at_least", least=0, most=1)


@default_modes()
@torch.no_grad()
def evaluate(
    model: Classifier,
    texts: Texts,
    classes: list[str],
    indices: npt.NDArray[np.int64] | None = None,
) -> ClassScore:
    """Scores a classifier on texts, or on those at `indices` (N,).

    The logits of the network are added to the `offsets` of the texts, if they have any.
    """
    indices = np.arange(len(texts)) if indices is None else indices
    logits = torch.from_numpy(class_logits(model, texts, indices))
    if texts.offsets is not None:
        logits = logits + texts.offsets[indices]
    probabilities = logits.softmax(-1).numpy()
    return ClassScore(probabilities, texts.labels[indices], classes)


def score_logits(logits: torch.Tensor, labels: list[str], classes: list[str]) -> ClassScore:
    """Scores logits (N, C) by the `labels` of their texts."""
    probabilities = logits.double().softmax(-1).numpy()
    return ClassScore(probabilities, class_indices(labels, classes), classes)
