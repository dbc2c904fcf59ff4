"""The optimiser SOAP: AdamW in a basis in which the numbers of a weight are hardly correlated.

AdamW scales every number of a gradient by its usual size, as if they were independent. They are not:
a layer's inputs are correlated, and so are the columns of its gradient. SOAP (Vyas et al. 2024)
rotates the gradient into the eigenbasis of its second moment, lets AdamW work there, and rotates the
update back. Only the side of the inputs is rotated here: the other one, four times as wide, would
cost more than it gains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

BETAS = (0.9, 0.997)  # of AdamW (Loshchilov and Hutter 2019); small batches need a long memory
EPSILON = 1e-8
WEIGHT_DECAY = 0.01
MOMENT_DECAY = 0.95  # per step, of the second moment whose eigenbasis is used
MOMENT_EVERY = 3  # steps between two updates of the second moment
BASIS_EVERY = 16  # steps between two updates of the basis
EARLY_BASES = (2, 4, 8)  # steps at which the basis is updated as well, while the moment is young
# A share of the mean eigenvalue, added to all: directions that only rounding errors distinguish are
# not rotated, so that a training is the same on two processes as on one.
DAMPING = 1e-2

Product = Callable[[Tensor, Tensor], Tensor]


class Soap(torch.optim.Optimizer):
    """Matrices (rows, K) with AdamW in the eigenbasis (K, K) of their gradient; vectors with AdamW.

    The state of a weight exists from the beginning and consists of tensors, so that it can be saved
    and restored whole. `step` can be captured in a CUDA graph, where the learning rate is a tensor;
    `observe` follows it, outside. A group may have a `share` of the learning rate. With
    `rotate_in_bf16`, products with a basis are in bf16.
    """

    _step_supports_amp_scaling = True  # the device skips a step that overflowed, by `found_inf`

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, rotate_in_bf16: bool = False
    ) -> None:
        super().__init__(groups, {"lr": lr, "share": 1.0})
        self._product = _product_in_bf16 if rotate_in_bf16 else torch.mm
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight] = {
                    "step": torch.zeros((), device=weight.device),
                    "exp_avg": torch.zeros_like(weight, memory_format=torch.contiguous_format),
                    "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.contiguous_format),
                }
                if weight.ndim == 2:
                    square = torch.zeros(weight.shape[1], weight.shape[1], device=weight.device)
                    seen = torch.zeros(())  # gradients; on the CPU, where it is read
                    basis = torch.eye(len(square), device=weight.device)
                    self.state[weight] |= {"moment": square, "basis": basis, "seen": seen}

    def set_rate(self, rate: float) -> None:
        """Sets the learning rate; a tensor is changed in place, for a graph reads it there."""
        for group in self.param_groups:
            group_rate = rate * group["share"]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(group_rate)
            else:
                group["lr"] = group_rate

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates all weights that have a gradient, without waiting for the device."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            states = [self.state[weight] for weight in weights]
            gradients, updated = [], []
            for weight, state in zip(weights, states, strict=True):
                weight.mul_(1 - group["lr"] * WEIGHT_DECAY)
                if "basis" in state:  # AdamW makes an update of the zeros, in the basis
                    gradients.append(self._product(weight.grad, state["basis"]))
                    updated.append(torch.zeros_like(gradients[-1]))
                else:
                    gradients.append(weight.grad)
                    updated.append(weight)
            adamw(
                updated,
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
            for weight, state, update in zip(weights, states, updated, strict=True):
                if "basis" in state:
                    weight.add_(self._product(update, state["basis"].T))

    @torch.no_grad()
    def observe(self) -> None:
        """Updates the second moments and the bases by the gradients of the last step."""
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
    elif seen % MOMENT_EVERY == 0:
        moment.lerp_(product(gradient.T, gradient), 1 - MOMENT_DECAY**MOMENT_EVERY)
    if seen % BASIS_EVERY == 0 or seen in EARLY_BASES:
        damping = DAMPING * moment.trace() / len(moment)
        rotated = _orthonormal((moment @ basis).addcmul_(basis, damping))  # a power iteration
        state["exp_avg"].copy_(state["exp_avg"] @ (basis.T @ rotated))
        basis.copy_(rotated)


def _product_in_bf16(left: Tensor, right: Tensor) -> Tensor:
    """Multiplies in bf16: a third of the time on a processor that has it, and exact enough."""
    return (left.bfloat16() @ right.bfloat16()).float()


def _orthonormal(columns: Tensor) -> Tensor:
    """Makes columns (K, K) orthonormal, one after the other."""
    device = columns.device
    if device.type == "mps":  # which lacks the QR decomposition
        columns = columns.cpu()
    basis: Tensor = torch.linalg.qr(columns)[0]
    return basis.to(device)
