"""How well a model predicts a text: the one measure of training, `chargen eval` and the benchmarks.

Scores are in nats per id and in bits per character, which are comparable between tokenizers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from chargen.errors import ChargenError
from chargen.model import LanguageModel
from chargen.tokenizers.base import Ids, Tokenizer

_QUICK_LANES, _LEAD = 32, 256  # lanes of a quick evaluation, and what each reads before it counts
# Factors of the logits; where two are as good, the first one.
_COARSE = (1.0, 0.9, 0.8)  # on the way
_LOGIT_SCALES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 1.05, 1.1, 1.2)


@dataclass(frozen=True)
class Score:
    """How well a model predicts a text: the first id has no context and is not scored."""

    nats: float  # in all
    tokens: int
    characters: int
    bytes: int
    calibrated_nats: float | None = None  # nats with the best confidence, where it was sought

    @property
    def nats_per_token(self) -> float:
        """The cross entropy, which training minimises."""
        return self.nats / max(1, self.tokens)

    @property
    def validation_loss(self) -> float:
        """What training watches on what it never saw: what a model is worth once it is set right.

        Who knows a text by heart is too sure of another one, which is mended in the end; judged
        without that, weights of an earlier step would look better than they are.
        """
        nats = self.nats if self.calibrated_nats is None else self.calibrated_nats
        return nats / max(1, self.tokens)

    @property
    def bits_per_character(self) -> float:
        """Comparable between tokenizers."""
        return self.nats / math.log(2) / max(1, self.characters)

    @property
    def bits_per_byte(self) -> float:
        """Comparable between tokenizers and with compressors, bytes being those of UTF-8."""
        return self.nats / math.log(2) / max(1, self.bytes)

    @property
    def perplexity(self) -> float:
        """Among how many equally likely ids the model feels to choose."""
        return math.exp(self.nats_per_token)


@torch.no_grad()
def evaluate(
    model: LanguageModel,
    ids: Ids,
    tokenizer: Tokenizer,
    window: int | None = None,
    quick: int | None = None,
    scale_logits: bool = False,
) -> Score:
    """Scores ids under a model, the state carried through the whole text.

    With a `window`, every so many ids begin with an empty state. `quick` reads about so many ids in
    parallel lanes spread over the text, each led in by the ids before it: of all, in a tenth of the
    time, the same score within 0.0005 nats. With `sharpen`, says what the best confidence would give.
    """
    if len(ids) < 2:
        raise ChargenError(f"a text of {len(ids)} ids has none to score: the first has no context")
    scored = len(ids) - 1
    if quick is None:
        length, lead = min(window or scored, scored), 0
        starts = np.arange(0, scored, length)
    else:
        starts, length, lead = _lanes(scored, quick)
    nats = _nats(model, ids, starts, length, lead, _COARSE if scale_logits else (1.0,))
    read = ids[1:]
    if len(starts) * length < scored:
        read = np.concatenate([ids[start + 1 : start + 1 + length] for start in starts])
    calibrated_nats = float(nats.min()) if scale_logits else None
    return Score(float(nats[0]), len(read), *tokenizer.measure(read), calibrated_nats)


@torch.no_grad()
def best_logit_scale(model: LanguageModel, ids: Ids, quick: int) -> float:
    """By what all logits are to be multiplied to make ids, at least two, the likeliest.

    The inverse of the temperature of Guo et al. 2017, by about so many ids as `quick` says.
    """
    nats = _nats(model, ids, *_lanes(len(ids) - 1, quick), _LOGIT_SCALES)
    return _LOGIT_SCALES[int(np.argmin(nats))]


def _lanes(scored: int, quick: int) -> tuple[Ids, int, int]:
    """Where lanes begin, how far each reads, and from how far before it is led in."""
    quick = min(scored, quick)
    lanes = max(1, min(_QUICK_LANES, quick // (4 * _LEAD)))
    apart = -(-scored // lanes)
    starts = np.arange(0, scored, apart)
    return starts, min(apart, -(-quick // lanes)), _LEAD if lanes > 1 else 0


def predictions(
    model: LanguageModel, ids: Ids, starts: Ids, length: int, lead: int = 0
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """What the model expects at the ids that follow each start, read side by side from an empty state.

    Gives, span by span: logits (T, B, V), the ids that came (T, B), and which of them count (T, B):
    the first `lead` only lead in, and what is behind the end of the text is not there.
    """
    device = model.head.weight.device
    state = model.initial_state(len(starts))
    span = max(16, 4096 // len(starts))
    for offset in range(-lead, length, span):
        times = np.arange(offset, min(offset + span, length))[:, None]  # (T, 1)
        where = starts + times  # (T, B)
        counts = torch.as_tensor((times >= 0) & (where < len(ids) - 1)).to(device)
        where = where.clip(0, len(ids) - 2)
        inputs, targets = (
            torch.as_tensor(ids[at].astype(np.int64)).to(device) for at in (where, where + 1)
        )
        logits, state = model(inputs, state)
        yield logits, targets, counts


def _nats(
    model: LanguageModel,
    ids: Ids,
    starts: Ids,
    length: int,
    lead: int,
    confidences: Sequence[float],
) -> npt.NDArray[np.float64]:
    """The surprise in all, for each of the factors of the logits, in lanes that begin at `starts`."""
    totals = np.zeros(len(confidences))
    for some in np.split(starts, range(64, len(starts), 64)):
        for logits, targets, counts in predictions(model, ids, some, length, lead):
            for number, confidence in enumerate(confidences):
                surprise = F.cross_entropy(
                    logits.flatten(0, 1) * confidence, targets.flatten(), reduction="none"
                )
                totals[number] += float(surprise[counts.flatten()].double().sum())
    return totals
