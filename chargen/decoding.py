"""The fast step: weights laid out once for one-symbol-at-a-time generation; ids to text.

A step of `nn.LSTM` packs its weights anew at every call; here they are packed once, so that what is
left is little more than reading them from memory, which is the limit of the machine:

- The product of the first layer with its input is a table with one row per id.
- sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: with halved weights, one tanh serves all gates.
- Every operation writes into memory that the state owns, and the output of a layer lies where the
  next one reads it.

At this size a NumPy call takes as long as its arithmetic, so their number is what counts. Vectors
stand in columns, (H,) for one stream and (H, B) for several.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from chargen.errors import ChargenError
from chargen.model import NORM_EPSILON, LanguageModel, ModelConfig
from chargen.sampling import Sampler
from chargen.tokenizer import Tokenizer
from chargen.utf8 import Guide

Array = npt.NDArray[np.float32]
_NOISE_STEPS = 64  # steps for which noise is drawn at once


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
    """A language model for stepping: `state = start(B)`, then `logits = step(ids, state)`."""

    def __init__(self, model: LanguageModel) -> None:
        config = model.config
        self.config = config
        self.vocab_size = config.vocab_size
        cell = {"lstm": _Lstm, "gru": _Gru, "rnn": _Rnn}[config.cell]
        self._layers: list[_Cell] = []
        for layer in model.stack.layers:
            arrays = [_array(getattr(layer, name)) for name in _WEIGHTS]
            embedding = None if self._layers else _array(model.stack.embedding.weight)
            self._layers.append(cell(arrays, embedding))
        self._head = _array(model.head.weight)
        self._bias = _array(model.head.bias)
        # What is held of each layer: (component, value).
        self._held: list[list[tuple[int, float]]] = [[] for _ in self._layers]

    def clamped(self, clamps: Iterable[Clamp]) -> Decoder:
        """The same weights with components held; raises ChargenError where there is none of such."""
        held = copy(self)
        held._held = [[*components] for components in self._held]
        for clamp in clamps:
            clamp.check(self.config)
            held._held[clamp.layer - 1].append((clamp.component, clamp.value))
        return held

    def start(self, batch: int = 1) -> DecodingState:
        """The empty state for one stream or several."""
        return DecodingState(self._layers, batch)

    def step(self, ids: Any, state: DecodingState) -> Array:
        """Reads one id per stream into the state; returns the logits (V,) or (V, B) of the next."""
        below = outputs = state.outputs[0]
        for layer, memory, outputs, held in zip(
            self._layers, state.memories, state.outputs, self._held, strict=True
        ):
            h = layer.advance(ids, memory)
            for component, value in held:
                layer.hold(memory, component, value)
            # The root mean square, and the sum over the layers below, as in `model.Stack`.
            if h.ndim == 1:
                np.multiply(h, 1 / math.sqrt(h.dot(h) / len(h) + NORM_EPSILON), outputs)
            else:
                power = np.einsum("hb,hb->b", h, h)
                np.multiply(h, (power / len(h) + NORM_EPSILON) ** -0.5, outputs)
            if below is not outputs:
                outputs += below
            below = outputs
        logits: Array = self._head.dot(below)
        logits += _columns(self._bias, logits)
        return logits

    def read(self, ids: Sequence[int], state: DecodingState) -> Array:
        """Reads ids, at least one, into the state of one stream; the logits (V,) of the next."""
        for token in ids:
            logits = self.step(token, state)
        return logits


class DecodingState:
    """Where streams are, moved on in place by `Decoder.step`.

    Of each layer's memory the first array is h, and the second what the layer reads of the one
    below; the outputs of the last layer go to an array of their own.
    """

    def __init__(self, layers: list[_Cell], batch: int) -> None:
        self._layers, self._batch = layers, batch
        self.memories = [layer.memory(batch) for layer in layers]
        top = _zeros(layers[-1].hidden, batch)
        self.outputs = [*(memory[1] for memory in self.memories[1:]), top]

    def fork(self, batch: int = 1) -> DecodingState:
        """One stream's place once more, for one stream or several: a few kilobytes for each of them,
        whatever was read before.
        """
        fork = DecodingState(self._layers, batch)
        for memory, original in zip(fork.memories, self.memories, strict=True):
            for array, values in zip(memory, original, strict=True):
                array[...] = _columns(values, array)
        return fork


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
        blocks = [sampler.noise(rng, (_NOISE_STEPS, decoder.vocab_size)) for rng in generators]
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
        self._held = ""  # what may turn out to be the beginning of a stop text
        self.finished = length <= 0

    def push(self, token: int) -> str:
        """The text that can be shown after one more id; nothing once the stream has finished."""
        if self.finished:
            return ""
        if token == self._end_id:
            self.finished = True
            return self._cut(self._held + self._stream.finish())
        text = self._stream.push(token)
        if not text or not self._stops:
            return self._cut(text)
        text = self._held + text
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self._held, self.finished = "", True
            return self._cut(text[: min(found)])
        keep = max(_overlap(text, stop) for stop in self._stops)
        # What is held counts as written: a stop text that begins after the last character is none.
        keep = keep if len(text) < self._left else 0
        self._held = text[len(text) - keep :]
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


# The cells ----------------------------------------------------------------------------------------

_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")  # PyTorch's names


class _Cell:
    """One layer's weights in the order of the step.

    The first layer looks its input product up in a table, one row per id. A higher one has h and what
    it reads below each other in memory, so that one matrix multiplies both.
    """

    def __init__(self, arrays: list[Array], embedding: Array | None) -> None:
        w_ih, w_hh, b_ih, b_hh = arrays
        self.hidden = w_hh.shape[1]
        self.bias = b_ih + b_hh
        if embedding is None:
            self.table: Array | None = None
            self.weights = np.hstack([w_hh, w_ih])
        else:
            self.table = embedding @ w_ih.T + self.bias  # (V, rows)
            self.weights = w_hh

    def memory(self, batch: int) -> list[Array]:
        """The empty state, zeros, and room for what is in between; h first, then what is read."""
        both = _zeros(self.weights.shape[1], batch)
        return [both[: self.hidden], both[self.hidden :], both]

    def advance(self, ids: Any, memory: list[Array]) -> Array:
        """Moves the memory on by one step and returns its h, (H,) or (H, B)."""
        raise NotImplementedError

    def hold(self, memory: list[Array], component: int, value: float) -> None:
        """Puts a component of the state at a value, after the step that `advance` has made."""
        memory[0][component] = value

    def product(self, ids: Any, both: Array, out: Array) -> None:
        """Writes what the gates add up before their nonlinearity."""
        np.dot(self.weights, both, out)
        given = self.bias if self.table is None else self.table[ids]
        out += given if out.ndim == 1 else given.T if given.ndim == 2 else given[:, None]


class _Lstm(_Cell):
    def __init__(self, arrays: list[Array], embedding: Array | None) -> None:
        hidden = arrays[1].shape[1]
        i, f, g, o = np.arange(4 * hidden).reshape(4, hidden)
        order = np.concatenate([i, f, o, g])  # sigmoid gates first, and g where c stands beside it
        scale = np.repeat(np.array([0.5, 0.5, 0.5, 1], np.float32), hidden)
        super().__init__([(array[order].T * scale).T for array in arrays], embedding)

    def memory(self, batch: int) -> list[Array]:
        size = self.hidden
        rows = _zeros(5 * size, batch)  # i, f, o, g, c
        halves = np.full_like(rows[: 3 * size], 0.5)  # faster than a scalar
        work = np.zeros_like(rows[: 2 * size])
        views = [rows[: 4 * size], rows[: 3 * size], rows[: 2 * size], rows[2 * size : 3 * size]]
        return [*super().memory(batch), *views, rows[3 * size :], rows[4 * size :], halves, work]

    def advance(self, ids: Any, memory: list[Array]) -> Array:
        h, _, both, gates, i_f_o, i_f, o, g_c, c, halves, work = memory
        self.product(ids, both, gates)
        np.tanh(gates, gates)
        np.multiply(i_f_o, halves, i_f_o)
        np.add(i_f_o, halves, i_f_o)
        np.multiply(i_f, g_c, work)
        np.add(work[: self.hidden], work[self.hidden :], c)
        np.tanh(c, h)
        np.multiply(h, o, h)
        return h

    def hold(self, memory: list[Array], component: int, value: float) -> None:
        h, _, _, _, _, _, o, _, c, _, _ = memory
        c[component] = value
        h[component] = o[component] * math.tanh(value)


class _Gru(_Cell):
    def __init__(self, arrays: list[Array], embedding: Array | None) -> None:
        hidden = arrays[1].shape[1]
        scale = np.repeat(np.array([0.5, 0.5, 1], np.float32), hidden)  # rows r, z, n
        self.w_ih, self.weights, self.b_ih, self.b_hh = ((array.T * scale).T for array in arrays)
        self.hidden = hidden
        self.table = None if embedding is None else embedding @ self.w_ih.T + self.b_ih

    def memory(self, batch: int) -> list[Array]:
        return [_zeros(self.hidden, batch), _zeros(self.hidden, batch)]

    def advance(self, ids: Any, memory: list[Array]) -> Array:
        # The reset gate r scales only what the state gives to n, so the two products stay apart.
        h, read = memory
        size = self.hidden
        carried = self.weights.dot(h)
        carried += _columns(self.b_hh, carried)
        if self.table is None:
            given = self.w_ih.dot(read)
            given += _columns(self.b_ih, given)
        else:
            given = self.table[ids].T
        gates = np.tanh(given[: 2 * size] + carried[: 2 * size])
        gates *= np.float32(0.5)
        gates += np.float32(0.5)
        n = np.tanh(given[2 * size :] + gates[:size] * carried[2 * size :])
        h -= n
        h *= gates[size:]
        h += n
        return h


class _Rnn(_Cell):
    def memory(self, batch: int) -> list[Array]:
        return [*super().memory(batch), _zeros(self.hidden, batch)]

    def advance(self, ids: Any, memory: list[Array]) -> Array:
        h, _, both, work = memory
        self.product(ids, both, work)
        return np.tanh(work, h)


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


def _zeros(rows: int, batch: int) -> Array:
    return np.zeros(rows if batch == 1 else (rows, batch), np.float32)


def _columns(bias: Array, like: Array) -> Array:
    return bias if like.ndim == 1 else bias[:, None]
