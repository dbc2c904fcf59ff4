"""The training loop, visible: a generator of one record per step, for whatever is to be learned.

    for step in train(model, task, TrainConfig(minutes=3)):
        ...                                    # look at it, plot it, stop whenever you like

What is learned is a `Task`: it knows the data and gives losses and scores. All that the next step
depends on is in `Progress`, which goes in, can be kept, and comes back as tensors and plain numbers.
This file knows neither texts nor checkpoints nor screens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chargen.errors import ChargenError
from chargen.training.budget import Budget
from chargen.training.config import TrainConfig
from chargen.training.distributed import ALONE, Ranks
from chargen.training.state import Model, TrainingState
from chargen.training.step import Stepper
from chargen.training.task import Task

WARM_UP = 0.02  # share of the budget in which the learning rate rises
FINAL_RATE = 0.1  # of the learning rate, at the end of the cosine
EXPLODED = 10  # times the loss of blind guessing, and more, is as good as infinite
BREAKDOWNS = 3  # at the last of them a training gives up


@dataclass(frozen=True)
class Step:
    """What one step of training did."""

    number: int  # from 1
    loss: float  # nats per id on the window just read; NaN in the last record
    mean_loss: float  # its running mean over about the last fifty steps
    progress: float  # of the budget, from 0 to 1
    seconds: float  # since the beginning, evaluations included
    ids: int  # read so far
    characters_per_second: float  # on average so far, evaluations included
    best_step: int  # with the best validation score so far
    score: Any = None  # what the task measured on the validation part, after some of the steps
    remark: str = ""  # what happened that a person should know
    sample: str = ""  # what the model writes now, where someone had it write
    finished: bool = False  # the last record: the score of the best weights, now the model's

    def summary(self) -> dict[str, Any]:
        """When it was and how fast, as config.json keeps it beside the scores."""
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
        """Of the validation score; NaN at a step without one."""
        return float(getattr(self.score, "bits_per_character", math.nan))


def train(
    model: Model,
    task: Task,
    config: TrainConfig,
    progress: TrainingState | None = None,
    ranks: Ranks = ALONE,
    stepper: Stepper | None = None,
) -> Iterator[Step]:
    """Trains until the budget is spent or validation has turned for good; ends with the best weights.

    The learning rate rises, then falls along a cosine that ends with the budget. Where the loss or
    its gradient is not finite, or beyond all measure, the training goes back to its last evaluation
    with half the learning rate, and the third time raises ChargenError. Of several processes, each is
    given the same and takes the same steps; the task knows its share. How a step is computed can be
    given as well.
    """
    now = progress or TrainingState.begin(model, config, ranks=ranks)
    remark = yield from learn(model, task, config, now, ranks, stepper)
    clock, final = Budget(config, task, now, task.max_epochs(model)), None
    with _flushed():
        load_best_weights(model, task, now)
        if task.quick_eval_tokens:
            final = ranks.broadcast_object(lambda: task.score(model, clock.final_eval_tokens()))
            now.seconds = clock.seconds()
    yield record(task, config, now, 1.0, math.nan, score=final, remark=remark, finished=True)


def load_best_weights(model: Model, task: Task, now: TrainingState) -> None:
    """Gives the model the best weights so far, or the averages where nothing was measured."""
    if not task.quick_eval_tokens:
        now.swap(model)
    else:
        model.load_state_dict(now.best_weights)
        task.calibrate(model, task.quick_eval_tokens)


def record(
    task: Task, config: TrainConfig, now: TrainingState, done: float, loss: float, **more: Any
) -> Step:
    """What there is to be said of a training, `done` being the share of its generation."""
    return Step(
        number=now.step,
        loss=loss,
        mean_loss=now.loss,
        progress=(now.generation + done) / config.generations,
        seconds=now.seconds,
        ids=now.ids,
        characters_per_second=now.ids * task.characters_per_token / max(1e-9, now.seconds),
        best_step=now.best_step,
        **more,
    )


@contextmanager
def _flushed() -> Iterator[None]:
    """Numbers too small for the normal format cost twenty times the time of others on a CPU."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def learn(
    model: Model,
    task: Task,
    config: TrainConfig,
    now: TrainingState,
    ranks: Ranks = ALONE,
    stepper: Stepper | None = None,
) -> Generator[Step, None, str]:
    """The steps of `train`, of one generation if there are several; returns the last remark."""
    with _flushed():
        return (yield from _steps(model, task, config, now, ranks, stepper))


