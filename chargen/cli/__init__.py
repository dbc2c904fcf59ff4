"""The command line: parse, call the library, print.

What a command is for goes to stdout, everything else to stderr. The library is imported inside the
commands, so that `chargen --help` does not wait for torch.
"""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import IO, Any

import click

from chargen.errors import ChargenError

_COMMANDS = {  # name: (module, function)
    "train": ("chargen.cli.train", "train"),
    "sample": ("chargen.cli.sample", "sample"),
    "eval": ("chargen.cli.evaluate", "evaluate"),
    "info": ("chargen.cli.info", "info"),
}


class Number(click.FloatRange):
    """A finite number within a range: Click's own ranges let NaN and infinity through."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class _Commands(click.Group):
    """Imports a command when it is asked for, and shows a ChargenError as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, function = _COMMANDS[name]
        command: click.Command = getattr(import_module(module), function)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ChargenError as error:
            raise click.ClickException(str(error)) from error
        except click.BadParameter as error:
            if error.ctx and error.param and error.param.name:
                source = error.ctx.get_parameter_source(error.param.name)
                if source is click.core.ParameterSource.ENVIRONMENT:
                    prefix = error.ctx.auto_envvar_prefix
                    error.param_hint = f"the variable {prefix}_{error.param.name.upper()}"
            raise
        except MemoryError as error:
            raise click.ClickException("memory does not suffice; take a smaller model") from error
        except BrokenPipeError:
            # Whoever read has left, as `| head` does. Nothing more can be said to them.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
            ctx.exit(0)
        except OSError as error:
            raise click.ClickException(f"{error.strerror or error}") from error


@click.group(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "CHARGEN",
        "show_default": True,
        "max_content_width": 100,
    },
)
@click.version_option(package_name="chargen")
def main() -> None:
    """Learns to write like any text, in minutes, on a laptop.

    \b
      chargen train corpus.txt               learn from a text (or from Python's own manual)
      chargen sample --prompt "Once "        write like it
      chargen eval other.txt                 how well the model predicts a text
      chargen info                           what the model is and how it was trained

    Every option can also be given as a variable, for example CHARGEN_TRAIN_MINUTES=1. Results go to
    stdout, everything else to stderr. Exit status: 0 done, 1 a fault that the message explains,
    2 wrong usage, 130 stopped with Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a character shows its code
            stream.reconfigure(errors="backslashreplace")


def model_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """-m/--model, the same for every command that reads a model."""
    return click.option(
        "-m",
        "--model",
        metavar="DIR",
        help="The checkpoint folder.  [default: the newest under ./checkpoints, "
        "else the starter model in the package]",
    )(command)


def load_model(folder: str | None) -> Any:
    """The generator in a checkpoint folder, or the one that a person would mean by saying nothing."""
    from pathlib import Path

    from chargen.checkpoint import newest
    from chargen.text_generator import STARTER, TextGenerator

    if folder is None:
        found = newest(Path("checkpoints"))
        folder = str(found or STARTER)
        say(f"model: {found or 'the starter model of the package (train your own: chargen train)'}")
    return TextGenerator.load(folder)


def say(message: str) -> None:
    """For the person at the keyboard: to stderr, beside the product."""
    click.echo(message, err=True)


def read_text(file: IO[bytes], label: str) -> str:
    """A prompt from a file or standard input, with the one newline that editors add taken off."""
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ChargenError(
            f"{label} is not UTF-8: the byte 0x{error.object[error.start]:02x} at offset "
            f"{error.start}; convert it first"
        ) from error
    return text.removesuffix("\n").removesuffix("\r")
