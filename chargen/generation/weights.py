"""The weights of a language model, wherever they come from: a network, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from chargen.shapes import ModelConfig

# PyTorch's names of what a layer has, after "stack.layers.N."; see `shapes.weight_shapes`.
LAYER_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


class Weights(Protocol):
    """The weights of a language model: a `LanguageModel`, or `StoredWeights`."""

    @property
    def config(self) -> ModelConfig:
        """The shape of the model."""

    def arrays(self) -> dict[str, Any]:
        """Returns the weights in single precision, by their names; see `shapes.weight_shapes`."""


@dataclass(frozen=True, repr=False)
class StoredWeights:
    """The weights of a language model as a checkpoint holds them, for which no torch is needed."""

    config: ModelConfig
    by_name: dict[str, Any]

    def arrays(self) -> dict[str, Any]:
        """Returns the weights in single precision, by their names; see `shapes.weight_shapes`."""
        return self.by_name
