"""From a row of logits to an id, as a pure value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.errors import ChargenError

Logits = npt.NDArray[Any]  # (V,) or (V, B)


@dataclass(frozen=True)
class Sampler:
    """Chooses the next id; each field narrows the choice, and None leaves it alone.

    The order is: temperature, then top-k, top-p and min-p, each judged on the distribution that the
    temperature gives. Raises ChargenError for a value outside its range.
    """

    temperature: float = 0.8  # 0 takes the likeliest id, below 1 is safer, above 1 wilder
    top_k: int | None = None  # at least 1: only the k likeliest
    top_p: float | None = None  # in (0, 1]: the fewest likeliest whose probabilities reach p
    min_p: float | None = None  # in [0, 1]: those at least this likely, relative to the likeliest

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ChargenError(f"temperature must be 0 or more, got {self.temperature!r}")
        if self.top_k is not None and self.top_k < 1:
            raise ChargenError(f"top-k must be 1 or more, got {self.top_k!r}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ChargenError(f"top-p must be above 0 and at most 1, got {self.top_p!r}")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ChargenError(f"min-p must be between 0 and 1, got {self.min_p!r}")

    @cached_property
    def greedy(self) -> bool:
        """Whether there is nothing to draw."""
        return self.temperature == 0 or self.top_k == 1

    @cached_property
    def narrows(self) -> bool:
        """Whether some ids are out of the choice."""
        return self.top_k is not None or self.top_p is not None or self.min_p is not None

    @property
    def _sharpness(self) -> float:
        return 1 / max(self.temperature, 1e-30)  # so that logits stay finite in single precision

    def probabilities(self, logits: Logits) -> Logits:
        """The distribution that `choose` draws from, of the same shape as the logits."""
        if self.greedy:
            likeliest = np.arange(len(logits)) == logits.argmax(0)[..., None]  # (V,) or (B, V)
            return np.asarray(likeliest.T, np.float64)
        scaled = self._narrow(logits.astype(np.float64) * self._sharpness)
        weights = np.exp(scaled - scaled.max(0))
        return np.asarray(weights / weights.sum(0))

    def gumbel_noise(
        self, rng: np.random.Generator, shape: tuple[int, ...]
    ) -> npt.NDArray[np.float32]:
        """Gumbel noise, the negative logarithm of exponential noise, scaled by the temperature."""
        noise = rng.standard_exponential(shape, np.float32)
        np.maximum(noise, np.finfo(np.float32).tiny, out=noise)
        np.log(noise, out=noise)
        noise *= np.float32(-min(self.temperature, 1e30))  # all the same from there on
        return noise

    def choose(self, logits: Logits, noise: Logits) -> Any:
        """One id for (V,) logits, or B for (V, B), by noise of the same shape.

        The largest of logits plus Gumbel noise is a draw from their softmax (Gumbel 1954). Unlike a
        walk along cumulated probabilities it needs no exponential and cannot overflow at a
        temperature near zero.
        """
        if self.greedy:
            return logits.argmax(0)
        if self.narrows:
            scaled = self._narrow(logits.astype(np.float64) * self._sharpness)
            logits = np.where(np.isneginf(scaled), scaled, logits)
        return (logits + noise).argmax(0) if logits.ndim > 1 else (logits + noise).argmax()

    def _narrow(self, scaled: Logits) -> Logits:
        """Minus infinity for every id that is out of the choice; at least one always stays."""
        if not self.narrows:
            return scaled
        order = np.argsort(-scaled, axis=0, kind="stable")  # likeliest first, ties by id
        ranked = np.take_along_axis(scaled, order, 0)
        weights = np.exp(ranked - ranked[:1])  # relative to the likeliest
        kept = np.ones(scaled.shape, bool)
        if self.top_k is not None:
            kept[self.top_k :] = False  # exactly k, even where logits tie
        if self.top_p is not None:
            before = np.cumsum(weights, axis=0) - weights
            kept &= before < self.top_p * weights.sum(0)
        if self.min_p is not None:
            kept &= weights >= self.min_p
        kept[0] = True
        ranked[~kept] = -np.inf
        narrowed = np.empty_like(scaled)
        np.put_along_axis(narrowed, order, ranked, 0)
        return narrowed
