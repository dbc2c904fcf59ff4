"""Folders whose files are replaced all or none, even if the power fails on the way.

A commit first writes every file under a second name (`config.json.new`), each synced to the disk,
then renames the manifest, then the files. The rename of the manifest is the moment of the commit:
before it, the old manifest names the old files; after it, the new manifest names the new ones, and a
file without the sha256 that it names is found under its second name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from chargen.errors import ChargenError, writing
from chargen.storage.schema import parse

MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES = 1 << 16

T = TypeVar("T")


def commit(folder: Path, files: dict[str, bytes]) -> None:
    """Writes files and their manifest, all or none; other files of the folder are left alone.

    Raises ChargenError if the folder cannot be written, or if it holds a file of one of these names
    that no commit wrote. The folder is then as it was before.
    """
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = (json.dumps(sums, indent=1) + "\n").encode()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # The drafts of an interrupted commit may be the only good copies of its files.
        recover_interrupted_commit(folder)
        refuse_foreign(folder, list(files))
        drafts = {
            folder / f"{name}.new": data for name, data in [*files.items(), (MANIFEST, manifest)]
        }
        try:
            for path, data in drafts.items():
                _write(path, data)
        except OSError:
            for path in drafts:
                path.unlink(missing_ok=True)
            raise
        for name in [MANIFEST, *files]:
            os.replace(folder / f"{name}.new", folder / name)
        sync(folder)


def manifest(folder: Path) -> dict[str, str]:
    """Returns the sha256 of each file that the last commit wrote, by the name of the file.

    Raises ChargenError if the manifest is damaged, FileNotFoundError if there is none.
    """
    data = _bytes(folder / MANIFEST, _MAX_MANIFEST_BYTES)
    if data is None:
        raise FileNotFoundError(folder / MANIFEST)
    sums = parse(folder / MANIFEST, data)
    for name, expected in sums.items():
        if Path(name).name != name or not isinstance(expected, str):
            raise ChargenError(f"{folder / MANIFEST} names {name!r}, which is outside the folder")
    return sums


def read_committed(folder: Path, read: Callable[[dict[str, str]], T]) -> T:
    """Returns `read(sums)` for the manifest of a folder, whose files belong to one commit.

    Another process may commit while `read` is at work, which then finds files of two commits. So an
    error counts only if the manifest is still the same. Raises what `manifest` and `read` raise.
    """
    before: dict[str, str] | None = None
    while True:
        sums = manifest(folder)
        try:
            return read(sums)
        except ChargenError:
            if sums == before:
                raise
            before = sums


def read(folder: Path, sums: dict[str, str], name: str, limit: int) -> bytes:
    """Reads a file of a folder whose manifest is `sums`.

    Raises ChargenError if the file is missing, is not the one that was committed, or is longer than
    `limit` bytes, in which case it is not read at all.
    """
    # subtle: a commit that is under way may rename the draft between the first look and the second.
    for path in (folder / name, folder / f"{name}.new", folder / name):
        data = _bytes(path, limit)
        if data is not None and hashlib.sha256(data).hexdigest() == sums.get(name):
            return data
    raise ChargenError(
        f"{folder / name} is missing or was changed: its sha256 is not the one in {MANIFEST}"
    )


def refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    """Raises ChargenError if the folder has a file of one of these names, but no commit wrote there.

    A folder passes if its manifest is damaged but its config.json is that of a model.
    """
    try:
        if manifest(folder).keys() & {"config.json"}:
            return
    except FileNotFoundError:
        pass
    except ChargenError:
        with suppress(ChargenError, OSError):
            if "kind" in parse(folder / "config.json", (folder / "config.json").read_bytes()):
                return
    for name in (MANIFEST, *names):
        if (folder / name).exists():
            raise ChargenError(
                f"{folder} holds a {name} that is not of a chargen model, and that would be replaced",
                "name another {out}",
            )


def recover_interrupted_commit(folder: Path) -> None:
    """Completes or undoes an interrupted commit; afterwards the folder holds no draft of it.

    Raises OSError if the folder cannot be written; `read` still finds its files.
    """
    try:
        sums = manifest(folder)
    except (ChargenError, FileNotFoundError):
        return  # without a manifest, nothing was ever committed here
    drafts = [folder / f"{name}.new" for name in (MANIFEST, *sums)]
    if not any(draft.exists() for draft in drafts):
        return
    for name, expected in sums.items():
        draft = folder / f"{name}.new"
        if draft.is_file() and hashlib.sha256(draft.read_bytes()).hexdigest() == expected:
            os.replace(draft, folder / name)
    # A power cut could otherwise undo the renames but not the removals that follow.
    sync(folder)
    for draft in drafts:
        draft.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Removes the files that the last commit wrote; other files of the folder are left alone.

    The manifest goes last, so an interruption leaves no file that nothing accounts for. Raises
    OSError if the folder cannot be written.
    """
    try:
        sums = manifest(folder)
    except (ChargenError, FileNotFoundError):
        return
    for name in (*sums, MANIFEST):
        (folder / f"{name}.new").unlink(missing_ok=True)
        (folder / name).unlink(missing_ok=True)
    sync(folder)


def sync(folder: Path) -> None:
    """Writes the names in a folder to the disk, so that they survive a power cut.

    Does nothing on Windows, where a folder cannot be opened.
    """
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _bytes(path: Path, limit: int) -> bytes | None:
    """Reads a regular file of at most `limit` bytes; returns None if there is none."""
    try:
        if not path.is_file():
            return None
        if (size := path.stat().st_size) > limit:
            raise ChargenError(f"{path} is damaged: {size:,} bytes, where at most {limit:,} belong")
        return path.read_bytes()
    except FileNotFoundError:  # renamed since by a commit
        return None
    except OSError as error:
        raise ChargenError(f"{path} cannot be read: {error.strerror or error}") from error


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
