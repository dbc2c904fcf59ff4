"""What a person sees and types in a terminal."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import IO, TYPE_CHECKING, TextIO

import click

from chargen.errors import ChargenError

if TYPE_CHECKING:
    pass


# What a model writes must not ring or repaint a terminal: ␇ for BEL, ␛ for ESC.
_CONTROL_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}


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
