"""Files that a visitor has uploaded, read by the rules that hold for all files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import chargen
from chargen.errors import ChargenError

MAX_BYTES = 20_000_000


def read_text(path: str) -> str:
    """Returns the text of a file; raises ChargenError for one that is too large or no text."""
    with _checked(path):
        return "".join(chargen.Text.open([path]).pieces())


def read_table(path: str) -> chargen.Labelled:
    """Returns the texts and classes of a file; raises ChargenError as `read_text` does."""
    with _checked(path):
        return chargen.Labelled.open(path)


@contextmanager
def _checked(path: str) -> Iterator[None]:
    """Checks the size of a file; errors name the file, not the folder that it was uploaded to."""
    name, size = Path(path).name, Path(path).stat().st_size
    if size > MAX_BYTES:
        raise ChargenError(f"{name} has {size / 1e6:,.1f} MB; at most {MAX_BYTES / 1e6:g} MB are read")
    try:
        yield
    except ChargenError as error:
        raise ChargenError(error.message.replace(path, name), error.hint) from error
