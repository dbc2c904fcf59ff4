"""The interface between a training and what is learned: a task gives losses and scores."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from chargen.model import LanguageModel, State
from chargen.training.state import TrainingState


class LossOutput(NamedTuple):
    """The loss on one batch."""

    loss: Tensor  # scalar, in nats
    carried: State  # the recurrent state for the next batch, detached; empty where none is carried
    advance: int  # by how much the position in the data moves
    ids: int  # tokens read, by all processes together
    reported: Tensor | None = None  # the part of the loss that a person is told; None for all of it


class ValidationScore(Protocol):
    """A score on data that the model was not trained on."""

    @property
    def validation_loss(self) -> float:
        """The number that selects the best weights: lower is better.

        Its unit is the task's own: nats per token of a language model; of a classifier, the share of
        errors plus a hundredth of the cross entropy in nats.
        """


class Task(Protocol):
    """Data to learn from, and data to score on."""

    tokens_per_step: float  # about
    steps_per_epoch: int
    characters_per_token: float
    uniform_loss: float  # the loss of a uniform prediction, in nats
    quick_eval_tokens: int  # read by an evaluation during training; 0 without validation data
    final_eval_tokens: int  # read by the last evaluation, on every machine the same
    early_stopping: bool  # whether to end a budget of minutes where the validation loss has risen

    def loss(self, model: Any, state: TrainingState) -> LossOutput:
        """Returns the loss on the batch at `state.position`."""

    def score(self, model: Any, count: int) -> ValidationScore:
        """Scores the model on about `count` validation tokens."""

    def final_score(self, model: Any) -> ValidationScore:
        """Scores the trained model on `final_eval_tokens` validation tokens."""

    def max_epochs(self, model: Any) -> float:
        """Returns the number of epochs at which to end a budget of minutes: more would overfit."""

    def calibrate(self, model: Any, count: int) -> None:
        """Adjusts the best weights after training, on about `count` validation tokens."""


class Window(NamedTuple):
    """The tokens that all lanes of this process read in one step."""

    inputs: Tensor  # (T, B)
    targets: Tensor  # (T, B)
    fresh: bool  # whether the lanes begin with an empty state
    advance: int  # by how much the position in the data moves
    ids: int  # tokens of the lanes of all processes


class WindowedTask(Task, Protocol):
    """A task of a language model whose batches are windows, nearly all of one length."""

    window_length: int  # T of nearly all windows

    def window(self, position: int, device: torch.device) -> Window:
        """Returns the window at `position`, on `device`; the copy may still be under way."""

    def loss_of(
        self, model: LanguageModel, window: Window, carried: State, rng: torch.Generator
    ) -> tuple[Tensor, State]:
        """Returns the loss on a window and the recurrent state after it; nothing but arithmetic."""
