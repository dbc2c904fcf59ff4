"""The parts of one training, which its functions hand on as one argument."""

from __future__ import annotations

from dataclasses import dataclass

from chargen.training.config import TrainConfig
from chargen.training.distributed import Ranks
from chargen.training.state import Model, TrainingState
from chargen.training.step import Stepper
from chargen.training.task import Task


@dataclass(frozen=True)
class TrainingContext:
    """The training of one generation: `model` and `state` change at every step, the rest is fixed."""

    model: Model
    task: Task
    config: TrainConfig
    state: TrainingState
    ranks: Ranks
    stepper: Stepper
