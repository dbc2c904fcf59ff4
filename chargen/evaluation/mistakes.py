"""The mistakes of which a classifier is surest: often it is the label that is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chargen.data.labelled import Labelled
from chargen.evaluation.classes import ClassScore


@dataclass(frozen=True)
class Mistake:
    """A text whose likeliest class is not its label."""

    text: str
    label: str
    prediction: str  # the likeliest class
    confidence: float  # its probability, from 0 to 1

    def line(self, length: int = 80) -> str:
        """Returns the text in one line, of at most `length` characters."""
        words = " ".join(self.text[: 8 * length].split())
        return words if len(words) <= length else words[: length - 1].rstrip() + "…"


def confident_mistakes(score: ClassScore, data: Labelled, count: int = 10) -> list[Mistake]:
    """Returns the `count` mistakes with the highest probability, highest first.

    `score` is that of the texts of `data`, in their order. Labels that are no class of the classifier
    are left out: it could not predict them.
    """
    predictions, confidence = score.predictions, score.probabilities.max(1)
    wrong = np.flatnonzero((predictions != score.labels) & (score.labels >= 0))
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")[:count]]
    return [
        Mistake(
            data.texts[index],
            data.labels[index],
            score.classes[predictions[index]],
            float(confidence[index]),
        )
        for index in surest.tolist()
    ]
