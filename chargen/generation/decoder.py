"""One symbol at a time: a model laid out for generation, and ids to text.

A step of `nn.LSTM` packs its weights anew at every call; here they are laid out once (`cells.py`), so
that what is left is little more than reading them from memory, which is the limit of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from chargen.errors import ChargenError
from chargen.generation import cells
from chargen.generation.constraints import Clamp
from chargen.model import NORM_EPSILON, LanguageModel

Array = npt.NDArray[np.float32]


class Decoder:
    """A language model for stepping: `state = start(B)`, then `logits = step(ids, state)`.

    The recurrent weights are in single precision, or in whole numbers of eight bits ("int8"), which
    are four times as quick to read and a little less exact.
    """

    def __init__(self, model: LanguageModel, weights: str = "fp32") -> None:
        config = model.config
        self.config = config
        self.vocab_size = config.vocab_size
        self.weights = weights
        if weights not in cells.PRECISIONS:
            raise ChargenError(f"weights are {' or '.join(cells.PRECISIONS)}, not {weights!r}")
        matrix = cells.PRECISIONS[weights]
        self._layers: list[cells.Cell] = []
        for layer in model.stack.layers:
            arrays = [_array(getattr(layer, name)) for name in _WEIGHTS]
            embedding = None if self._layers else _array(model.stack.embedding.weight)
            self._layers.append(cells.CELLS[config.cell](arrays, embedding, matrix))
        # The last column is the bias: the outputs end with a one.
        head = [_array(model.head.weight), _array(model.head.bias)[:, None]]
        self._head = np.asfortranarray(np.hstack(head))
        self._product: Any = np.dot if matrix is cells.Single else _by_torch
        self.held: list[Clamp] = []

    def clamped(self, clamps: Iterable[Clamp]) -> Decoder:
        """The same weights with components held; raises ChargenError where there is none of such."""
        held = copy(self)
        held.held = [*self.held, *clamps]
        for clamp in held.held:
            clamp.check(self.config)
        return held

    def start(self, batch: int = 1) -> DecodingState:
        """The empty state for one stream or several."""
        return DecodingState(self._layers, batch)

    def step(self, ids: Any, state: DecodingState) -> Array:
        """Reads one id per stream into the state; returns the logits (V,) or (V, B) of the next."""
        if self.held:
            for depth, layer in enumerate(state.layers, 1):
                layer.advance(ids)
                for clamp in self.held:
                    if clamp.layer == depth:
                        layer.hold(clamp.component, clamp.value)
                state.norms[depth - 1]()
        else:
            for advance, norm in state.calls:
                advance(ids)
                norm()
        logits: Array = self._product(self._head, state.outputs)
        return logits

    def read(self, ids: Sequence[int], state: DecodingState) -> Array:
        """Reads ids, at least one, into the state of one stream; the logits (V,) of the next."""
        for token in ids:
            logits = self.step(token, state)
        return logits


class DecodingState:
    """Where streams are, moved on in place by `Decoder.step`."""

    def __init__(self, cells_: list[cells.Cell], batch: int) -> None:
        self._cells = cells_
        self.layers = [cell.run(batch) for cell in cells_]
        self.outputs = cells.before_one(cells_[-1].hidden, batch)  # of the last layer, and a one
        given = [*(layer.read for layer in self.layers[1:]), self.outputs[:-1]]
        below = [None, *given[:-1]]
        self.norms = [
            _norm(layer.h, under, out)
            for layer, under, out in zip(self.layers, below, given, strict=True)
        ]
        self.calls = [
            (layer.advance, norm) for layer, norm in zip(self.layers, self.norms, strict=True)
        ]

    def fork(self, batch: int = 1) -> DecodingState:
        """One stream's place once more, for one stream or several: a few kilobytes for each of them,
        whatever was read before.
        """
        fork = DecodingState(self._cells, batch)
        for layer, original in zip(fork.layers, self.layers, strict=True):
            for array, values in zip(layer.carried, original.carried, strict=True):
                array[...] = values if array.ndim == 1 else values[:, None]
        return fork


def _by_torch(matrix: Array, vectors: Array) -> Array:
    """The product by the threads that the products of whole numbers go through: two libraries, each
    with its own, get in each other's way.
    """
    if vectors.ndim == 1:
        result: Array = matrix.dot(vectors)
        return result
    result = torch.mm(torch.from_numpy(matrix), torch.from_numpy(vectors)).numpy()
    return result


def _norm(h: Array, below: Array | None, out: Array) -> Callable[[], None]:
    """What brings h to unit root mean square and adds what is below, as `model.Stack` does."""
    multiply, add, sqrt, root = np.multiply, np.add, math.sqrt, math.sqrt(len(h))
    epsilon, scale, square = len(h) * NORM_EPSILON, cells.of_streams(h), h.dot
    states, outs = cells.folded(h), cells.folded(out)

    def one() -> None:
        scale.fill(root / sqrt(float(square(h)) + epsilon))
        multiply(h, scale, out)
        if below is not None:
            add(out, below, out)

    def several() -> None:
        multiply(h, h, out)
        scale[...] = root * (cells.by_stream(add, outs) + epsilon) ** -0.5
        multiply(states, scale, outs)
        if below is not None:
            add(out, below, out)

    return one if h.ndim == 1 else several


_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")  # PyTorch's names


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()
