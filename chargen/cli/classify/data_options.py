"""The labelled texts that a command reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.terminal import say

if TYPE_CHECKING:
    from chargen.data.labelled import Labelled


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a table of labelled texts is read, the same for every command that reads one."""
    for option in (
        click.option("--encoding", default="utf-8", help="Of the data."),
        click.option(
            "--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be read, and count them."
        ),
        click.option(
            "--header/--no-header",
            default=None,
            help="Whether the first row names the columns.  [default: as it looks, and said]",
        ),
        click.option(
            "--label", metavar="COLUMN", help="By name or number.  [default: as it looks, and said]"
        ),
        click.option(
            "--text",
            multiple=True,
            metavar="COLUMN",
            help="By name or number; several are joined.  [default: all others]",
        ),
    ):
        command = option(command)
    return command


def read(source: str | None, options: dict[str, Any]) -> Labelled:
    """The labelled texts at a place, or the sentences that come with chargen; says what was seen."""
    from chargen.data.labelled import Labelled, languages

    if source is None:
        say("no DATA given: learning to tell languages apart, from sentences that come with chargen")
        return Labelled.open(str(languages()))
    data = Labelled.open(
        source,
        text=options["text"],
        label=options["label"],
        header=options["header"],
        encoding=options["encoding"],
        skip_bad_rows=options["skip_bad_rows"],
    )
    for note in data.notes:
        say(f"note: {note}")
    return data


def describe(data: Labelled) -> str:
    """Two lines: how much there is of what."""
    counts = data.counts()
    some = [f"{name} {count:,}" for name, count in list(counts.items())[:12]]
    more = f", … {len(counts) - 12} more" if len(counts) > 12 else ""
    return (
        f"data     {data.name}: {len(data):,} texts in {len(counts):,} classes\n"
        f"         {', '.join(some)}{more}"
    )
