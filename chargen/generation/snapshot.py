"""A copy of a model's weights, by which every change of them is found."""

from __future__ import annotations

import torch

from chargen.model import LanguageModel


class WeightSnapshot:
    """A copy of a model's weights, which finds every change of them, however it was made.

    Torch counts most changes in place, but not those of `weight.data`. So the values are compared,
    which takes about as long as writing five characters.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._config = model.config
        self._weights = [weight.detach().clone() for weight in model.parameters()]

    def matches(self, model: LanguageModel) -> bool:
        """Returns whether a model has exactly these weights."""
        weights = list(model.parameters())
        return (
            model.config == self._config
            and len(weights) == len(self._weights)
            and all(map(_equal, weights, self._weights))
        )


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)
