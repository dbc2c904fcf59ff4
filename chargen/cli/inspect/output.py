"""How an `inspect` command shows a coloured text: on the terminal and in files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from chargen.cli.terminal import say
from chargen.errors import writing

colour_option = click.option(
    "--color/--no-color", default=None, help="Colours on stdout.  [default: on a terminal]"
)
svg_option = click.option(
    "--svg", metavar="FILE", help="Also write the coloured text to a picture (svg)."
)


def coloured(color: bool | None) -> bool:
    """Returns whether to colour stdout: `color` or, if None, whether it is a terminal.

    On a terminal, the variable NO_COLOR (https://no-color.org) turns the colours off.
    """
    return color if color is not None else sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def write_file(path: str, text: str) -> None:
    """Writes a file and says so on stderr."""
    with writing(Path(path)):
        Path(path).write_text(text, encoding="utf-8")
    say(f"written: {path}")
