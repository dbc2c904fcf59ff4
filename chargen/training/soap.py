"""The optimizer: AdamW in a basis in which the numbers of a weight hardly depend on each other.

AdamW scales every number of a gradient by how large it usually is, as if they had nothing to do with
each other. They have: what a layer reads is correlated, and so are the columns of its gradient. SOAP
(Vyas et al. 2024) turns the gradient into the eigenbasis of its second moment, lets AdamW work there,
and turns the step back. Only the side of what is read is turned here: the other one, four times as
wide, would cost more than it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

BETAS = (0.9, 0.997)  # of AdamW (Loshchilov and Hutter 2019); few ids per step want a long memory
EPSILON = 1e-8
WEIGHT_DECAY = 0.01
MEMORY = 0.95  # of the second moment that gives the basis, per step
OBSERVED = 3  # steps from one look at the second moment to the next
TURNED = 16  # steps from one basis to the next
EARLY = (2, 4, 8)  # steps after which there is a new basis as well, while the moment is young
# Of the mean eigenvalue, added to all. Directions of which rounding errors alone would tell one from
# another keep their place, so that a training is the same on two processes as on one.
DAMPING = 1e-2

Product = Callable[[Tensor, Tensor], Tensor]


class Soap(torch.optim.Optimizer):
    """Matrices (rows, K) with AdamW in the eigenbasis (K, K) of their gradient; vectors with AdamW.

    The state of a weight is made with the optimizer, all of tensors, so that it can be kept and put
    back whole. `step` can be captured in a CUDA graph, where the learning rate is a tensor; `observe`
    follows it, outside. A group may have a `share` of the rate. Products with a basis can be in bf16.
    """

    _step_supports_amp_scaling = True  # what overflowed is left out on the device, by `found_inf`

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, turned_in_bf16: bool = False
    ) -> None:
        super().__init__(groups, {"lr": lr, "share": 1.0})
        self._product = _product_in_bf16 if turned_in_bf16 else torch.mm
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight] = {
                    "step": torch.zeros((), device=weight.device),
                    "exp_avg": torch.zeros_like(weight, memory_format=torch.contiguous_format),
                    "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.contiguous_format),
                }
                if weight.ndim == 2:
                    square = torch.zeros(weight.shape[1], weight.shape[1], device=weight.device)
                    seen = torch.zeros(())  # gradients; on the CPU, where it is asked
                    basis = torch.eye(len(square), device=weight.device)
                    self.state[weight] |= {"moment": square, "basis": basis, "seen": seen}

    def rate(self, rate: float) -> None:
        """Sets the learning rate; a tensor stays where it is, for a graph reads it there."""
        for group in self.param_groups:
            own = rate * group["share"]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(own)
            else:
                group["lr"] = own

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves all weights that have a gradient; no word of it is asked back from the device."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            states = [self.state[weight] for weight in weights]
            gradients, moved = [], []
            for weight, state in zip(weights, states, strict=True):
                weight.mul_(1 - group["lr"] * WEIGHT_DECAY)
                turned = "basis" in state
                gradients.append(self._product(weight.grad, state["basis"]) if turned else weight.grad)
                moved.append(torch.zeros_like(gradients[-1]) if turned else weight)
            adamw(
                moved,
                gradients,
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=True,
                found_inf=getattr(self, "found_inf", None),
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=group["lr"],
                weight_decay=0.0,
                eps=EPSILON,
                maximize=False,
            )
            for weight, state, change in zip(weights, states, moved, strict=True):
                if "basis" in state:
                    weight.add_(self._product(change, state["basis"].T))

    @torch.no_grad()
    def observe(self) -> None:
        """Learns from the gradients of the step just taken how the next ones are to be turned."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and "basis" in self.state[weight]:
                    _observe(weight.grad, self.state[weight], self._product)


def _observe(gradient: Tensor, state: dict[str, Tensor], product: Product) -> None:
    moment, basis = state["moment"], state["basis"]
    state["seen"] += 1
    seen = int(state["seen"])
    if seen == 1:
        torch.mm(gradient.T, gradient, out=moment)
    elif seen % OBSERVED == 0:
        moment.lerp_(product(gradient.T, gradient), 1 - MEMORY**OBSERVED)
    if seen % TURNED == 0 or seen in EARLY:
        damping = DAMPING * moment.trace() / len(moment)
        turned = _orthogonal((moment @ basis).addcmul_(basis, damping))  # a power iteration
        state["exp_avg"].copy_(state["exp_avg"] @ (basis.T @ turned))
        basis.copy_(turned)


def _product_in_bf16(left: Tensor, right: Tensor) -> Tensor:
    """A third of the time where bf16 is at home; what is lost is small beside a gradient's noise."""
    return (left.bfloat16() @ right.bfloat16()).float()


def _orthogonal(columns: Tensor) -> Tensor:
    """Columns (K, K) made orthonormal, one after the other."""
    home = columns.device
    if home.type == "mps":  # where torch cannot do it
        columns = columns.cpu()
    basis: Tensor = torch.linalg.qr(columns)[0]
    return basis.to(home)
