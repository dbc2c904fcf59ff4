"""One step of training: loss, gradient, and all weights moved."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from chargen.device import autocast_for
from chargen.model import detach
from chargen.training.distributed import ALONE, Ranks
from chargen.training.state import Model, TrainingState, device_of
from chargen.training.task import Task

CLIP = 1.0  # the largest norm of the gradient (Pascanu et al. 2013)


class StepOutput(NamedTuple):
    """What a step gave."""

    nats: Tensor  # scalar, the loss
    norm: Tensor  # scalar, of the gradient before it was clipped
    position: int  # by how much the place in the data moved
    ids: int  # read


class Stepper:
    """Takes a step of training: loss, gradient, and all weights moved."""

    late = 1  # steps after which it is asked for what they gave

    def __init__(self, model: Model, task: Task, precision: str, ranks: Ranks = ALONE) -> None:
        self._model, self._task, self._ranks = model, task, ranks
        self._autocast = autocast_for(precision, device_of(model), model.config)

    def __call__(self, now: TrainingState) -> StepOutput:
        """The step; what the weights were before it is not kept."""
        model = self._model
        with self._autocast:
            loss, state, position, ids = self._task.loss(model, now)
        nats, norm = self.move(loss, now, now.average_weight)
        now.optimizer.observe()
        # The state goes on as a value. If its history came along, the gradient would reach back
        # through all windows, and memory with it: this cut is the truncation in "truncated BPTT".
        now.state = detach(state)
        return StepOutput(nats, norm, position, ids)

    def move(self, loss: Tensor, now: TrainingState, average_weight: Any) -> tuple[Tensor, Tensor]:
        """Moves the weights down the gradient; the loss, and the norm of the gradient."""
        now.optimizer.zero_grad()
        now.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        nats = loss.detach().float()
        gradients = [w.grad for w in self._model.parameters() if w.grad is not None]
        self._ranks.average([nats, *gradients])
        now.scaler.unscale_(now.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), CLIP)
        for gradient in gradients:  # what is not finite moves nothing, and teaches nothing
            gradient.nan_to_num_(0.0, 0.0, 0.0)
        now.scaler.step(now.optimizer)
        now.scaler.update()
        now.average(self._model, average_weight)
        return nats, norm
