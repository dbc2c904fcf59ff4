"""`chargen inspect`: looks inside a model."""

from __future__ import annotations

import click

from chargen.cli.lazy_group import LazyGroup


@click.group(
    cls=LazyGroup,
    lazy_commands={
        "surprise": ("Bits for every character of a text.", "chargen.cli.inspect.surprise:surprise"),
        "copies": ("Passages copied from the training text.", "chargen.cli.inspect.copies:copies"),
        "states": (
            "Components of the state, gates, and what they follow.",
            "chargen.cli.inspect.states:states",
        ),
        "gradients": (
            "How far back rnn, gru and lstm can learn from.",
            "chargen.cli.inspect.gradients:gradients",
        ),
    },
)
def inspect() -> None:
    """Looks inside a model: what surprises it, what it copies, what its state remembers.

    \b
      chargen inspect surprise draft.txt          bits for every character, the worst spots
      chargen inspect copies poem.txt             passages copied from the training text
      chargen inspect states program.py           components that follow quotes, brackets, lines
      chargen inspect gradients                   how far back rnn, gru and lstm can learn from
    """
