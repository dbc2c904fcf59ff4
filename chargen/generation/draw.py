"""Drawing a token from logits, at random and yet repeatable.

Both ways draw from the softmax of the logits. Gumbel noise is added to logits in floating point, where
the last bit of a logarithm depends on the machine. Whole weights, for `weights="int8"`, give the same
token everywhere; docs/portable.md defines them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from chargen.generation.sampler import Logits, Sampler

NOISE_STEPS = 64  # steps whose random numbers are drawn at once

WEIGHT = 1 << 30  # of the likeliest token
STEPS = 1024  # of the table of weights, for 1
COLDEST = 1e-20  # temperature: below it, the likeliest token is drawn in any case
WORDS = 4  # random numbers of a block of Philox


class Draw(Protocol):
    """Draws one token per step and stream.

    Args:
        sampler: how a token is chosen.
        seed: 0 or more; the same seed draws the same tokens.
        streams: how many texts are drawn together; how many makes no difference to any of them.
        vocab_size: V.
    """

    def __init__(self, sampler: Sampler, seed: int, streams: int, vocab_size: int) -> None: ...

    def next(self, logits: Logits) -> Any:
        """Returns the token of the next step for logits (V,), or one for each stream of (V, B)."""

    def again(self, logits: Logits, stream: int) -> int:
        """Returns another token of the last step for a stream, whose logits (V,) have changed."""

    @staticmethod
    def probabilities(sampler: Sampler, logits: Logits) -> Logits:
        """Returns the distribution that is drawn from, in the shape of the logits."""


class GumbelDraw:
    """Takes the largest sum of logits and Gumbel noise (see `Sampler.choose`); see `Draw`."""

    def __init__(self, sampler: Sampler, seed: int, streams: int, vocab_size: int) -> None:
        self._sampler = sampler
        self._noise = self._blocks(stream_rngs(seed, streams), vocab_size)
        self._last: Any = None  # noise of the last step, (V,) or (V, B)

    def next(self, logits: Logits) -> Any:
        """Returns the token of the next step for logits (V,), or one for each stream of (V, B)."""
        self._last = next(self._noise)
        return self._sampler.choose(logits, self._last)

    def again(self, logits: Logits, stream: int) -> int:
        """Returns another token of the last step for a stream, whose logits (V,) have changed.

        The noise stays the same: where the logit of the token drawn before is minus infinity now, the
        next largest sum is a draw among the rest, in proportion to their probabilities.
        """
        noise = self._last if self._last.ndim == 1 else self._last[:, stream]
        return int(self._sampler.choose(logits, noise))

    @staticmethod
    def probabilities(sampler: Sampler, logits: Logits) -> Logits:
        """Returns the distribution that is drawn from, in the shape of the logits."""
        return sampler.probabilities(logits)

    def _blocks(self, rngs: list[np.random.Generator], vocab_size: int) -> Iterator[Logits]:
        while True:
            blocks = [self._sampler.gumbel_noise(rng, (NOISE_STEPS, vocab_size)) for rng in rngs]
            yield from blocks[0] if len(rngs) == 1 else np.stack(blocks, axis=-1)


class IntegerDraw:
    """Draws by whole weights and by Philox, a random number for each step and stream; see `Draw`.

    Philox4x64-10 (Salmon et al. 2011) computes a number from its place, so no draw depends on those
    before it.
    """

    def __init__(self, sampler: Sampler, seed: int, streams: int, vocab_size: int) -> None:
        self._sampler = sampler
        self._keys = [[seed % (1 << 64), stream] for stream in range(streams)]
        self._generators = [np.random.Philox(key=np.array(key, np.uint64)) for key in self._keys]
        self._units: Any = None  # in [0, 1), (NOISE_STEPS, B)
        self._step = 0
        self._attempts, self._attempted = [0] * streams, 0  # more draws of a step, and which step
        self._cumulate = _bind_cumulate(sampler, streams, vocab_size)

    def next(self, logits: Logits) -> Any:
        """Returns the token of the next step for logits (V,), or one for each stream of (V, B)."""
        row = self._step % NOISE_STEPS
        if not row:
            self._units = np.stack([self._block(generator) for generator in self._generators], 1)
        self._step += 1
        if self._sampler.greedy:
            return logits.argmax(0)
        cumulated = self._cumulate(logits)
        if logits.ndim == 1:
            return cumulated.searchsorted(self._units.item(row) * cumulated.item(-1), "right")
        return (cumulated > (self._units[row] * cumulated[:, -1])[:, None]).argmax(1)

    def again(self, logits: Logits, stream: int) -> int:
        """Returns another token of the last step for a stream, whose logits (V,) have changed."""
        if self._attempted != self._step:
            self._attempted, self._attempts = self._step, [0] * len(self._keys)
        self._attempts[stream] += 1
        if self._sampler.greedy or np.isneginf(logits.max()):
            return int(logits.argmax())
        block, word = divmod(self._attempts[stream], WORDS)
        counter = np.array([self._step - 1, block, 0, 0], np.uint64)
        key = np.array(self._keys[stream], np.uint64)
        unit = _units(np.random.Philox(counter=counter, key=key).random_raw(WORDS))[word]
        cumulated = integer_weights(self._sampler, logits).cumsum()
        return int(cumulated.searchsorted(unit * cumulated[-1], "right"))

    @staticmethod
    def probabilities(sampler: Sampler, logits: Logits) -> Logits:
        """Returns the distribution that is drawn from, in the shape of the logits."""
        if sampler.greedy:
            return sampler.probabilities(logits)
        weights = integer_weights(sampler, logits)
        return np.asarray(weights / weights.sum(0))

    def _block(self, generator: np.random.Philox) -> npt.NDArray[np.float64]:
        """Returns the first random number of each of the next steps."""
        return _units(generator.random_raw(NOISE_STEPS * WORDS)[::WORDS])


def integer_weights(sampler: Sampler, logits: Logits) -> npt.NDArray[np.float64]:
    """Returns what tokens weigh in a draw: whole numbers, in the shape of the logits.

    The weight of a token is 2^30 * exp((logit - largest) / temperature), in steps of 1 / 1024 of the
    exponent; 0 if it is excluded. The logits are in single precision.
    """
    weights = np.empty(logits.shape)
    _bind_weights(sampler, weights)(logits)
    return weights


def _bind_weights(sampler: Sampler, weights: npt.NDArray[np.float64]) -> Callable[[Logits], None]:
    """Returns a function that writes the `integer_weights` of logits into `weights`."""
    table, indices = weight_table(), np.empty(weights.shape, np.int64)
    below, top = np.empty(weights.shape, np.float32), np.empty(weights.shape[1:], np.float32)
    scale = np.array(STEPS / max(sampler.temperature, COLDEST), np.float32)
    last = np.array(len(table) - 1, np.float32)
    subtract, multiply, minimum, rint = np.subtract, np.multiply, np.minimum, np.rint
    copyto, take, narrows, several = np.copyto, table.take, sampler.narrows, weights.ndim > 1

    def run(logits: Logits) -> None:
        if several:
            logits.max(0, out=top)
        else:
            top.fill(logits.item(logits.argmax()))  # four times as fast as `max`
        subtract(top, logits, below)
        multiply(below, scale, below)
        minimum(below, last, out=below)  # also infinity, of a token that may not come
        rint(below, below)
        copyto(indices, below, "unsafe")
        take(indices, out=weights, mode="clip")
        if narrows:
            weights[~sampler.allowed(logits, weights)] = 0

    return run


def _bind_cumulate(sampler: Sampler, streams: int, vocab_size: int) -> Callable[[Logits], Any]:
    """Returns a function of logits that returns the cumulated weights, (V,) or (B, V)."""
    if streams == 1:
        weights = np.empty(vocab_size)
        weigh, accumulate = _bind_weights(sampler, weights), np.add.accumulate

        def run_one(logits: Logits) -> Any:
            weigh(logits)
            return accumulate(weights, out=weights)

        return run_one
    columns, rows = np.empty((vocab_size, streams)), np.empty((streams, vocab_size))
    weigh_columns = _bind_weights(sampler, columns)

    def run_several(logits: Logits) -> Any:
        weigh_columns(logits)
        np.copyto(rows, columns.T)
        return np.add.accumulate(rows, axis=1, out=rows)

    return run_several


@cache
def weight_table() -> npt.NDArray[np.float64]:
    """Returns round(2^30 * exp(-k / 1024)) for k from 0 on, up to the first that is 0."""
    table = np.rint(WEIGHT * np.exp(-np.arange(22 * STEPS) / STEPS))
    return np.asarray(table[: int(table.argmin()) + 1])


def _units(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Returns numbers in [0, 1): the upper 52 bits of each word.

    With a bit more, the product with a sum of weights could be rounded up to the sum.
    """
    return np.asarray((words >> np.uint64(12)).astype(np.float64) * 2.0**-52)


def stream_rngs(seed: int, streams: int) -> list[np.random.Generator]:
    """Returns a random number generator per stream.

    Each is seeded with its own number, so its output does not depend on how many streams are drawn
    together.
    """
    return [np.random.default_rng([seed, stream]) for stream in range(streams)]
