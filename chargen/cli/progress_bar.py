"""Shows where a training is until its end; a signal ends it after the step."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from chargen.cli.signals import asked_to_stop
from chargen.cli.terminal import say
from chargen.training.distributed import ALONE, Ranks

if TYPE_CHECKING:
    from chargen.training.loop import Step


def watch(
    steps: Iterator[Step],
    line: Callable[[Step], tuple[str, str]],
    stopped: Callable[[Step], str],
    ranks: Ranks = ALONE,
) -> Step:
    """Returns the last step. `line` says of an evaluation how good it is, and what goes beside it;
    `stopped` says, after a signal, what was kept. Several processes stop at the same step.
    """
    from tqdm import tqdm

    bar = tqdm(
        total=100,
        disable=None,  # where stderr is no terminal
        leave=False,
        bar_format="{percentage:3.0f}% |{bar:20}| {desc}",
    )
    score = ""
    with bar, asked_to_stop() as asked:
        for step in steps:
            bar.n = 100 * step.progress
            bar.set_description_str(_status(step, score), refresh=False)
            bar.update(0)
            if step.score and not step.finished:
                score, beside = line(step)
                bar.write(_line(step, score, beside), file=sys.stderr)
            if step.remark and not step.finished:
                bar.write(f"note: {step.remark}", file=sys.stderr)
            if not step.finished and ranks.any_rank(bool(asked)):
                break
        else:
            return step
        steps.close()  # type: ignore[attr-defined]
        bar.close()
        say(f"stopped at step {step.number:,}{stopped(step)}")
        raise SystemExit(128 + (asked[0] if asked else signal.SIGTERM))


def clock(seconds: float) -> str:
    """Minutes and seconds, hours where there are any."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _status(step: Step, score: str) -> str:
    left = step.seconds * (1 / max(step.progress, 1e-3) - 1)
    speed = f"{step.characters_per_second:,.0f} characters/s"
    score = f", validation {score}" if score else ""
    return f"loss {step.mean_loss:.3f} nats{score}, {speed}, {clock(left)} left"


def _line(step: Step, score: str, beside: str) -> str:
    """One line for an evaluation: when, how good, and what the model does now."""
    best = "" if step.best_step == step.number else f" (best at step {step.best_step:,})"
    head = f"{clock(step.seconds):>6}  {score}{best}  "
    room = max(30, shutil.get_terminal_size().columns - len(head) - 1)
    return (head + beside[:room]).rstrip()
