"""The command line: parse, call the library, print.

What a command is for goes to stdout, everything else to stderr. The library is imported inside the
commands, so that `chargen --help` does not wait for torch.
"""

from __future__ import annotations

import errno
import io
import math
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

from chargen.data.text import BUILTIN
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.generator import TextGenerator

# What a model writes must not ring or repaint a terminal: ␇ for BEL, ␛ for ESC.
_CONTROL_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}


class Number(click.FloatRange):
    """A finite number within a range: Click's own ranges let NaN and infinity through."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Source(click.ParamType):  # type: ignore[type-arg]
    """Where a text comes from: a file, a folder, - for standard input, or the built-in corpus."""

    name = "source"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value not in ("-", BUILTIN) and not os.path.exists(value):
            self.fail(f"there is no file or folder {value!r}; the built-in corpus is {BUILTIN!r}")
        return value


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


class _Closed(io.TextIOBase):
    """Standard output where there is none."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


def _open_closed_streams() -> None:
    """Puts something where a shell left nothing (`>&-`), or our next file would take its number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives


def model_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """-m/--model, the same for every command that reads a model."""
    return click.option(
        "-m",
        "--model",
        metavar="DIR",
        help="The checkpoint folder.  [default: the newest under ./checkpoints, "
        "else the starter model in the package]",
    )(command)


def load_model(folder: str | None) -> TextGenerator:
    """The generator in a checkpoint folder, or the one that a person would mean by saying nothing."""
    from chargen.generator import TextGenerator

    return TextGenerator.load(model_folder(folder))


def model_folder(folder: str | None) -> str:
    """The folder asked for, or the newest model's, or the starter's, and says which."""
    if folder is not None:
        return folder
    from chargen.generator import STARTER
    from chargen.storage.checkpoint import newest

    found = newest(Path("checkpoints"))
    say(f"model: {found or 'the starter model of the package (train your own: chargen train)'}")
    return str(found or STARTER)


def was_given(context: click.Context, name: str) -> bool:
    """Whether a person said it, as an option or as a variable, rather than left it to its default."""
    source = context.get_parameter_source(name)
    return source in (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)


def say(message: str) -> None:
    """For the person at the keyboard: to stderr, beside the product."""
    click.echo(message, err=True)


def shown(text: str, stream: TextIO) -> str:
    """A text as it is; on a terminal, control characters as pictures of themselves."""
    return text.translate(_CONTROL_PICTURES) if stream.isatty() else text


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
