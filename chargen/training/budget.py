"""How much of a training's budget is spent, and when it is time to measure."""

from __future__ import annotations

import math
import time

from chargen.training.config import TrainConfig
from chargen.training.state import TrainingState
from chargen.training.task import Task

EVALUATIONS = 12  # at most, over the budget
EVALUATION_SHARE = 1 / 24  # of the time, at most
STUDENT_STEP_COST = 4 / 3  # of the time of a step, if a teacher reads along, forward only
FINAL_SHARE = 0.1  # of a budget of minutes, at most, for the last score


def share_of_time(config: TrainConfig, generation: int) -> float:
    """Of a budget of minutes, up to the end of a generation, the first one being 0."""
    return (1 + STUDENT_STEP_COST * generation) / (1 + STUDENT_STEP_COST * (config.generations - 1))


class Budget:
    """Of a training that has a budget, or of one generation of it, which has its share.

    Budgets of steps and epochs count steps, so that a run can be repeated exactly. A budget of
    minutes counts everything from the first step to the last score, whose time is kept in reserve;
    it ends before, and the learning rate falls sooner, where the data have been read often enough.
    """

    def __init__(self, config: TrainConfig, task: Task, now: TrainingState, enough: float) -> None:
        self._now = now
        self._task = task
        self._began = time.perf_counter() - now.seconds
        # To each generation its share, and what those before it left over.
        if config.minutes is not None:
            share = share_of_time(config, now.generation)
            self._budget: float | None = 60 * config.minutes * share - now.first_second
            steps = enough * task.steps_per_epoch
        else:
            share = (now.generation + 1) / config.generations
            self._budget = None
            whole = config.steps or (config.epochs or 0) * task.steps_per_epoch
            steps = whole * share - now.first_step
        self._steps = max(1.0, round(steps, 0))  # of infinity, too

    def seconds(self) -> float:
        """Since the beginning of the training."""
        return time.perf_counter() - self._began

    def done(self) -> float:
        """The share of the budget that is spent, from 0 to 1."""
        read = min(1.0, self._now.steps_in_generation / self._steps)
        if self._budget is None:
            return read
        reserve = 0.0
        if self._now.steps_in_generation:
            per_id = self._seconds_per_id()
            # The first step is slow and makes a bad estimate: it must not end the training.
            ids = 2 * self._task.quick_eval_tokens + self.final_eval_tokens()
            reserve = min(per_id * ids, 2 * FINAL_SHARE * self._budget)
        return max(read, min(1.0, self._passed() / max(1e-9, self._budget - reserve)))

    def over(self) -> bool:
        """Whether all of it is spent."""
        return self.done() >= 1

    def final_eval_tokens(self) -> int:
        """How much of the validation part the last score can afford to read."""
        if self._budget is None:
            return self._task.final_eval_tokens
        affordable = int(FINAL_SHARE * self._budget / max(self._seconds_per_id(), 1e-9))
        return min(self._task.final_eval_tokens, max(self._task.quick_eval_tokens, affordable))

    def evaluation_due(self) -> bool:
        """Whether to measure after this step."""
        if self._budget is None:
            return self._now.steps_in_generation % max(1, self._steps // EVALUATIONS) == 0
        length = self._passed() / max(1e-9, self.done())
        wait = max(length / EVALUATIONS, self._now.evaluation_cost / EVALUATION_SHARE)
        return self.seconds() - self._now.evaluated_at >= wait

    def evaluated(self, cost: float) -> None:
        """Notes that there was an evaluation, and what it took, in seconds."""
        self._now.evaluated_at, self._now.evaluation_cost = self.seconds(), cost

    def _seconds_per_id(self) -> float:
        """Of an evaluation, as the last one took it."""
        if self._now.evaluation_cost and self._task.quick_eval_tokens:
            return self._now.evaluation_cost / self._task.quick_eval_tokens
        read = self._now.steps_in_generation * self._task.tokens_per_step
        return self._passed() / (2 * read)  # a forward pass alone

    def _passed(self) -> float:
        """Seconds of this generation."""
        return self.seconds() - self._now.first_second


STUDENT_PASSES = 1.25  # times as many as without a teacher are good


PASSES = 4.5  # over a million ids, of a model with three parameters for each or more


def max_epochs(parameters: int, ids: int, taught: bool = False) -> float:
    """How often a text is to be read: more often the shorter it is, and the smaller the model.

    Measured with 30,000 to 1,000,000 characters and 0.3 to 6 parameters for each of them
    (`benchmarks/LOG.md`): a schedule that ends there is better than a longer one, but for a model that
    has a teacher.
    """
    more = STUDENT_PASSES if taught else 1.0
    return more * PASSES * math.sqrt(math.sqrt(1e6 / ids) * max(1.0, 3 * ids / parameters))
