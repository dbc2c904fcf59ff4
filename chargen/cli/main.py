"""The command line: parse, call the library, print.

What a command is for goes to stdout, everything else to stderr. A command imports the library when it
runs, so that `chargen --help` does not wait for torch.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import click

from chargen.cli.lazy_group import LazyGroup
from chargen.cli.options import option_name
from chargen.cli.terminal import open_closed_streams, say
from chargen.errors import ChargenError, device_error


class _Program(LazyGroup):
    """Turns every exception that a person can cause into one line and an exit status."""

    def main(self, *args: Any, **options: Any) -> Any:
        open_closed_streams()
        try:
            return super().main(*args, **options)
        except OSError as error:  # the error message itself, or the help, could not be written
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
        except (ImportError, MemoryError, RuntimeError) as error:
            explained = device_error(error)
            if explained is None:
                raise
            raise click.ClickException(explained.text(option_name)) from error
        except KeyboardInterrupt:
            say("")  # ends the line on which the terminal shows ^C
            ctx.exit(130)
        except BrokenPipeError:
            # The reader has left, as `| head` does. Python flushes stdout once more at exit; without
            # a place for that, it would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from error


@click.group(
    cls=_Program,
    lazy_commands={
        "train": ("Train on a text.", "chargen.cli.train:train"),
        "sample": ("Write text, streamed as it is drawn.", "chargen.cli.sample:sample"),
        "eval": ("Bits per character of a text under a model.", "chargen.cli.evaluate:evaluate"),
        "info": ("What a model is, and how it was trained.", "chargen.cli.info:info"),
        "export": ("Write a page that writes with a model.", "chargen.cli.export:export"),
        "compress": ("Pack a file by what a model expects.", "chargen.cli.compress:compress"),
        "decompress": ("Unpack such a file.", "chargen.cli.compress:decompress"),
        "classify": (
            "Learn which class a text belongs to.",
            "chargen.cli.classify.main:classify",
        ),
        "inspect": ("Look inside a model.", "chargen.cli.inspect.main:inspect"),
        "fetch": ("Download public texts into data/.", "chargen.cli.fetch:fetch"),
        "app": ("Play with it in the browser.", "chargen.cli.app:app"),
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
      chargen export -o poet.html            take the model along as a page in one file
      chargen inspect surprise other.txt     look inside: surprise, copies, states, gradients
      chargen app                            all of it on a web page

    Every option can also be set by an environment variable, for example CHARGEN_TRAIN_MINUTES=1.
    Results go to stdout, everything else to stderr. Exit status: 0 done, 1 an error that the message
    explains, 2 wrong usage, 130 stopped by Ctrl-C and 143 by SIGTERM, with everything saved.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # where the encoding lacks a character, show its code
            stream.reconfigure(errors="backslashreplace")
