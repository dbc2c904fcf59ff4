"""How a token is chosen from logits: temperature, top-k, top-p, min-p."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.arguments import count, number
from chargen.suggestions import suggests

Logits = npt.NDArray[Any]  # (V,) or (V, B)


@suggests
@dataclass(frozen=True)
class Sampler:
    """Chooses the next token from logits.

    The temperature applies first. Then top-k, top-p and min-p each exclude tokens, judged by the
    distribution at that temperature; None excludes none. Raises ChargenError for a value out of range.
    """

    temperature: float = 0.8  # 0 or more: 0 takes the likeliest token, 1 leaves the model's odds
    top_k: int | None = None  # 1 or more: draws among the k likeliest tokens
    top_p: float | None = None  # in (0, 1]: among the fewest whose probabilities add up to p (nucleus)
    min_p: float | None = None  # in [0, 1]: among those at least p times as likely as the likeliest

    def __post_init__(self) -> None:
        values: dict[str, Any] = {"temperature": number(self.temperature, "temperature", least=0)}
        if self.top_k is not None:
            values["top_k"] = count(self.top_k, "top-k", 1)
        if self.top_p is not None:
            values["top_p"] = number(self.top_p, "top-p", above=0, most=1)
        if self.min_p is not None:
            values["min_p"] = number(self.min_p, "min-p", least=0, most=1)
        for name, value in values.items():
            object.__setattr__(self, name, value)  # Python's own numbers in place of NumPy's

    @cached_property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0 or self.top_k == 1

    @cached_property
    def narrows(self) -> bool:
        """Whether top-k, top-p or min-p excludes tokens."""
        return self.top_k is not None or self.top_p is not None or self.min_p is not None

    @property
    def inverse_temperature(self) -> float:
        """The factor of the logits, bounded so that they stay finite in single precision."""
        return 1 / max(self.temperature, 1e-30)

    def probabilities(self, logits: Logits) -> Logits:
        """Returns the distribution that `choose` draws from, in the shape of the logits."""
        if self.greedy:
            likeliest = np.arange(len(logits)) == logits.argmax(0)[..., None]  # (V,) or (B, V)
            return np.asarray(likeliest.T, np.float64)
        scaled = self._narrow(logits.astype(np.float64) * self.inverse_temperature)
        weights = np.exp(scaled - scaled.max(0))
        return np.asarray(weights / weights.sum(0))

    def gumbel_noise(
        self, rng: np.random.Generator, shape: tuple[int, ...]
    ) -> npt.NDArray[np.float32]:
        """Returns Gumbel noise, the negative logarithm of exponential noise, times the temperature."""
        gumbel = rng.standard_exponential(shape, np.float32)
        np.maximum(gumbel, np.finfo(np.float32).tiny, out=gumbel)
        np.log(gumbel, out=gumbel)
        gumbel *= np.float32(-min(self.temperature, 1e30))  # from there on, noise alone decides
        return gumbel

    def choose(self, logits: Logits, gumbel_noise: Logits) -> Any:
        """Returns one token for logits (V,), or B of them for (V, B), by noise of the same shape.

        The largest sum of logits and Gumbel noise is a draw from their softmax (Gumbel 1954). Unlike
        the inversion of cumulated probabilities, it needs no exponential and cannot overflow at a
        temperature near zero.
        """
        if self.greedy:
            return logits.argmax(0)
        if self.narrows:
            scaled = self._narrow(logits.astype(np.float64) * self.inverse_temperature)
            logits = np.where(np.isneginf(scaled), scaled, logits)
        sums = logits + gumbel_noise
        return sums.argmax(0) if logits.ndim > 1 else sums.argmax()

    def allowed(self, scores: Logits, weights: Logits) -> npt.NDArray[np.bool_]:
        """Returns which tokens top-k, top-p and min-p leave to the draw: always one at least.

        Args:
            scores: by which tokens are ranked, ties by number, (V,) or (V, B).
            weights: in proportion to the probabilities, in the same shape.
        """
        # 1. Rank the tokens, the likeliest first.
        order = np.argsort(-scores, axis=0, kind="stable")
        ranked = np.take_along_axis(weights, order, 0)
        # 2. Exclude.
        allowed = np.ones(scores.shape, bool)
        if self.top_k is not None:
            allowed[self.top_k :] = False  # exactly k, even where logits tie
        if self.top_p is not None:
            before = np.cumsum(ranked, axis=0) - ranked
            allowed &= before < self.top_p * ranked.sum(0)
        if self.min_p is not None:
            allowed &= ranked >= self.min_p * ranked[0]
        allowed[0] = True
        # 3. Back to the order of the vocabulary.
        result = np.empty_like(allowed)
        np.put_along_axis(result, order, allowed, 0)
        return result

    def _narrow(self, scaled: Logits) -> Logits:
        """Returns the scaled logits with minus infinity for excluded tokens; at least one remains."""
        if not self.narrows:
            return scaled
        weights = np.exp(scaled - scaled.max(0))  # relative to the likeliest
        return np.where(self.allowed(scaled, weights), scaled, -np.inf)
