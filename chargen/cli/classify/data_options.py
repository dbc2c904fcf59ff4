"""The labelled texts that a `classify` command reads: options, reading, a summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.classify.report import label_text
from chargen.cli.options import encoding_option
from chargen.cli.terminal import say, say_notes

if TYPE_CHECKING:
    from chargen.data.labelled import Labelled

MAX_CLASSES = 20  # listed in a summary; one or two more are not left out


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options for reading a table of labelled texts."""
    for option in (
        encoding_option,
        click.option(
            "--separator",
            metavar="CHARACTER",
            help="What separates the columns: tab, comma, semicolon, pipe or a character.  "
            "[default: found, and shown]",
        ),
        click.option(
            "--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be read, and count them."
        ),
        click.option(
            "--header/--no-header",
            default=None,
            help="Whether the first row names the columns.  [default: guessed, and shown]",
        ),
        click.option(
            "--label",
            metavar="COLUMN",
            help="Column of the labels, by name or number from 1.  [default: guessed, and shown]",
        ),
        click.option(
            "--text",
            multiple=True,
            metavar="COLUMN",
            help="Column of the text, by name or number from 1; repeatable, to join several.  "
            "[default: all others]",
        ),
    ):
        command = option(command)
    return command


def read(source: str | None, options: dict[str, Any], classes: Sequence[str] = ()) -> Labelled:
    """Reads the labelled texts in `source`, or the sentences that come with chargen, and says so.

    `options` are those of `table_options`. The `classes` of a classifier tell the labels.
    """
    from chargen.data.labelled import READING, Labelled, languages

    if source is None:
        say("no DATA given: learning to tell languages apart, from sentences that come with chargen")
        return Labelled.open(str(languages()))
    data = Labelled.open(source, classes=classes, **{name: options[name] for name in READING})
    say_notes(data.notes)
    return data


def describe(data: Labelled) -> str:
    """Returns two lines: the number of texts, and the number in each class."""
    counts = data.counts()
    shown = len(counts) if len(counts) <= MAX_CLASSES + 2 else MAX_CLASSES
    listed = [f"{label_text(name)} {count:,}" for name, count in list(counts.items())[:shown]]
    more = f" and {len(counts) - shown:,} smaller classes" if len(counts) > shown else ""
    return (
        f"data     {data.name}: {len(data):,} texts in {len(counts):,} classes\n"
        f"         {', '.join(listed)}{more}"
    )
