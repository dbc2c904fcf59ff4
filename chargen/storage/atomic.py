"""Files that are never half there: written beside, synced, renamed, their sums in a manifest.

A commit writes every file of a folder anew under the ending `.new`, then the manifest, and renames
the files last. The manifest is the moment of truth: a file that does not have the sum that it names
is looked for under its `.new` name. So whenever the plug is pulled, the folder holds the old files
or the new ones.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from chargen.errors import ChargenError, writing
from chargen.storage.schema import parse

MANIFEST = "manifest.json"
_MANIFEST_BYTES = 1 << 16  # at most


def commit(folder: Path, files: dict[str, bytes]) -> None:
    """Writes files and their manifest, all or none; other files of the folder stay as they are.

    Raises ChargenError where the folder cannot be written, and where it holds a file of one of these
    names that no commit put there; what was there is then still sound.
    """
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = (json.dumps(sums, indent=1) + "\n").encode()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # The `.new` files of an interrupted commit may be the only good copies of what they hold.
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
    """The files of a folder by the sha256 that each was written with.

    Raises ChargenError where it is damaged, FileNotFoundError where there is none.
    """
    data = _bytes(folder / MANIFEST, _MANIFEST_BYTES)
    if data is None:
        raise FileNotFoundError(folder / MANIFEST)
    sums = parse(folder / MANIFEST, data)
    for name, expected in sums.items():
        if Path(name).name != name or not isinstance(expected, str):
            raise ChargenError(f"{folder / MANIFEST} names {name!r}, which is outside the folder")
    return sums


def read(folder: Path, sums: dict[str, str], name: str, limit: int) -> bytes:
    """A file of a folder, believed only with the sum that the manifest names.

    Raises ChargenError where it is missing, changed, or longer than `limit` bytes, then unread.
    """
    for path in (folder / name, folder / f"{name}.new"):
        data = _bytes(path, limit)
        if data is not None and hashlib.sha256(data).hexdigest() == sums.get(name):
            return data
    raise ChargenError(
        f"{folder / name} is missing or was changed: its sha256 is not the one in {MANIFEST}"
    )


def refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    """Raises ChargenError where the folder holds a file of one of these names, but no commit of ours.

    A folder whose manifest is damaged passes: it was ours.
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
                f"{folder} holds a {name} that is not of a chargen model, and that would be replaced; "
                "name another folder"
            )


def recover_interrupted_commit(folder: Path) -> None:
    """Completes or undoes an interrupted commit; afterwards the folder holds no `.new` file of it.

    Raises OSError where the folder cannot be written; its files can then still be read as before.
    """
    try:
        sums = manifest(folder)
    except (ChargenError, FileNotFoundError):
        return  # without a manifest nothing was ever committed here
    drafts = [folder / f"{name}.new" for name in (MANIFEST, *sums)]
    if not any(draft.exists() for draft in drafts):
        return
    for name, expected in sums.items():
        draft = folder / f"{name}.new"
        if draft.is_file() and hashlib.sha256(draft.read_bytes()).hexdigest() == expected:
            os.replace(draft, folder / name)
    sync(folder)  # before a draft is removed that a power cut could otherwise bring back alone
    for draft in drafts:
        draft.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Makes the names in a folder survive a power cut; Windows does not open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _bytes(path: Path, limit: int) -> bytes | None:
    """The content of a regular file, None where there is none; a longer one is refused unread."""
    try:
        if not path.is_file():
            return None
        if (size := path.stat().st_size) > limit:
            raise ChargenError(f"{path} is damaged: {size:,} bytes, where at most {limit:,} belong")
        return path.read_bytes()
    except OSError as error:
        raise ChargenError(f"{path} cannot be read: {error.strerror or error}") from error


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
