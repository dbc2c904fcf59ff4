"""One step of training: a loss, its gradient, and an update of all weights."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from chargen.device import autocast_for
from chargen.training.distributed import ALONE, Ranks
from chargen.training.state import Model, TrainingState, device_of
from chargen.training.task import Task

CLIP_NORM = 1.0  # the largest norm of the gradient (Pascanu et al. 2013)


class StepOutput(NamedTuple):
    """The measurements of one step."""

    loss: Tensor  # scalar, in nats
    gradient_norm: Tensor  # scalar, before clipping
    advance: int  # by how much the position in the data moves
    ids: int  # tokens read, by all processes together
    remark: str = ""  # an event that a person should know of


class Stepper:
    """Takes steps of training, one at a call.

    Raises ChargenError where the device of the model lacks `precision`.
    """

    sync_every = 1  # steps after which the loop may ask the device for their losses

    def __init__(self, model: Model, task: Task, precision: str, ranks: Ranks = ALONE) -> None:
        self.model, self.task, self.ranks = model, task, ranks
        self._autocast = autocast_for(precision, device_of(model), model.config)

    def __call__(self, state: TrainingState) -> StepOutput:
        """Updates the model and `state` by the next batch; the loop counts the step."""
        with self.autocast(state):
            output = self.task.loss(self.model, state)
        value, norm = self.update(output.loss, state, state.average_weight, output.reported)
        state.optimizer.observe()
        state.carried = output.carried
        return StepOutput(value, norm, output.advance, output.ids)

    def autocast(self, state: TrainingState) -> AbstractContextManager[None]:
        """Returns the context in which to compute a loss."""
        return nullcontext() if state.single_precision else self._autocast

    def update(
        self,
        loss: Tensor,
        state: TrainingState,
        average_weight: Any,
        reported: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Updates the weights and their averages by the gradient of `loss`.

        `average_weight` is a number or, in a CUDA graph, a scalar tensor. Returns the loss, or its
        `reported` part, as the mean over all processes, and the norm of the gradient before clipping.
        """
        state.optimizer.zero_grad()
        state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        value = (loss if reported is None else reported).detach().float()
        gradients = [w.grad for w in self.model.parameters() if w.grad is not None]
        self.ranks.average([value, *gradients])
        state.scaler.unscale_(state.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        for gradient in gradients:  # else one NaN would stay in the moments for good
            gradient.nan_to_num_(0.0, 0.0, 0.0)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.averages.update(average_weight)
        return value, norm
