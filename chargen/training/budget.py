"""The budget of a training: how much of it is spent, and when to evaluate."""

from __future__ import annotations

import math
import time

from chargen.training.config import TrainConfig
from chargen.training.context import TrainingContext

MAX_EVALUATIONS = 12  # over the budget
EVALUATION_SHARE = 1 / 24  # of the time, at most
STUDENT_STEP_COST = 4 / 3  # of the time of a plain step: a teacher adds a forward pass
RESERVE_SHARE = 0.5  # of a budget of minutes, at most, for the last evaluations
EPOCHS = 4.5  # over a million tokens, for a model with three parameters a token or more
STUDENT_EPOCHS = 1.25  # times as many for a student


def share_of_time(config: TrainConfig, generation: int) -> float:
    """Returns the share of a budget of minutes up to the end of `generation`, counted from 0."""
    return (1 + STUDENT_STEP_COST * generation) / (1 + STUDENT_STEP_COST * (config.generations - 1))


def max_epochs(parameters: int, ids: int, is_student: bool = False) -> float:
    """Returns how often to read a text of `ids` tokens: shorter texts and smaller models more often.

    Measured with 30,000 to 1,000,000 characters and 0.3 to 6 parameters for each of them
    (`benchmarks/LOG.md`): a schedule that ends there is better than a longer one. A student can
    read more.
    """
    more = STUDENT_EPOCHS if is_student else 1.0
    return more * EPOCHS * math.sqrt(math.sqrt(1e6 / ids) * max(1.0, 3 * ids / parameters))


class Budget:
    """Tracks the budget of one training, or of one distillation generation within it.

    Budgets of steps and epochs count steps, so that a run can be repeated exactly. A budget of
    minutes counts all time from the first step to the last evaluation, for which it keeps a reserve.
    It ends early, on a shorter schedule, once the maximum number of epochs is reached.
    """

    def __init__(self, context: TrainingContext) -> None:
        config, state, task = context.config, context.state, context.task
        self._state = state
        self._task = task
        self._began = time.perf_counter() - state.seconds
        # A generation gets its share, and what the generations before it left over.
        if config.minutes is not None:
            share = share_of_time(config, state.generation)
            self._time: float | None = 60 * config.minutes * share - state.first_second
            steps = task.max_epochs(context.model) * task.steps_per_epoch
        else:
            share = (state.generation + 1) / config.generations
            self._time = None
            total = config.steps or (config.epochs or 0) * task.steps_per_epoch
            steps = total * share - state.first_step
        # `round` with a number of digits accepts infinity, the steps of a task without a maximum.
        self._steps = max(1.0, round(steps, 0))

    def seconds(self) -> float:
        """Seconds since the beginning of the training."""
        return time.perf_counter() - self._began

    def done(self) -> float:
        """The share of the budget that is spent, from 0 to 1."""
        by_steps = min(1.0, self._state.steps_in_generation / self._steps)
        if self._time is None:
            return by_steps
        reserve = 0.0
        # The first step is slow and makes a bad estimate, so the reserve is capped: it must not end
        # the training.
        if self._state.steps_in_generation:
            ids = 2 * self._task.quick_eval_tokens + self._task.final_eval_tokens
            reserve = min(self._seconds_per_token() * ids, RESERVE_SHARE * self._time)
        return max(by_steps, min(1.0, self._elapsed() / max(1e-9, self._time - reserve)))

    def over(self) -> bool:
        """Whether all of it is spent."""
        return self.done() >= 1

    def evaluation_due(self) -> bool:
        """Whether to evaluate after this step."""
        if self._time is None:
            return self._state.steps_in_generation % max(1, self._steps // MAX_EVALUATIONS) == 0
        expected = self._elapsed() / max(1e-9, self.done())  # seconds, of the whole generation
        interval = max(expected / MAX_EVALUATIONS, self._state.evaluation_cost / EVALUATION_SHARE)
        return self.seconds() - self._state.evaluated_at >= interval

    def evaluated(self, cost: float) -> None:
        """Records that an evaluation took `cost` seconds."""
        self._state.evaluated_at, self._state.evaluation_cost = self.seconds(), cost

    def _seconds_per_token(self) -> float:
        """Seconds that an evaluation takes for each token, by the last one."""
        if self._state.evaluation_cost and self._task.quick_eval_tokens:
            return self._state.evaluation_cost / self._task.quick_eval_tokens
        read = self._state.steps_in_generation * self._task.tokens_per_step
        return self._elapsed() / (2 * read)  # a forward pass takes less than half of a step

    def _elapsed(self) -> float:
        """Seconds since the beginning of this generation."""
        return self.seconds() - self._state.first_second
