"""Predicted classes of many texts, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from chargen.data.encoding import Coverages, encode_many
from chargen.evaluation.classes import evaluate
from chargen.linear import LinearClassifier
from chargen.model import Classifier
from chargen.tokenizers.base import Tokenizer

PREDICTED = 1 << 15  # texts that are predicted together, so that those with equal beginnings meet
PROBABILITIES = 1 << 20  # that are computed at a time, to bound the memory


@dataclass(frozen=True, repr=False)
class Predictions:
    """A classifier's probabilities for N texts and C classes."""

    texts: list[str]
    probabilities: npt.NDArray[np.float64]  # (N, C), zeros for a text without a verdict
    classes: list[str]
    coverages: Coverages  # of the texts; those that are blank have no verdict

    def __repr__(self) -> str:
        return f"Predictions({len(self.texts):,} texts, {len(self.classes):,} classes)"

    def likeliest(self, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Returns the `count` likeliest classes of each text and their probabilities, (N, count) each.

        Fewer where there are fewer classes. Of equally likely ones, the first comes first.
        """
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]
        return order, np.take_along_axis(self.probabilities, order, axis=1)

    def by_class(self) -> Iterator[dict[str, float]]:
        """Yields the probability of each class, likeliest first, of each text; {} for no verdict."""
        order, probabilities = self.likeliest(len(self.classes))
        names = np.array(self.classes, object)[order]
        pairs = zip(names.ravel().tolist(), probabilities.ravel().tolist(), strict=True)
        for blank in self.coverages.blank.tolist():
            row = dict(islice(pairs, len(self.classes)))
            yield {} if blank else row


def predict_batches(
    model: Classifier,
    linear: LinearClassifier | None,
    tokenizer: Tokenizer,
    classes: list[str],
    max_length: int,
    texts: Iterable[str],
    batch: int = PREDICTED,
) -> Iterator[Predictions]:
    """Yields the predictions for up to `batch` texts at a time, fewer where there are many classes.

    The logits of the network are added to those of `linear`. Of each text, `max_length` tokens are
    read. Nothing is taken from `texts` before it is predicted.
    """
    remaining, batch = iter(texts), min(batch, max(1, PROBABILITIES // len(classes)))
    while batch_texts := list(islice(remaining, batch)):
        encoded, coverages = encode_many(batch_texts, tokenizer, max_length)
        probabilities = np.zeros((len(batch_texts), len(classes)))
        if linear is not None:
            encoded = replace(encoded, offsets=linear.logits(batch_texts))
        known = np.flatnonzero(~coverages.blank)
        probabilities[known] = evaluate(model, encoded, classes, known).probabilities
        yield Predictions(batch_texts, probabilities, classes, coverages)
