"""The running average of a model's weights, which is scored and kept in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

AVERAGED_SHARE = 0.15  # the average spans about this share of the steps, the last ones


class WeightAverages:
    """The averages of weights, given by name: polynomial-decay averaging (Shamir and Zhang 2013).

    Weights and averages stay where they are in memory: a CUDA graph finds them there, and cuDNN wants
    the weights of a layer in one piece.
    """

    def __init__(self, named_weights: Iterable[tuple[str, nn.Parameter]]) -> None:
        self._weights = dict(named_weights)
        self._averages = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._swapped = False

    @staticmethod
    def weight_of(step: int) -> float:
        """Returns how far the averages move to the weights after `step` steps, from 0 to 1."""
        return 1 / (1 + AVERAGED_SHARE * step)

    def update(self, share: Any) -> None:
        """Moves the averages by `share`, a number or a scalar tensor, of the way to the weights."""
        for name, weight in self._weights.items():
            self._averages[name].lerp_(weight.detach(), share)

    def swap(self) -> None:
        """Exchanges the weights of the model and their averages."""
        self._swapped = not self._swapped
        for name, weight in self._weights.items():
            before = weight.detach().clone()
            weight.data.copy_(self._averages[name])
            self._averages[name].copy_(before)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averages as its weights for as long as the `with` block lasts."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def tensors(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Returns (weight, average) by name, whichever of them the model has at present."""
        pairs = {name: (weight.data, self._averages[name]) for name, weight in self._weights.items()}
        return {name: pair[::-1] for name, pair in pairs.items()} if self._swapped else pairs
