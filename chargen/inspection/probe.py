"""What the state of a generator knows of a text that it was never asked: a linear probe.

The generator reads each text once; its final state goes into a logistic regression, which learns the
labels while the generator stays as it is. And each single component of the state is asked alone: in a
large model trained on reviews, one of them told good from bad (Radford et al. 2017, the "sentiment
neuron").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from chargen.data.batches import Texts
from chargen.evaluation.classes import ClassScore
from chargen.model import LanguageModel

_BATCH = 128  # texts of the same length
_DECAY = 1e-3  # of the squared weights of the regression, whose inputs have unit variance

Features = npt.NDArray[np.float64]  # (N, F)


@dataclass(frozen=True)
class Component:
    """One number of the state, and how well it alone tells the classes apart."""

    layer: int  # from 1
    kind: str  # cell or hidden
    place: int  # from 0
    score: ClassScore
    means: list[float]  # of each class, in standard deviations from the mean of all


@torch.no_grad()
def final_states(model: LanguageModel, texts: Texts) -> Features:
    """(N, F) the state after the last id of each text: layer by layer, hidden before cell."""
    rows: list[npt.NDArray[np.float64] | None] = [None] * len(texts)
    # Texts of one length end together, so that no state is taken from behind a text.
    for length in np.unique(texts.lengths):
        places = np.flatnonzero(texts.lengths == length)
        for some in np.split(places, range(_BATCH, len(places), _BATCH)):
            ids, _ = texts.batch(some)
            device = model.head.weight.device
            _, state = model.stack(ids.to(device), model.initial_state(len(some)))
            flat = torch.cat([part[0] for layer in state for part in layer], -1).double().cpu().numpy()
            for place, row in zip(some, flat, strict=True):
                rows[place] = row
    return np.stack([row for row in rows if row is not None])


def probe(
    model: LanguageModel, training: Texts, validation: Texts, classes: list[str]
) -> tuple[ClassScore, Component]:
    """How well a linear probe does on the validation texts, and the most telling component."""
    first, second = final_states(model, training), final_states(model, validation)
    mean, deviation = first.mean(0), first.std(0) + 1e-8
    first, second = (first - mean) / deviation, (second - mean) / deviation
    score = ClassScore(
        _regress(first, training.labels, second, len(classes)), validation.labels, classes
    )
    gaussians = [_gaussian(column, training.labels, len(classes)) for column in first.T]
    told = [
        float((_ask(g, first[:, place]).argmax(1) == training.labels).mean())
        for place, g in enumerate(gaussians)
    ]
    best = int(np.argmax(told))
    alone = ClassScore(_ask(gaussians[best], second[:, best]), validation.labels, classes)
    kinds = ("hidden", "cell") if model.config.cell == "lstm" else ("hidden",)
    number, place = divmod(best, model.config.hidden_size)
    layer, kind = divmod(number, len(kinds))
    means = gaussians[best][0].tolist()
    return score, Component(layer + 1, kinds[kind], place, alone, means)


def _regress(
    features: Features, labels: npt.NDArray[np.int64], asked: Features, classes: int
) -> npt.NDArray[np.float64]:
    """Multinomial logistic regression by L-BFGS: probabilities (N, C) for the features asked for."""
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    weights = torch.zeros(features.shape[1] + 1, classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(x @ weights[1:] + weights[0], y)
        value = value + _DECAY * weights[1:].square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        logits = torch.from_numpy(asked) @ weights[1:] + weights[0]
        probabilities: npt.NDArray[np.float64] = logits.softmax(-1).numpy()
    return probabilities


# Means, deviations and logarithms of the shares of the classes, (C,) each.
_Gaussian = tuple[Features, Features, Features]


def _gaussian(column: Features, labels: npt.NDArray[np.int64], classes: int) -> _Gaussian:
    parts = [column[labels == c] for c in range(classes)]
    means = np.array([part.mean() if len(part) else 0.0 for part in parts])
    deviations = np.array([part.std() + 1e-2 if len(part) else 1.0 for part in parts])
    shares = np.log([max(len(part), 1e-9) / len(column) for part in parts])
    return means, deviations, shares


def _ask(gaussian: _Gaussian, column: Features) -> npt.NDArray[np.float64]:
    """Probabilities (N, C) by one number alone."""
    means, deviations, shares = gaussian
    logits = shares - np.log(deviations) - ((column[:, None] - means) / deviations) ** 2 / 2
    weights = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = weights / weights.sum(1, keepdims=True)
    return probabilities
