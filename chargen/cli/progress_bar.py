"""Shows the progress of a training until its end; a signal ends it after the step."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from chargen.cli.signals import asked_to_stop
from chargen.cli.terminal import say
from chargen.rendering.progress import format_seconds, status
from chargen.training.distributed import ALONE, Ranks

if TYPE_CHECKING:
    from chargen.training.loop import Step


def watch(
    steps: Iterator[Step],
    describe: Callable[[Step], tuple[str, str]],
    stopped: str,
    ranks: Ranks = ALONE,
) -> Step:
    """Runs a training to its end and returns the last step.

    `describe` gives two texts for an evaluation: its score, and what else to print on its line. After
    a signal, closes `steps`, prints the number of the step followed by `stopped`, and raises
    SystemExit; several processes stop at the same step.
    """
    from tqdm import tqdm

    bar = tqdm(
        total=100,
        disable=None,  # where stderr is no terminal
        leave=False,
        bar_format="{percentage:3.0f}% |{bar:20}| {desc}",
    )
    score = ""
    with bar, asked_to_stop() as signals:
        for step in steps:
            bar.n = 100 * step.progress
            bar.set_description_str(status(step, score), refresh=False)
            bar.update(0)
            if step.score and not step.finished:
                score, details = describe(step)
                bar.write(_line(step, score, details), file=sys.stderr)
            if step.remark and not step.finished:
                bar.write(f"note: {step.remark}", file=sys.stderr)
            if not step.finished and ranks.any_rank(bool(signals)):
                break
        else:
            return step
        steps.close()  # type: ignore[attr-defined]
        bar.close()
        say(f"stopped at step {step.number:,}{stopped}")
        raise SystemExit(128 + (signals[0] if signals else signal.SIGTERM))


def _line(step: Step, score: str, details: str) -> str:
    """Returns the line of an evaluation: time, score, and as much of `details` as fits."""
    best = "" if step.best_step == step.number else f" (best at step {step.best_step:,})"
    head = f"{format_seconds(step.seconds):>6}  {score}{best}  "
    width = max(30, shutil.get_terminal_size().columns - len(head) - 1)
    return (head + details[:width]).rstrip()
