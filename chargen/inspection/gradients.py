"""How far back a model can learn from, and how far back it remembers.

The gradient of the loss at one character, with respect to the embedding of a character k places before
it, is what training has to learn their relation by. In a simple cell it shrinks by a factor at every
step back (Bengio, Simard and Frasconi 1994); gates let it pass. What a model makes of the past is
another question: how much its prediction changes when the character k places back is another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from chargen.errors import ChargenError
from chargen.model import LanguageModel
from chargen.tokenizers.base import Ids

PLACES = 64  # in the text, over which is averaged
LEAD = 32  # ids read before the farthest one, so that its state is not empty
_STEPS = 16  # distances at which characters are replaced, at most


@dataclass(frozen=True)
class GradientReach:
    """Means over places in a text; distance 1 is the character right before the one predicted."""

    gradient: npt.NDArray[np.float64]  # (K,) norm of the gradient in nats, at the distances 1 to K
    distances: list[int]  # at which characters were replaced
    change: npt.NDArray[np.float64]  # (len(distances),) in bits: KL divergence of the predictions


def reach(model: LanguageModel, ids: Ids, farthest: int = 200, seed: int = 0) -> GradientReach:
    """Measures at `PLACES` random places of a text; raises ChargenError for one that is too short."""
    span = farthest + LEAD
    if farthest < 1 or len(ids) < span + PLACES:
        raise ChargenError(
            f"the text has {len(ids):,} characters; to look {farthest} back, at least "
            f"{span + PLACES:,} are needed"
        )
    rng = np.random.default_rng(seed)
    ends = rng.integers(span, len(ids), PLACES)  # of what is predicted
    where = ends + np.arange(-span, 1)[:, None]  # (span + 1, PLACES)
    window = torch.as_tensor(ids[where].astype(np.int64)).to(model.head.weight.device)
    others = torch.as_tensor(ids[rng.integers(0, len(ids), PLACES)].astype(np.int64))
    inputs, targets = window[:-1], window[-1]
    distances = sorted({round(farthest ** (n / (_STEPS - 1))) for n in range(_STEPS)})
    change = _change(model, inputs, others.to(inputs), distances)
    return GradientReach(_gradient(model, inputs, targets)[:farthest], distances, change)


def _gradient(model: LanguageModel, inputs: Tensor, targets: Tensor) -> npt.NDArray[np.float64]:
    """(T,) the mean norm of the gradient at each input (T, B), the last one first."""
    stack = model.stack
    embedded = stack.embedding(inputs).detach().requires_grad_()
    outputs, _ = stack.read(embedded, stack.initial_state(inputs.shape[1]))
    loss = F.cross_entropy(model.head(outputs[-1]), targets, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, embedded)
    norms: npt.NDArray[np.float64] = gradient.cpu().double().norm(dim=-1).mean(-1).numpy()
    return norms[::-1].copy()


@torch.no_grad()
def _change(
    model: LanguageModel, inputs: Tensor, others: Tensor, distances: list[int]
) -> npt.NDArray[np.float64]:
    """The mean divergence, in bits, of the last prediction where one of the inputs (T, B) is another.

    Where the other one happens to be the same, the next one in order takes its place.
    """

    def predicted(ids: Tensor) -> Tensor:
        outputs, _ = model.stack(ids, model.initial_state(ids.shape[1]))
        logits: Tensor = model.head(outputs[-1])
        return logits.cpu().double().log_softmax(-1)  # (B, V)

    usual = predicted(inputs)
    found = []
    for distance in distances:
        changed = inputs.clone()
        same = changed[-distance] == others
        changed[-distance] = torch.where(same, (others + 1) % model.config.vocab_size, others)
        divergence = (usual.exp() * (usual - predicted(changed))).sum(-1).mean()
        found.append(float(divergence) / math.log(2))
    return np.maximum(found, 0.0)
