"""What is learned, as training sees it: data that give losses and scores."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from chargen.model import State
from chargen.training.state import TrainingState


class LossOutput(NamedTuple):
    """What a task made of the next batch."""

    loss: Tensor  # scalar, in nats
    state: State  # carried on; empty where nothing is
    position: int  # by how much the place in the data moved
    ids: int  # read


class Measured(Protocol):
    """How well a model does."""

    @property
    def validation_loss(self) -> float:
        """What training minimises, on what it never saw, in nats."""


class Task(Protocol):
    """What is learned: data that give losses and scores."""

    tokens_per_step: float  # about
    steps_per_epoch: int
    characters_per_token: float
    uniform_loss: float  # the loss of blind guessing, in nats
    quick_eval_tokens: int  # read by an evaluation on the way; 0 where there is nothing to measure by
    final_eval_tokens: int  # read by the last one, if the budget affords it
    early_stopping: bool  # whether to end early where validation has turned for good

    def loss(self, model: Any, now: TrainingState) -> LossOutput:
        """The loss on the batch at `now.position`."""

    def score(self, model: Any, ids: int) -> Measured:
        """How well the model does on the first so many of the ids kept apart."""

    def max_epochs(self, model: Any) -> float:
        """Passes over the data after which a budget of minutes is ended: more would do harm."""

    def calibrate(self, model: Any, ids: int) -> None:
        """What is done to the best weights in the end, judged by as much as `score` reads."""