def _steps(
    model: Model,
    task: Task,
    config: TrainConfig,
    now: TrainingState,
    ranks: Ranks,
    stepper: Stepper | None,
) -> Generator[Step, None, str]:
    take = stepper or Stepper(model, task, config.precision, ranks)
    clock = Budget(config, task, now, task.max_epochs(model))

    def step(loss: float, **more: Any) -> Step:
        return record(task, config, now, 1.0 if now.over else clock.done(), loss, **more)

    limit = EXPLODED * (1 + task.uniform_loss)
    good, turned = now.copied(model), ""
    late: list[Tensor] = []  # (loss, norm) of steps, of which the device has not been asked yet
    last = now.loss
    while not now.over:
        rate = config.learning_rate * 0.5**now.breakdowns
        (done,) = ranks.broadcast(clock.done())
        now.optimizer.rate(rate * _schedule(done))
        nats, length, position, ids = take(now)
        now.step += 1
        now.position += position
        now.ids += ids
        over, due = ranks.broadcast(clock.over(), clock.evaluation_due())
        now.over = bool(over)
        late.append(torch.stack([nats, length]))
        if due or now.over or len(late) >= take.late:
            known = torch.stack(late).tolist()
            late.clear()
            faults = [divergence(value, norm, now.scaler, limit) for value, norm in known]
            if fault := next(filter(None, faults), ""):
                yield step(math.nan, remark=roll_back(fault, model, now, good, clock, rate))
                continue
            for value, _ in known:
                now.loss += (value - now.loss) * max(0.02, 1 / now.steps_in_generation)
            last = known[-1][0]
        score = None
        if due or now.over:
            began = time.perf_counter()
            if task.quick_eval_tokens:
                with now.averaged(model):
                    score = ranks.broadcast_object(lambda: task.score(model, task.quick_eval_tokens))
                    fault = divergence(score.validation_loss, 0.0, now.scaler, limit)
                    if not fault:
                        now.remember(model, score.validation_loss)
                if fault:
                    yield step(last, remark=roll_back(fault, model, now, good, clock, rate))
                    continue
                turned = early_stop_reason(now, clock.done()) if task.early_stopping else ""
                now.over = now.over or bool(turned)
            good = now.copied(model)
            clock.evaluated(time.perf_counter() - began)
        now.seconds = clock.seconds()
        # Whoever looks at a score finds the weights that were scored.
        with now.averaged(model) if score else nullcontext():
            yield step(last, score=score, remark=turned)
    return turned


def _schedule(done: float) -> float:
    """The learning rate as a share of its highest value: a ramp, then a cosine."""
    cosine = FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * done)) / 2
    return min(1.0, (done + 1e-3) / WARM_UP) * cosine


def early_stop_reason(now: TrainingState, done: float) -> str:
    """Says so when validation got worse for good, and training on can only memorise.

    For good means: worse by a twentieth, after a quarter of the budget without a new best.
    """
    since = [(step - now.first_step, nats) for step, nats in now.evaluations if step > now.first_step]
    step, nats = since[-1]
    best_step, best = min(since, key=lambda evaluation: evaluation[1])
    if nats > 1.05 * best and done * (step - best_step) / step > 0.25:
        return f"validation has turned for good: {best:.3f} nats at its best, {nats:.3f} now"
    return ""


def divergence(nats: float, norm: float, scaler: torch.amp.GradScaler, limit: float) -> str:
    """Names what is not as it should be, if anything; infinite gradients are a scaler's business."""
    if not nats < limit:  # NaN is not
        return f"the loss was {nats:.4g}"
    if not scaler.is_enabled() and not math.isfinite(norm):
        return f"the gradient was {norm}"
    return ""


def roll_back(
    fault: str,
    model: Model,
    now: TrainingState,
    good: tuple[dict[str, Tensor], dict[str, Any]],
    clock: Budget,
    rate: float,
) -> str:
    """To where all was well; the time is spent all the same, and the fault is not forgotten."""
    step, breakdowns = now.step, now.breakdowns + 1
    now.restore(model, *good)
    now.breakdowns, now.over, now.seconds = breakdowns, False, clock.seconds()
    fault = f"{fault} at step {step:,}, with a learning rate of {rate:.2g}"
    if breakdowns == BREAKDOWNS:
        raise ChargenError(
            f"training broke down for the third time: {fault}; start again with a lower one, for "
            f"example --lr {min(rate / 10, TrainConfig.learning_rate):.1g}"
        )
    return f"{fault}: back to step {now.step:,}, with half the learning rate"
