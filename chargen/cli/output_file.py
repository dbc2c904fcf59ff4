"""The file that a command writes: never one that was there, and never half of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click

from chargen.errors import ChargenError, writing


def output_file(path: str, overwrite: bool) -> Path:
    """Returns the file to write.

    Raises UsageError for a folder, and unless `overwrite` for a file that is there.
    """
    target = Path(path)
    if target.is_dir():
        raise click.UsageError(f"{target} is a folder; name a file with --out")
    if target.exists() and not overwrite:
        raise click.UsageError(
            f"{target} is already there; replace it with --overwrite, or name another --out"
        )
    return target


def write_file(target: Path, data: bytes) -> None:
    """Writes all of the data or nothing; raises ChargenError if the file cannot be written."""
    draft = target.with_name(f"{target.name}.new")
    try:
        with writing(target):
            draft.write_bytes(data)
            os.replace(draft, target)
    except ChargenError:
        with suppress(OSError):
            draft.unlink()
        raise
