"""The model one token at a time, on the CPU.

`nn.LSTM` packs its weights anew at every call. Here they are laid out once (`cells.py`), so that a
step costs little more than reading them from memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from chargen.arguments import count, number, shown
from chargen.errors import ChargenError
from chargen.generation import cells
from chargen.generation.draw import Draw, GumbelDraw, IntegerDraw
from chargen.generation.weights import LAYER_WEIGHTS, StoredWeights, Weights
from chargen.shapes import NORM_EPSILON, ModelConfig, StateComponent

Array = npt.NDArray[np.float32]


class Clamp(NamedTuple):
    """A component of the state that is kept at a value: of c, or of h in a model without c."""

    layer: int  # from 1
    component: int  # from 0
    value: float

    def check(self, config: ModelConfig) -> None:
        """Raises ChargenError if a model has no such component, or if the value is not finite."""
        layer, component = count(self.layer, "layer"), count(self.component, "component")
        StateComponent(layer, component).check(config)
        number(self.value, "the value of a clamp")


class Decoder:
    """A language model that reads one token at a time.

        state = decoder.initial_state()
        logits = decoder.step(token, state)

    Args:
        model: a LanguageModel, or the weights of one; they are copied.
        weights: "fp32", or "int8" for recurrent weights of eight bits: a quarter of the memory
            traffic, a little less exact, and the same results on every machine.

    Raises:
        ChargenError: if there are no such weights.
    """

    def __init__(self, model: Weights, weights: str = "fp32") -> None:
        if not hasattr(model, "arrays"):
            raise TypeError(f"{shown(model)} is no LanguageModel; give writer.model")
        self.config = model.config
        self.vocab_size = model.config.vocab_size
        self.weights = weights
        self._network = _network(model, weights)
        self.draw: type[Draw] = IntegerDraw if weights == "int8" else GumbelDraw
        self.clamps: list[Clamp] = []

    def clamped(self, clamps: Sequence[Clamp]) -> Decoder:
        """Returns a decoder of the same weights that also applies `clamps` after each step.

        Raises ChargenError for a component that the model does not have.
        """
        decoder = copy(self)
        for clamp in clamps:
            if not isinstance(clamp, Clamp):
                raise ChargenError(
                    f"{shown(clamp)} is not a clamp", "give Clamp(layer=1, component=0, value=1.0)"
                )
            clamp.check(self.config)
        decoder.clamps = [*self.clamps, *clamps]
        return decoder

    def initial_state(self, batch: int = 1) -> DecodingState:
        """Returns the empty state, for `batch` streams."""
        return DecodingState(self._network, batch)

    def step(self, tokens: Any, state: DecodingState) -> Array:
        """Reads one token per stream into the state, in place.

        Args:
            tokens: one number, or an array (B,) for a state of B streams.
            state: made by `initial_state` or `DecodingState.fork`.

        Returns:
            The logits of the next token, (V,) or (V, B).
        """
        if self.clamps:
            for depth, layer in enumerate(state.layers, 1):
                layer.advance(tokens)
                for clamp in self.clamps:
                    if clamp.layer == depth:
                        layer.clamp(clamp.component, clamp.value)
                state.norms[depth - 1]()
        else:
            for advance, norm in state.calls:
                advance(tokens)
                norm()
        logits: Array = state.logits()
        return logits

    def __repr__(self) -> str:
        return f"Decoder({self.config.summary()}, {self.weights})"

    def read(self, tokens: Sequence[int], state: DecodingState) -> Array:
        """Reads one or more tokens into the state of one stream; returns the next logits (V,).

        Raises ChargenError for no tokens.
        """
        if not len(tokens):
            raise ChargenError("there are no tokens to read", "give at least one")
        for token in tokens:
            logits = self.step(token, state)
        return logits


class DecoderCache:
    """The decoders of a model, made anew once its weights have changed."""

    def __init__(self) -> None:
        self._decoders: dict[str, Decoder] = {}  # by the precision of their weights
        self._snapshot: Any = None  # of the weights that they have

    def find(self, model: Weights, weights: str) -> Decoder:
        """Returns a decoder of the weights that `model` has now, in the precision `weights`."""
        if not isinstance(model, StoredWeights):  # those never change
            from chargen.generation.snapshot import WeightSnapshot

            if self._snapshot is None or not self._snapshot.matches(model):
                self._decoders, self._snapshot = {}, WeightSnapshot(cast("Any", model))
        if weights not in self._decoders:
            self._decoders[weights] = Decoder(model, weights)
        return self._decoders[weights]


class DecodingState:
    """The recurrent state of one stream or several, changed in place by `Decoder.step`."""

    def __init__(self, network: Network, batch: int) -> None:
        self._network, self._batch = network, batch
        self.layers = [cell.initial_state(batch) for cell in network.cells]
        outputs, self.logits = network.bind_head(batch)
        outs = [*(layer.inputs for layer in self.layers[1:]), outputs]
        below = [None, *outs[:-1]]
        self.norms = [
            network.bind_norm(layer.h, under, out)
            for layer, under, out in zip(self.layers, below, outs, strict=True)
        ]
        self.calls = [
            (layer.advance, norm) for layer, norm in zip(self.layers, self.norms, strict=True)
        ]

    def fork(self, batch: int = 1) -> DecodingState:
        """Returns copies of the state of one stream, for `batch` streams.

        A copy takes a few kilobytes, however much text the stream has read.
        """
        fork = DecodingState(self._network, batch)
        for layer, original in zip(fork.layers, self.layers, strict=True):
            for array, values in zip(layer.carried, original.carried, strict=True):
                array[...] = values if array.ndim == 1 else values[:, None]
        return fork

    def __reduce__(self) -> Any:
        """Pickles what the next step depends on; the closures are bound anew."""
        return _restored, (self._network, self._batch, [layer.carried for layer in self.layers])


def _restored(network: Network, batch: int, carried: list[list[Array]]) -> DecodingState:
    state = DecodingState(network, batch)
    for layer, saved in zip(state.layers, carried, strict=True):
        for array, values in zip(layer.carried, saved, strict=True):
            array[...] = values
    return state


class Network(Protocol):
    """The layers and the head of a model, in one arithmetic."""

    cells: list[cells.Cell]

    def bind_norm(self, h: Array, below: Array | None, out: Array) -> Callable[[], None]:
        """Returns a function that writes h / rms(h) + below into `out`; see `model.Stack`.

        All arrays are (H,) or (H, B); rms is the root mean square of each stream.
        """

    def bind_head(self, batch: int) -> tuple[Array, Callable[[], Any]]:
        """Returns the array for the output of the last layer, and a function for its logits."""


class Float32Network:
    """The layers and the head of a model as it was trained, in single precision."""

    def __init__(self, config: ModelConfig, arrays: dict[str, Any]) -> None:
        self.cells: list[cells.Cell] = []
        for depth in range(config.num_layers):
            of_layer = [arrays[f"stack.layers.{depth}.{name}"] for name in LAYER_WEIGHTS]
            embedding = None if depth else arrays["stack.embedding.weight"]
            self.cells.append(cells.CELLS[config.cell](of_layer, embedding))
        # The last column is the bias: the outputs end with a one.
        head = [arrays["head.weight"], arrays["head.bias"][:, None]]
        self._head = np.asfortranarray(np.hstack(head))

    def bind_norm(self, h: Array, below: Array | None, out: Array) -> Callable[[], None]:
        """Returns a function that writes h / rms(h) + below into `out`; see `Network`."""
        multiply, add, sqrt, root = np.multiply, np.add, math.sqrt, math.sqrt(len(h))
        epsilon, scale, dot = len(h) * NORM_EPSILON, cells.per_stream_buffer(h), h.dot
        h_rows, out_rows = cells.group_rows(h), cells.group_rows(out)

        def norm_one() -> None:
            scale.fill(root / sqrt(float(dot(h)) + epsilon))
            multiply(h, scale, out)
            if below is not None:
                add(out, below, out)

        def norm_several() -> None:
            multiply(h, h, out)
            scale[...] = root * (cells.reduce_rows(add, out_rows) + epsilon) ** -0.5
            multiply(h_rows, scale, out_rows)
            if below is not None:
                add(out, below, out)

        return norm_one if h.ndim == 1 else norm_several

    def bind_head(self, batch: int) -> tuple[Array, Callable[[], Any]]:
        """Returns the array for the output of the last layer, and a function for its logits."""
        outputs = cells.zeros_and_one(self._head.shape[1] - 1, batch)
        return outputs[:-1], partial(self._head.dot, outputs)


def _network(model: Weights, weights: str) -> Network:
    """Returns a model in the arithmetic of its weights.

    Raises ChargenError for weights that are not there.
    """
    if weights == "fp32":
        return Float32Network(model.config, model.arrays())
    if weights != "int8":
        raise ChargenError(f"weights are fp32 or int8, not {weights!r}")
    from chargen.generation.int8 import Int8Network
    from chargen.generation.quantised import QuantisedModel

    return Int8Network(QuantisedModel.from_weights(model))
