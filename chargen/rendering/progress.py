"""The progress of a training as a bar, in a terminal or a notebook, and the words beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chargen.training.loop import Step


def show(steps: Iterator[Step], describe: Callable[[Step], str]) -> None:
    """Runs a training to its end, with a bar on stderr where that is a terminal or a notebook.

    `describe` gives the words for the score of an evaluation.
    """
    from tqdm.auto import tqdm  # here, so that the command line starts without it

    notebook = "ipykernel" in sys.modules  # stderr is no terminal there
    bar = tqdm(
        total=100,
        disable=False if notebook else None,  # None: where stderr is no terminal
        bar_format="{percentage:3.0f}% |{bar:20}| {desc}",
    )
    score = ""
    with bar:
        for step in steps:
            bar.n = 100 * step.progress
            if step.score:
                score = describe(step)
            bar.set_description_str(status(step, score), refresh=False)
            bar.update(0)
            if step.remark and not bar.disable:
                bar.write(f"note: {step.remark}", file=sys.stderr)


def status(step: Step, score: str) -> str:
    """Returns what stands beside the bar: loss, score, speed, and the time that is left."""
    left = step.seconds * (1 / max(step.progress, 1e-3) - 1)
    speed = f"{step.characters_per_second:,.0f} characters/s"
    score = f", validation {score}" if score else ""
    return f"loss {step.mean_loss:.3f} nats{score}, {speed}, {format_seconds(left)} left"


def format_seconds(seconds: float) -> str:
    """Returns a duration as minutes:seconds, or as hours:minutes:seconds from an hour on."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
