"""The command line: parse, call the library, print.

What a command is for goes to stdout, everything else to stderr. The library is imported inside the
commands, so that `chargen --help` does not wait for torch.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import option_name
from chargen.cli.terminal import _open_closed_streams, say
from chargen.errors import ChargenError

if TYPE_CHECKING:
    pass


class Lazy(click.Group):
    """Imports a command when it is asked for."""

    def __init__(self, *args: Any, found_in: dict[str, tuple[str, str]], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self._found_in = found_in  # name: (module, function)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._found_in)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._found_in:
            return None
        module, function = self._found_in[name]
        command: click.Command = getattr(import_module(module), function)
        return command


class _Commands(Lazy):
    """Shows a ChargenError as one line."""

    def main(self, *args: Any, **extra: Any) -> Any:
        _open_closed_streams()
        try:
            return super().main(*args, **extra)
        except OSError as error:  # not even the help could be written
            say(f"Error: {error.strerror or error}")
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ChargenError as error:
            raise click.ClickException(error.text(option_name)) from error
        except click.BadParameter as error:
            if error.ctx and error.param and error.param.name:
                source = error.ctx.get_parameter_source(error.param.name)
                if source is click.core.ParameterSource.ENVIRONMENT:
                    prefix = error.ctx.auto_envvar_prefix
                    error.param_hint = f"the variable {prefix}_{error.param.name.upper()}"
            raise
        except MemoryError as error:
            raise click.ClickException("memory does not suffice; take a smaller model") from error
        except KeyboardInterrupt:
            say("")  # behind the ^C
            ctx.exit(130)
        except BrokenPipeError:
            # Whoever read has left, as `| head` does. Nothing more can be said to them.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
            ctx.exit(0)
        except OSError as error:
            raise click.ClickException(f"{error.strerror or error}") from error


@click.group(
    cls=_Commands,
    found_in={
        "train": ("chargen.cli.train", "train"),
        "sample": ("chargen.cli.sample", "sample"),
        "eval": ("chargen.cli.evaluate", "evaluate"),
        "info": ("chargen.cli.info", "info"),
        "classify": ("chargen.cli.classify.main", "classify"),
        "inspect": ("chargen.cli.inspect.main", "inspect"),
        "fetch": ("chargen.cli.fetch", "fetch"),
        "app": ("chargen.cli.app", "app"),
    },
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
      chargen classify train data.csv        learn which class a text belongs to
      chargen inspect surprise other.txt     look inside: surprise, copies, states, gradients
      chargen app                            all of it on a web page

    Every option can also be given as a variable, for example CHARGEN_TRAIN_MINUTES=1. Results go to
    stdout, everything else to stderr. Exit status: 0 done, 1 a fault that the message explains,
    2 wrong usage, 130 stopped with Ctrl-C and 143 by SIGTERM, with all kept.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a character shows its code
            stream.reconfigure(errors="backslashreplace")
