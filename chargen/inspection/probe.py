"""A linear probe: what the state of a generator encodes about labels that it was never trained on.

The generator reads each text once. Its final state is the input of a logistic regression that learns
the labels while the generator stays frozen. Each component of the state is also tested alone: in a
large model trained on reviews, a single one told good reviews from bad (Radford et al. 2017, the
"sentiment neuron").
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
from chargen.modes import default_modes
from chargen.shapes import StateComponent

_BATCH = 128  # texts of the same length
_DECAY = 1e-3  # L2 penalty of the regression, whose inputs have unit variance

Features = npt.NDArray[np.float64]  # (N, F)


@dataclass(frozen=True)
class ComponentScore:
    """How well one component of the state tells the classes apart by itself."""

    component: StateComponent
    score: ClassScore
    means: list[float]  # its mean in each class, in standard deviations from its mean over all texts


@default_modes()
@torch.no_grad()
def final_states(model: LanguageModel, texts: Texts) -> Features:
    """Returns the final state (N, F) of each text: layer by layer, hidden before cell."""
    rows: list[npt.NDArray[np.float64] | None] = [None] * len(texts)
    # Texts of equal length end together, so no state is read after padding.
    for length in np.unique(texts.lengths):
        indices = np.flatnonzero(texts.lengths == length)
        for batch in np.split(indices, range(_BATCH, len(indices), _BATCH)):
            ids, _ = texts.batch(batch)
            device = model.head.weight.device
            _, state = model.stack(ids.to(device), model.initial_state(len(batch)))
            flat = torch.cat([part[0] for layer in state for part in layer], -1).cpu().double().numpy()
            for index, row in zip(batch, flat, strict=True):
                rows[index] = row
    return np.stack([row for row in rows if row is not None])


def probe(
    model: LanguageModel, training: Texts, validation: Texts, classes: list[str]
) -> tuple[ClassScore, ComponentScore]:
    """Fits the probe on the training texts and scores it on the validation texts.

    Returns the score of the whole state, and that of the component that is most accurate alone on the
    training texts.
    """
    train_states, val_states = final_states(model, training), final_states(model, validation)
    mean, deviation = train_states.mean(0), train_states.std(0) + 1e-8
    train_states, val_states = (train_states - mean) / deviation, (val_states - mean) / deviation
    probabilities = _logistic_regression(train_states, training.labels, val_states, len(classes))
    score = ClassScore(probabilities, validation.labels, classes)
    gaussians = [_fit_gaussians(column, training.labels, len(classes)) for column in train_states.T]
    accuracies = [
        float((_posterior(fit, train_states[:, number]).argmax(1) == training.labels).mean())
        for number, fit in enumerate(gaussians)
    ]
    best = int(np.argmax(accuracies))
    alone = ClassScore(_posterior(gaussians[best], val_states[:, best]), validation.labels, classes)
    kinds = ("hidden", "cell") if model.config.cell == "lstm" else ("hidden",)
    part, index = divmod(best, model.config.hidden_size)
    layer, kind = divmod(part, len(kinds))
    component = StateComponent(layer + 1, index, kinds[kind])
    return score, ComponentScore(component, alone, gaussians[best][0].tolist())


def _logistic_regression(
    features: Features, labels: npt.NDArray[np.int64], inputs: Features, classes: int
) -> npt.NDArray[np.float64]:
    """Fits a multinomial logistic regression by L-BFGS; returns probabilities (N, C) for `inputs`."""
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
        logits = torch.from_numpy(inputs) @ weights[1:] + weights[0]
        probabilities: npt.NDArray[np.float64] = logits.softmax(-1).numpy()
    return probabilities


# A normal distribution per class: means, standard deviations and log priors, (C,) each.
_Gaussians = tuple[Features, Features, Features]


def _fit_gaussians(column: Features, labels: npt.NDArray[np.int64], classes: int) -> _Gaussians:
    parts = [column[labels == c] for c in range(classes)]
    means = np.array([part.mean() if len(part) else 0.0 for part in parts])
    # A floor for the deviations keeps a class of equal values from winning everywhere near them.
    deviations = np.array([part.std() + 1e-2 if len(part) else 1.0 for part in parts])
    priors = np.log([max(len(part), 1e-9) / len(column) for part in parts])
    return means, deviations, priors


def _posterior(gaussians: _Gaussians, column: Features) -> npt.NDArray[np.float64]:
    """Returns class probabilities (N, C) given the values (N,) of one component, by Bayes' rule."""
    means, deviations, priors = gaussians
    logits = priors - np.log(deviations) - ((column[:, None] - means) / deviations) ** 2 / 2
    weights = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = weights / weights.sum(1, keepdims=True)
    return probabilities
