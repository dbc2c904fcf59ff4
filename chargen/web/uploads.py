"""Files that a visitor has uploaded, read by the rules that hold for all files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import chargen
from chargen.errors import ChargenError

MEGABYTE = 2**20  # bytes, as a browser counts them
MAX_BYTES = 20 * MEGABYTE


def read_text(path: str, encoding: str = "utf-8") -> str:
    """Returns the text of a file; raises ChargenError for one that is too large or no text."""
    with _checked(path):
        return "".join(chargen.Text.open([path], encoding).pieces())


def read_table(path: str, encoding: str = "utf-8", skip_bad_rows: bool = False) -> chargen.Labelled:
    """Returns the texts and classes of a file; raises ChargenError as `Labelled.open` does."""
    with _checked(path):
        return chargen.Labelled.open(path, encoding=encoding, skip_bad_rows=skip_bad_rows)


@contextmanager
def _checked(path: str) -> Iterator[None]:
    """Checks the size of a file; errors name the file, not the folder that it was uploaded to."""
    name = Path(path).name
    if not Path(path).is_file():  # a tab that was opened before the page was started anew
        raise ChargenError(f"{name} is no longer here; choose the file again")
    size = Path(path).stat().st_size
    if size > MAX_BYTES:
        megabytes, limit = size / MEGABYTE, MAX_BYTES // MEGABYTE
        raise ChargenError(f"{name} has {megabytes:,.1f} MB; at most {limit} MB are read")
    try:
        yield
    except ChargenError as error:
        raise ChargenError(error.message.replace(path, name), error.hint) from error
