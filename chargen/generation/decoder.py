"""One symbol at a time: a model laid out for generation, and ids to text.

A step of `nn.LSTM` packs its weights anew at every call; here they are laid out once (`cells.py`), so
that what is left is little more than reading them from memory, which is the limit of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from chargen.errors import ChargenError
from chargen.generation import cells
from chargen.generation.sampler import Sampler
from chargen.model import NORM_EPSILON, LanguageModel, ModelConfig
from chargen.tokenizers.base import Tokenizer
from chargen.tokenizers.utf8 import Guide

Array = npt.NDArray[np.float32]
NOISE_STEPS = 64  # steps for which noise is drawn at once


class Clamp(NamedTuple):
    """A component of the cell, or of h where there is no cell, that is held at a value."""

    layer: int  # from 1
    component: int  # from 0
    value: float

    def check(self, config: ModelConfig) -> None:
        """Raises ChargenError where a model has no such component."""
        for name, number, first, size in (
            ("layer", self.layer, 1, config.num_layers),
            ("component", self.component, 0, config.hidden_size),
        ):
            if not first <= number < first + size:
                raise ChargenError(
                    f"the model has no {name} {number}; take one from {first} to {first + size - 1}"
                )
        if not math.isfinite(self.value):
            raise ChargenError(f"a component cannot be held at {self.value}")


class Veto(Protocol):
    """What keeps one stream from certain ids."""

    def refuses(self, token: int) -> bool:
        """Whether this id must not come next."""

    def push(self, token: int) -> None:
        """This id has come."""


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


def draw(
    decoder: Decoder,
    prompt: Sequence[int],
    sampler: Sampler,
    seed: int,
    streams: int = 1,
    guide: Guide | None = None,
) -> Iterator[Any]:
    """Reads the prompt, which must not be empty, then draws ids for ever; see `draw_on`."""
    state = decoder.start()
    logits = decoder.read(prompt, state)
    return draw_on(decoder, state, logits, sampler, seed, streams, guide)


def draw_on(
    decoder: Decoder,
    state: DecodingState,
    logits: Array,
    sampler: Sampler,
    seed: int,
    streams: int = 1,
    guide: Guide | None = None,
    vetoes: Sequence[Veto] = (),
) -> Iterator[Any]:
    """Draws ids for ever from where one stream is, whose next id has these logits (V,).

    Gives one id at a time, or an array of `streams`; neither the state nor the logits are changed.
    Each stream has its own randomness, made of the seed and the stream's number alone, so that it
    draws the same in every company. With a guide, what is drawn goes on as valid UTF-8. With a veto
    for each stream, what it refuses is drawn anew among the rest.
    """
    state = state.fork(streams)
    logits = logits.copy() if streams == 1 else np.repeat(logits[:, None], streams, 1)
    place: Any = 0 if streams == 1 else np.zeros(streams, np.int8)  # the guide's states
    generators = [np.random.default_rng([seed, stream]) for stream in range(streams)]
    while True:
        blocks = [sampler.noise(rng, (NOISE_STEPS, decoder.vocab_size)) for rng in generators]
        # (steps, V) for one stream, (steps, V, B) for several
        for row in blocks[0] if streams == 1 else np.stack(blocks, axis=-1):
            if guide is not None:
                logits += guide.penalty[place].T
            ids = sampler.choose(logits, row)
            if vetoes:
                ids = _accepted(ids, logits, row, sampler, vetoes)
            if guide is not None:
                place = guide.after[place, ids]
            yield ids
            logits = decoder.step(ids, state)


def _accepted(ids: Any, logits: Array, noise: Array, sampler: Sampler, vetoes: Sequence[Veto]) -> Any:
    """The ids, each replaced for as long as its stream must not have it.

    The noise stays the same: the next largest sum of logits and Gumbel noise is a draw among the rest
    in proportion to their probabilities.
    """
    several = logits.ndim == 2
    chosen = list(ids) if several else [ids]
    for stream, veto in enumerate(vetoes):
        mine = logits[:, stream] if several else logits
        luck = noise[:, stream] if several else noise
        while veto.refuses(int(chosen[stream])):
            mine[chosen[stream]] = -np.inf
            chosen[stream] = sampler.choose(mine, luck)
            if np.isneginf(mine[chosen[stream]]):
                raise ChargenError("every way on is refused: allow longer copies, or begin elsewhere")
        veto.push(int(chosen[stream]))
    return np.array(chosen) if several else chosen[0]


class Writing:
    """One stream's ids on their way to text: ends at a length, a stop text or the end symbol."""

    def __init__(self, tokenizer: Tokenizer, length: int, stops: Sequence[str] = ()) -> None:
        self._stream = tokenizer.stream()
        self._end_id = tokenizer.end_id
        self._left = length  # characters
        self._stops = [stop for stop in stops if stop]
        self.held = ""  # what may turn out to be the beginning of a stop text
        self.finished = length <= 0

    def push(self, token: int) -> str:
        """The text that can be shown after one more id; nothing once the stream has finished."""
        if self.finished:
            return ""
        if token == self._end_id:
            self.finished = True
            return self._cut(self.held + self._stream.finish())
        text = self._stream.push(token)
        if not text or not self._stops:
            return self._cut(text)
        text = self.held + text
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.held, self.finished = "", True
            return self._cut(text[: min(found)])
        keep = max(_overlap(text, stop) for stop in self._stops)
        # What is held counts as written: a stop text that begins after the last character is none.
        keep = keep if len(text) < self._left else 0
        self.held = text[len(text) - keep :]
        return self._cut(text[: len(text) - keep])

    def _cut(self, text: str) -> str:
        text = text[: self._left]
        self._left -= len(text)
        self.finished = self.finished or self._left == 0
        return text


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of a text that a stop text begins with."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)


_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")  # PyTorch's names


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()
