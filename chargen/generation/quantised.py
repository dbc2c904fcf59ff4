"""The weights of a language model in whole numbers, as docs/portable.md defines them.

Letters: V vocabulary, E embedding, H hidden, G gates of the cell; rows are in PyTorch's order of the
gates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.generation.weights import LAYER_WEIGHTS, Weights
from chargen.shapes import ModelConfig

Array = npt.NDArray[np.float32]


class QuantisedRows(NamedTuple):
    """A matrix in whole numbers, with one scale a row: about `values * scales[:, None]`."""

    values: npt.NDArray[Any]  # int8 or int16
    scales: Array

    @classmethod
    def from_matrix(cls, matrix: Array, bits: int) -> QuantisedRows:
        """Rounds a matrix to whole numbers of 8 or 16 bits, the largest of each row to the limit."""
        limit = np.float32((1 << (bits - 1)) - 1)
        largest = np.abs(matrix).max(1, initial=0)
        scales = (np.where(largest > SMALLEST, largest, 1) / limit).astype(np.float32)
        values = np.rint(matrix / scales[:, None]).astype(np.int8 if bits == 8 else np.int16)
        return cls(values, scales)

    def __matmul__(self, other: QuantisedRows) -> npt.NDArray[np.float64]:
        """Returns `self @ other.T`, the sums of whole numbers exact, then scaled by both rows."""
        sums = self.values.astype(np.float64) @ other.values.astype(np.float64).T
        scaled: npt.NDArray[np.float64] = (
            sums * self.scales.astype(np.float64)[:, None] * other.scales.astype(np.float64)
        )
        return scaled


class QuantisedLayer(NamedTuple):
    """One recurrent layer: its biases, and matrices of eight bits.

    Of an LSTM and a simple layer, `matrices` is [W_hh | W_ih], (G * H, 2 * H), and `biases` the sum of
    PyTorch's two. In a GRU, whose reset gate comes between, both are apart: W_hh and W_ih, b_hh and
    b_ih. The first layer has no W_ih here: its input is looked up (`QuantisedModel.input_table`).
    """

    matrices: list[QuantisedRows]
    biases: list[Array]


class QuantisedModel(NamedTuple):
    """A language model in whole numbers."""

    config: ModelConfig
    embedding: QuantisedRows  # (V, E), 16 bits
    input_weights: QuantisedRows  # (G * H, E), of the first layer, 16 bits
    layers: list[QuantisedLayer]
    head: QuantisedRows  # (V, H), 8 bits
    head_bias: Array  # (V,)

    @classmethod
    def from_weights(cls, model: Weights) -> QuantisedModel:
        """Rounds the weights of a model."""
        arrays = model.arrays()
        layers = []
        for depth in range(model.config.num_layers):
            w_ih, w_hh, b_ih, b_hh = (
                np.asarray(arrays[f"stack.layers.{depth}.{name}"], np.float32)
                for name in LAYER_WEIGHTS
            )
            if model.config.cell == "gru":
                parts, biases = [w_hh, *([w_ih] if depth else [])], [b_hh, b_ih]
            else:
                parts, biases = [np.hstack([w_hh, w_ih]) if depth else w_hh], [b_ih + b_hh]
            layers.append(
                QuantisedLayer([QuantisedRows.from_matrix(part, 8) for part in parts], biases)
            )
        return cls(
            model.config,
            QuantisedRows.from_matrix(np.asarray(arrays["stack.embedding.weight"]), 16),
            QuantisedRows.from_matrix(np.asarray(arrays["stack.layers.0.weight_ih_l0"]), 16),
            layers,
            QuantisedRows.from_matrix(np.asarray(arrays["head.weight"]), 8),
            np.asarray(arrays["head.bias"], np.float32),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Returns the numbers of the model by their names in docs/portable.md."""
        rows = {"embedding": self.embedding, "input_weights": self.input_weights, "head": self.head}
        named = {}
        for depth, layer in enumerate(self.layers):
            for number, matrix in enumerate(layer.matrices):
                rows[f"layers.{depth}.matrices.{number}"] = matrix
            for number, bias in enumerate(layer.biases):
                named[f"layers.{depth}.biases.{number}"] = bias
        for name, matrix in rows.items():
            named[name], named[f"{name}.scales"] = matrix.values, matrix.scales
        return {**named, "head.bias": self.head_bias}

    def input_table(self) -> npt.NDArray[np.float64]:
        """Returns the input of the first layer, with its bias, for each token: (V, G * H)."""
        return self.embedding @ self.input_weights + self.layers[0].biases[-1].astype(np.float64)


SMALLEST = np.float32(1e-30)  # a row without a larger weight is zero
