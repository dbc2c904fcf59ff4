"""How far back the gradient of a model reaches, and how far back it remembers.

Training learns the relation of two characters from the gradient of the loss at one with respect to the
embedding of the other. In a simple cell this gradient shrinks by a factor at every step back (Bengio,
Simard and Frasconi 1994); gates let it pass. The memory of the trained model is another question: how
much its prediction changes when an earlier character is replaced.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from chargen import arguments
from chargen.errors import ChargenError
from chargen.model import LanguageModel
from chargen.modes import default_modes
from chargen.tokenizers.base import Ids

SAMPLES = 64  # random positions of the text, over which the measurements are averaged
LEAD = 32  # tokens read before the farthest one, so that its state is not empty
_STEPS = 16  # distances at which tokens are replaced, at most


@dataclass(frozen=True, repr=False)
class GradientReach:
    """Means over positions of a text; distance 1 is the character right before the predicted one."""

    gradient: npt.NDArray[np.float64]  # (K,) norm of the gradient, nats per unit of the embedding
    distances: list[int]  # at which characters were replaced, from 1 to K
    change: npt.NDArray[np.float64]  # (len(distances),) KL divergence of the predictions, in bits

    def __repr__(self) -> str:
        return (
            f"GradientReach(distances 1 to {len(self.gradient):,}: gradient {self.gradient[0]:.2g} to "
            f"{self.gradient[-1]:.2g}, change {self.change[0]:.2g} to {self.change[-1]:.2g} bits)"
        )


@default_modes()
def gradients(model: LanguageModel, ids: Ids, farthest: int = 200, seed: int = 0) -> GradientReach:
    """Measures gradient and memory at the distances 1 to `farthest`, averaged over `ids` (T,).

    `seed` draws the `SAMPLES` positions and the replacements. Raises ChargenError for a text that is
    too short.
    """
    farthest, seed = arguments.count(farthest, "farthest", 1), arguments.count(seed, "seed")
    span = farthest + LEAD
    if len(ids) < span + SAMPLES:
        raise ChargenError(
            f"the text has {len(ids):,} characters; to measure {farthest} back, at least "
            f"{span + SAMPLES:,} are needed",
            "give a longer text or a smaller {farthest}",
        )
    rng = np.random.default_rng(seed)
    ends = rng.integers(span, len(ids), SAMPLES)  # of the predicted tokens
    positions = ends + np.arange(-span, 1)[:, None]  # (span + 1, SAMPLES)
    window = torch.as_tensor(ids[positions].astype(np.int64)).to(model.head.weight.device)
    others = torch.as_tensor(ids[rng.integers(0, len(ids), SAMPLES)].astype(np.int64))
    inputs, targets = window[:-1], window[-1]
    distances = sorted({round(farthest ** (n / (_STEPS - 1))) for n in range(_STEPS)})
    change = _change(model, inputs, others.to(inputs), distances)
    return GradientReach(_gradient(model, inputs, targets)[:farthest], distances, change)


def _gradient(model: LanguageModel, inputs: Tensor, targets: Tensor) -> npt.NDArray[np.float64]:
    """Returns the mean norm of the gradient (T,) at each of the inputs (T, B), the last one first."""
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
    """Returns the mean KL divergence in bits of the last prediction, for each replaced distance.

    One token of the inputs (T, B) is replaced by that of `others` (B,), or by the next token of the
    vocabulary where the two are equal.
    """

    def log_probabilities(ids: Tensor) -> Tensor:
        outputs, _ = model.stack(ids, model.initial_state(ids.shape[1]))
        logits: Tensor = model.head(outputs[-1])
        return logits.cpu().double().log_softmax(-1)  # (B, V)

    original = log_probabilities(inputs)
    divergences = []
    for distance in distances:
        changed = inputs.clone()
        same = changed[-distance] == others
        changed[-distance] = torch.where(same, (others + 1) % model.config.vocab_size, others)
        divergence = (original.exp() * (original - log_probabilities(changed))).sum(-1).mean()
        divergences.append(float(divergence) / math.log(2))
    return np.maximum(divergences, 0.0)
