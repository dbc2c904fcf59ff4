"""The text that an `inspect` command reads: a FILE, standard input, or --text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from chargen.cli.options import Source, encoding_option


def text_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds FILE, --text and --encoding."""
    for option in (
        encoding_option,
        click.option("--text", metavar="TEXT", help="The text itself, instead of a FILE."),
        click.argument("file", required=False, type=Source()),
    ):
        command = option(command)
    return command


def open_text(file: str | None, text: str | None, encoding: str) -> str:
    """Returns the text in `file`, or `text` itself."""
    from chargen.data.text import Text

    if (file is None) == (text is None):
        raise click.UsageError("give a FILE (- for standard input) or --text TEXT")
    source = Text.open([file], encoding) if file is not None else Text.from_string(text or "")
    return "".join(source.pieces())
