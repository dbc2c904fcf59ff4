"""`chargen inspect`: looks inside of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chargen.cli.main import Lazy

if TYPE_CHECKING:
    pass


@click.group(
    cls=Lazy,
    found_in={
        "surprise": ("chargen.cli.inspect.surprise", "surprise"),
        "copies": ("chargen.cli.inspect.copies", "copies"),
        "states": ("chargen.cli.inspect.states", "states"),
        "gradients": ("chargen.cli.inspect.gradients", "gradients"),
    },
    short_help="Look inside a model.",
)
def inspect() -> None:
    """Looks inside a model: what surprises it, what it copies, what its state remembers.

    \b
      chargen inspect surprise draft.txt          bits for every character, the worst spots
      chargen inspect copies poem.txt             passages that stand in the training text
      chargen inspect states program.py           components that follow quotes, brackets, lines
      chargen inspect gradients                   how far back rnn, gru and lstm can learn from
    """
