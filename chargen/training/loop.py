"""The training loop, visible: a generator of one record per step, for any task.

    for step in train(model, task, TrainConfig(minutes=3)):
        ...                                    # look at it, plot it, stop whenever you like

A `Task` knows the data and gives losses and scores. All that the next step depends on is in a
`TrainingState`, which can be saved and restored. This file knows neither texts nor checkpoints nor
screens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from chargen.device import at_most_threads, flush_denormals
from chargen.errors import SMALLER_TRAINING, ChargenError, device_errors
from chargen.modes import default_modes
from chargen.suggestions import suggests
from chargen.training.budget import Budget
from chargen.training.config import TrainConfig
from chargen.training.context import TrainingContext
from chargen.training.distributed import ALONE, Ranks
from chargen.training.schedule import rate_share
from chargen.training.state import Model, Snapshot, TrainingState
from chargen.training.step import Stepper
from chargen.training.task import Task, ValidationScore

LOSS_DECAY = 0.02  # of the running mean of the loss
DIVERGED = 10  # times the loss of a uniform prediction, which counts as divergence
MAX_BREAKDOWNS = 3  # the training gives up at the last of them …
HALF_PRECISION_BREAKDOWNS = 2  # … and half precision at this one
STOP_INCREASE = 1.05  # times the lowest validation loss, above which to stop early …
STOP_PATIENCE = 0.25  # … where so large a share of the budget brought no new best …
STOP_EVALUATIONS = 5  # … and there were as many evaluations

Result = TypeVar("Result")


@suggests
@dataclass(frozen=True)
class Step:
    """The record of one step of training."""

    number: int  # from 1
    loss: float  # on the last batch: nats per token, or nats per text of a classifier
    mean_loss: float  # its running mean over about the last fifty steps
    progress: float  # share of the budget that is spent, from 0 to 1
    seconds: float  # since the beginning, evaluations included
    ids: int  # tokens read so far
    characters_per_second: float  # on average so far, evaluations included
    best_step: int  # with the best validation score so far
    score: Any = None  # the task's score on the validation data, after some of the steps
    remark: str = ""  # an event that a person should know of
    sample: str = ""  # a text by the model at this step, where the caller had it write one
    finished: bool = False  # the last record: the score of the best weights, which the model now has
    generation: int = 0  # networks trained before this one

    def summary(self) -> dict[str, Any]:
        """Returns the step and the speed, as config.json holds them beside the scores."""
        return {
            "step": self.best_step if self.finished else self.number,
            "steps": self.number,
            "seconds": round(self.seconds, 1),
            "characters_per_second": round(self.characters_per_second),
        }

    @property
    def evaluated(self) -> bool:
        """Whether there is a validation score."""
        return self.score is not None

    @property
    def val_bits_per_character(self) -> float:
        """The validation score in bits per character; NaN at a step without one."""
        return float(getattr(self.score, "bits_per_character", math.nan))


def train(
    model: Model,
    task: Task,
    config: TrainConfig,
    progress: TrainingState | None = None,
    ranks: Ranks = ALONE,
    stepper: Stepper | None = None,
) -> Iterator[Step]:
    """Trains until the budget is spent or validation stops it; ends with the best weights.

    The learning rate rises, then falls along a cosine that ends with the budget. Where the loss or
    its gradient diverges, the training is rolled back to its last evaluation, with half the learning
    rate. `progress` continues an earlier training. Each of several processes is given the same
    arguments and takes the same steps; the task knows its share. `stepper` computes the steps in
    another way.

    Raises ChargenError where the training diverges for the third time, and where the device lacks the
    precision.
    """
    state = progress or TrainingState.begin(model, config, ranks=ranks)
    stepper = stepper or Stepper(model, task, config.precision, ranks)
    context = TrainingContext(model, task, config, state, ranks, stepper)
    yield from isolated(train_to_end(context), state.threads)


def isolated(
    steps: Generator[Step, None, Result], threads: int | None
) -> Generator[Step, None, Result]:
    """Yields `steps`, each computed in torch's default modes, with at most `threads` CPU threads.

    Denormals are flushed. At every yield, and however the training ends, the caller has its own
    settings again.
    """
    try:
        while True:
            with (
                default_modes(),
                at_most_threads(threads),
                flush_denormals(),
                device_errors(SMALLER_TRAINING),
            ):
                try:
                    step = next(steps)
                except StopIteration as end:
                    result: Result = end.value
                    return result
            yield step
    finally:
        with default_modes(), at_most_threads(threads), flush_denormals():
            steps.close()


def train_to_end(context: TrainingContext) -> Generator[Step]:
    """Yields the steps of the last generation, then the record of its best weights."""
    remark, loss = yield from learn(context)
    task, state, final_score = context.task, context.state, None
    budget = Budget(context)
    load_best_weights(context)
    if task.quick_eval_tokens:
        final_score = context.ranks.broadcast_object(lambda: task.final_score(context.model))
        state.seconds = budget.seconds()
    yield record(context, 1.0, loss, score=final_score, remark=remark, finished=True)


def learn(context: TrainingContext) -> Generator[Step, None, tuple[str, float]]:
    """Yields the steps of one generation.

    Returns the reason why it stopped early, or "", and the loss of its last step.
    """
    model, task, config, state = context.model, context.task, context.config, context.state
    ranks, stepper, budget = context.ranks, context.stepper, Budget(context)
    limit = DIVERGED * (1 + task.uniform_loss)
    snapshot = state.snapshot(model)  # at the last evaluation
    pending: list[Tensor] = []  # (loss, gradient norm) of steps, still on the device
    last_loss, risen = state.loss, ""
    while not state.over:
        # 1. Take a step. The clock of the main process sets the rate and the end for all processes.
        rate = config.learning_rate * 0.5**state.breakdowns
        (done,) = ranks.broadcast(budget.done())
        state.optimizer.set_rate(rate * rate_share(done))
        output = stepper(state)
        state.step += 1
        state.position += output.advance
        state.ids += output.ids
        over, due = ranks.broadcast(budget.over(), budget.evaluation_due())
        state.over = bool(over)
        evaluate = bool(due) or state.over
        remarks = [output.remark]

        # 2. Read the losses, several at once where reading one would wait for a GPU.
        pending.append(torch.stack([output.loss, output.gradient_norm]))
        if evaluate or len(pending) >= stepper.sync_every:
            values = torch.stack(pending).tolist()
            pending.clear()
            faults = [divergence(loss, norm, state.scaler, limit) for loss, norm in values]
            if fault := next(filter(None, faults), ""):
                remarks.append(roll_back(context, snapshot, budget, fault, rate))
                yield record(context, budget.done(), last_loss, remark=_join(remarks))
                continue
            remarks.append(leave_half_precision(state))
            for loss, _ in values:
                decay = max(LOSS_DECAY, 1 / state.steps_in_generation)
                state.loss += (loss - state.loss) * decay
            last_loss = values[-1][0]

        # 3. Evaluate the averaged weights, and take a snapshot for a rollback.
        score = None
        if evaluate:
            began = time.perf_counter()
            if task.quick_eval_tokens:
                score, fault = _evaluate(context, limit)
                if fault:
                    remarks.append(roll_back(context, snapshot, budget, fault, rate))
                    yield record(context, budget.done(), last_loss, remark=_join(remarks))
                    continue
                # 4. Stop early. Steps or epochs that were asked for are taken all the same.
                if task.early_stopping and not risen:
                    risen = early_stop_reason(state, budget.done())
                    state.over = state.over or (bool(risen) and config.minutes is not None)
                    outcome = f"; the weights of step {state.best_step:,} are kept"
                    remarks.append(risen and risen + outcome)
            snapshot = state.snapshot(model)
            budget.evaluated(time.perf_counter() - began)
        state.seconds = budget.seconds()

        # 5. Report. A caller that gets a score finds the weights that were scored.
        done = 1.0 if state.over else budget.done()
        with state.averages.applied() if score else nullcontext():
            yield record(context, done, last_loss, score=score, remark=_join(remarks))
    return risen if config.minutes is not None else "", last_loss


def _evaluate(context: TrainingContext, limit: float) -> tuple[ValidationScore, str]:
    """Scores the averaged weights and records the score; returns it, and its divergence or ""."""
    model, task, state = context.model, context.task, context.state
    with state.averages.applied():
        score = context.ranks.broadcast_object(lambda: task.score(model, task.quick_eval_tokens))
        fault = divergence(score.validation_loss, 0.0, state.scaler, limit)
        if not fault:
            state.add_evaluation(model, score.validation_loss)
    return score, fault


def early_stop_reason(state: TrainingState, done: float) -> str:
    """Returns the reason to stop early, or "" where the validation loss may still fall.

    `done` is the share of the budget that is spent. The loss has risen for good where it is above
    `STOP_INCREASE` times its lowest, which is older than `STOP_PATIENCE` of the budget. A few
    evaluations, fewer than `STOP_EVALUATIONS`, say nothing.
    """
    evaluations = [
        (step - state.first_step, loss) for step, loss in state.evaluations if step > state.first_step
    ]
    if len(evaluations) < STOP_EVALUATIONS:
        return ""
    step, loss = evaluations[-1]
    best_step, best = min(evaluations, key=lambda evaluation: evaluation[1])
    if loss > STOP_INCREASE * best and done * (step - best_step) / step > STOP_PATIENCE:
        return f"the validation loss has risen for good, from {best:.3f} to {loss:.3f} nats per token"
    return ""


def divergence(loss: float, norm: float, scaler: torch.amp.GradScaler, limit: float) -> str:
    """Names the loss or gradient norm that diverged; returns "" where none did.

    A scaler expects infinite gradients and handles them itself.
    """
    if not loss < limit:  # true of NaN, too
        return f"the loss was {loss:.4g}"
    if not scaler.is_enabled() and not math.isfinite(norm):
        return f"the norm of the gradient was {norm}"
    return ""


def roll_back(
    context: TrainingContext, snapshot: Snapshot, budget: Budget, fault: str, rate: float
) -> str:
    """Rolls back to the last evaluation; elapsed time and the count of breakdowns are kept.

    Returns a remark for a person. Raises ChargenError at the last of `MAX_BREAKDOWNS`.
    """
    state = context.state
    step, breakdowns, single = state.step, state.breakdowns + 1, state.single_precision
    gives_up = state.scaler.is_enabled() and breakdowns == HALF_PRECISION_BREAKDOWNS
    state.restore(context.model, *snapshot)
    state.breakdowns, state.over, state.seconds = breakdowns, False, budget.seconds()
    if single or gives_up:
        state.use_single_precision()
    fault = f"{fault} at step {step:,}, with a learning rate of {rate:.2g}"
    if breakdowns == MAX_BREAKDOWNS:
        raise ChargenError(
            f"the training diverged for the third time: {fault}",
            "start again with a lower {learning_rate}, for example "
            f"{min(rate / 10, TrainConfig.learning_rate):.1g}",
        )
    remark = f"{fault}: rolled back to step {state.step:,}, with half the learning rate"
    return f"{remark} and from now on in single precision" if gives_up else remark


def leave_half_precision(state: TrainingState) -> str:
    """Goes on in single precision where the scale of the gradients sank below 1; says so, or "".

    Each step whose gradients overflow halves the scale, and is skipped.
    """
    if not state.scaler.is_enabled() or (scale := state.scaler.get_scale()) >= 1:
        return ""
    state.use_single_precision()
    return (
        f"at step {state.step:,} the gradients overflow in half precision even with a scale of "
        f"{scale:.2g}: from now on in single precision"
    )


def _join(remarks: list[str]) -> str:
    return "; ".join(filter(None, remarks))


def load_best_weights(context: TrainingContext) -> None:
    """Loads the best weights so far into the model, or the averages where nothing was evaluated."""
    if not context.task.quick_eval_tokens:
        context.state.averages.swap()
    else:
        context.model.load_state_dict(context.state.best_weights)
        context.task.calibrate(context.model, context.task.quick_eval_tokens)


def record(context: TrainingContext, done: float, loss: float, **more: Any) -> Step:
    """Returns the record of a step, where the share `done` of its generation's budget is spent."""
    state = context.state
    characters = state.ids * context.task.characters_per_token
    return Step(
        number=state.step,
        loss=loss,
        mean_loss=state.loss,
        progress=(state.generation + done) / context.config.generations,
        seconds=state.seconds,
        ids=state.ids,
        characters_per_second=characters / max(1e-9, state.seconds),
        best_step=state.best_step,
        generation=state.generation,
        **more,
    )
