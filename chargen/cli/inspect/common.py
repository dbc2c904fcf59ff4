"""What the commands that look inside have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.models import load_model
from chargen.cli.options import Source
from chargen.cli.terminal import say
from chargen.errors import writing

if TYPE_CHECKING:
    from chargen.generator import TextGenerator


def text_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A text to look at, the same for every command that reads one."""
    for option in (
        click.option(
            "--unknown",
            type=click.Choice(["error", "skip"]),
            default="error",
            help="What happens to a character that the model has never seen, and whose relatives "
            '(é: e, “: ") it has not seen either.',
        ),
        click.option("--encoding", default="utf-8", help="Of the file."),
        click.option("--text", metavar="TEXT", help="The text itself, instead of a FILE."),
        click.argument("file", required=False, type=Source()),
    ):
        command = option(command)
    return command


def open_text(file: str | None, text: str | None, encoding: str) -> str:
    """The text that is meant: of a file, of standard input, or given as it is."""
    from chargen.data.text import Text

    if (file is None) == (text is None):
        raise click.UsageError("give a FILE (- for standard input) or --text TEXT")
    source = Text.open([file], encoding) if file is not None else Text.from_string(text or "")
    return "".join(source.pieces())


def load_and_adapt(model: str | None, text: str, unknown: str) -> tuple[TextGenerator, str]:
    """The model, and the text in characters that it knows; says what was changed."""
    writer = load_model(model)
    text, notes = writer.tokenizer.adapt(text, skip=unknown == "skip")
    for note in notes:
        say(f"note: {note}")
    return writer, text


def coloured(wanted: bool | None) -> bool:
    """Whether to colour what goes to stdout: as asked for, else on a terminal (no-color.org)."""
    return wanted if wanted is not None else sys.stdout.isatty() and not os.environ.get("NO_COLOR")


colour_option = click.option(
    "--color/--no-color", default=None, help="Colours on stdout.  [default: on a terminal]"
)


def write_file(path: str, text: str) -> None:
    """Writes a file that was asked for, and says so."""
    with writing(Path(path)):
        Path(path).write_text(text, encoding="utf-8")
    say(f"written: {path}")
