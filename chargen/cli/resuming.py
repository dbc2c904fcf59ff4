"""Stops and resumes a training, alike for both commands that train."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import was_given
from chargen.cli.progress_bar import watch
from chargen.cli.terminal import say
from chargen.errors import ChargenError
from chargen.rendering.progress import format_seconds
from chargen.training.distributed import ALONE, Ranks

if TYPE_CHECKING:
    from chargen.training.loop import Step


def refuse_changes(
    context: click.Context, settings: dict[str, Any], folder: Path, free: Collection[str]
) -> None:
    """Raises UsageError for the first option that differs from what the training began with.

    `settings` are those that were saved; the parameters in `free` may differ.
    """
    for parameter in context.command.params:
        name = parameter.name or ""
        if was_given(context, name) and name not in free and name in settings:
            value, before = context.params[name], settings[name]
            value = list(value) if isinstance(value, tuple) else value
            if value != before:
                raise click.UsageError(
                    f"{parameter.opts[0]} {value}: the training in {folder} began with {before}. "
                    "Leave the option out to continue it, or train anew without --resume."
                )


def say_finished(folder: Path, scores: dict[str, Any], score: str, budget: tuple[str, float]) -> None:
    """Says that a training has spent its budget, how good the model is, and how to give it more.

    `scores` are those in config.json, `score` is the one to tell, or "".
    """
    unit, amount = budget
    rated = f", {score}" if score else ""
    say(
        f"the training in {folder} is finished: {scores['steps']:,} steps in "
        f"{format_seconds(scores['seconds'])}{rated}"
    )
    say(f"give it a larger budget to continue, for example --{unit} {2 * amount:g}")


def watch_kept(
    steps: Iterator[Step],
    describe: Callable[[Step], tuple[str, str]],
    command: str,
    ranks: Ranks = ALONE,
) -> Step:
    """Shows the steps until the end, or until a signal, which leaves everything saved.

    `command` resumes the training; `describe` and `ranks` are for `watch`.
    """
    stopped = f"; everything is saved. Continue with: {command}"
    try:
        return watch(steps, describe, stopped, ranks)
    except ChargenError as error:
        if isinstance(error.__cause__, OSError):
            raise ChargenError(
                f"{error}; put that right, then continue from the last saved state with: {command}"
            ) from error
        raise
