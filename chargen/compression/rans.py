"""An entropy coder: symbols of known probability become words of 32 bits, and back.

It is asymmetric numeral systems (Duda 2013, https://arxiv.org/abs/1311.2540) with ranges, for several
lanes at once: each lane codes symbols of its own, and all advance together. A symbol is an interval
[start, start + frequency) of [0, 2^24). The encoder goes from the last symbol to the first, and so
the decoder can go from the first to the last.

Letters: T symbols of a lane, B lanes, V symbols to choose from.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Unsigned = npt.NDArray[np.uint64]

PRECISION = 24  # bits of a frequency
TOTAL = 1 << PRECISION
_WORD_BITS = np.uint64(32)
_PRECISION, _MASK = np.uint64(PRECISION), np.uint64(TOTAL - 1)
_LOWEST = np.uint64(1 << 31)  # a state is from here to 2^63
# A state of frequency << this, or more, gives a word away first.
_FULL = np.uint64(31 + 32 - PRECISION)


class Lane(NamedTuple):
    """The coded symbols of one lane."""

    state: int  # where the decoder begins
    words: npt.NDArray[np.uint32]


def frequencies(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns whole frequencies of at least 1 that add up to 2^24, (B, V), in proportion to weights.

    The arithmetic is that of docs/portable.md: products and quotients in double precision, so that
    every machine gets the same.
    """
    size = weights.shape[1]
    share = (TOTAL - size) / weights.sum(1)
    result: npt.NDArray[np.float64] = np.floor(weights * share[:, None]) + 1
    lanes, likeliest = np.arange(len(weights)), weights.argmax(1)
    result[lanes, likeliest] += TOTAL - result.sum(1)  # what rounding has left over
    return result


def encode(starts: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> list[Lane]:
    """Encodes symbols by their starts and frequencies, (T, B).

    A symbol of frequency 2^24 takes no room: it fills up lanes that are shorter.
    """
    steps, lanes = starts.shape
    states = np.full(lanes, _LOWEST)
    words, written = np.zeros((steps, lanes), np.uint32), np.zeros((steps, lanes), bool)
    for step in range(steps - 1, -1, -1):
        start, size = starts[step].astype(np.uint64), sizes[step].astype(np.uint64)
        full = states >= size << _FULL
        words[step], written[step] = states.astype(np.uint32), full
        states = np.where(full, states >> _WORD_BITS, states)
        quotient, rest = np.divmod(states, size)
        states = (quotient << _PRECISION) + rest + start
    return [Lane(int(state), words[written[:, lane], lane]) for lane, state in enumerate(states)]


class Decoder:
    """Gives back the symbols of lanes, step by step.

    `target` is a number of each symbol's interval, by which the symbol is found; `advance` then needs
    the interval.
    """

    def __init__(self, lanes: list[Lane]) -> None:
        self._states = np.array([lane.state for lane in lanes], np.uint64)
        # A word more, for lanes that have run out because the file was forged.
        self._words = np.concatenate([*(lane.words for lane in lanes), np.zeros(1, np.uint32)])
        ends = np.cumsum([len(lane.words) for lane in lanes])
        self._next = np.concatenate([[0], ends[:-1]]).astype(np.int64)

    @property
    def targets(self) -> Unsigned:
        """A number inside the interval of the next symbol of each lane, (B,)."""
        return self._states & _MASK

    def advance(self, starts: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> None:
        """Removes one symbol from each lane, (B,)."""
        start, size = starts.astype(np.uint64), sizes.astype(np.uint64)
        states = size * (self._states >> _PRECISION) + self.targets - start
        empty = states < _LOWEST
        if empty.any():
            words = self._words.take(self._next, mode="clip").astype(np.uint64)
            states = np.where(empty, (states << _WORD_BITS) | words, states)
            self._next += empty
        self._states = states
