"""Reads from standard input and files, and writes to stdout and stderr."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Iterable
from typing import IO, TextIO

import click

from chargen.errors import ChargenError

# The output of a model must not ring a terminal or repaint it: ␇ for BEL, ␛ for ESC.
_CONTROL_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}

_ESCAPE = re.compile(r"\\([nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})")


class _Closed(io.TextIOBase):
    """The standard output of a process that was started without one."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


class _ClosedInput(io.RawIOBase):
    """The standard input of a process that was started without one."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise OSError(errno.EBADF, "it is closed")


def open_closed_streams() -> None:
    """Opens the standard streams that a shell closed (`>&-`).

    Otherwise the next file that we open would get the number of the closed stream, and be written to
    by everything that is printed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_ClosedInput()))
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives


def say(message: str) -> None:
    """Prints a message for the person at the keyboard, on stderr: stdout is for results."""
    click.echo(message, err=True)


def say_notes(notes: Iterable[str]) -> None:
    """Prints a line for each of the `notes` on what chargen did with the input."""
    for note in notes:
        say(f"note: {note}")


def say_escapes(text: str, option: str, knows_backslash: bool) -> None:
    """Says that a backslash which a person typed is none that stands for another character.

    A backslash that the model knows may be meant, as in code.
    """
    escape = _ESCAPE.search(text)
    if escape and not knows_backslash:
        meant = {"n": "a newline", "t": "a tab", "r": "a carriage return"}.get(
            escape[1], "a character"
        )
        say(
            f"note: {option} holds a backslash and {escape[1]!r}, not {meant}: in a shell, write "
            f"$'…{escape[0]}…'" + (", or use --prompt-file" if option == "--prompt" else "")
        )


def shown(text: str, stream: TextIO) -> str:
    """Returns `text` unchanged or, for a terminal, with pictures of its control characters."""
    return text.translate(_CONTROL_PICTURES) if stream.isatty() else text


def read_text(file: IO[bytes], label: str) -> str:
    """Returns the text of a UTF-8 file, without the one newline that editors add at the end.

    Raises ChargenError, which calls the file by `label`, if it cannot be read or is not UTF-8.
    """
    try:
        text = file.read().decode("utf-8-sig")
    except OSError as error:
        raise ChargenError(f"{label} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ChargenError(
            f"{label} is not UTF-8: the byte 0x{error.object[error.start]:02x} at offset "
            f"{error.start}",
            "convert it to UTF-8 first",
        ) from error
    return text.removesuffix("\n").removesuffix("\r")
