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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from chargen.errors import ChargenError

MANIFEST = "manifest.json"
_MANIFEST_BYTES = 1 << 16  # at most
_LOCK = ".lock"


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
        settle(folder)
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


def parse(path: Path, data: bytes) -> dict[str, Any]:
    """A JSON object; raises ChargenError for anything else, NaN and Infinity included."""
    try:
        value = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ChargenError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise ChargenError(f"{path} is damaged: it does not hold a JSON object")
    return value


def conform(value: Any, shape: Any, name: str) -> None:
    """Raises ChargenError unless a JSON value is what it should be.

    The shape is a type, for all values of a list a list with one shape, for the values of a list or
    an object in turn a tuple or a dictionary of shapes. Numbers are not negative and below 2^63.
    """
    if isinstance(shape, dict):
        fits = isinstance(value, dict) and shape.keys() <= value.keys()
        inner = [(value[key], kind, f"{name}.{key}") for key, kind in shape.items()] if fits else []
    elif isinstance(shape, tuple):
        fits = isinstance(value, list) and len(value) == len(shape)
        inner = [(one, kind, name) for one, kind in zip(value, shape, strict=True)] if fits else []
    elif isinstance(shape, list):
        fits = isinstance(value, list)
        inner = [(one, shape[0], name) for one in value] if fits else []
    else:
        fits = isinstance(value, shape)
        fits &= not isinstance(value, int | float) or 0 <= value < 1 << 63
        inner = []
    if not fits:
        shown = repr(value)
        raise ChargenError(f"{name} is {shown[:60]}{'…' * (len(shown) > 60)}")
    for one in inner:
        conform(*one)


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


def settle(folder: Path) -> None:
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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system says of a place that cannot be written into one sentence."""
    try:
        yield
    except OSError as error:
        raise ChargenError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps every other process out; leaves nothing where nothing was written.

    The lock is the system's own (flock), which ends with its process however that ends. Raises
    ChargenError where another process has the folder, or where it cannot be written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(folder / _LOCK)
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / _LOCK).unlink()
        lock.close()
        for path in made:  # the innermost first
            with suppress(OSError):  # which a folder that holds something answers with
                path.rmdir()


def sync(folder: Path) -> None:
    """Makes the names in a folder survive a power cut; Windows does not open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _locked(path: Path) -> IO[str]:
    while True:
        lock = path.open("a+", encoding="utf-8")
        try:
            _lock(lock)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read(20).strip() or "unknown"
            lock.close()
            raise ChargenError(
                f"another training is at work in {path.parent} (process {holder}); "
                "wait for its end, or name another --out"
            ) from error
        # Its holder may have removed the file between our opening and our locking it.
        with suppress(FileNotFoundError):
            if os.fstat(lock.fileno()).st_ino == path.stat().st_ino:
                break
        lock.close()
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _lock(file: IO[str]) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: a folder is then not protected
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks: neither is it here
        return


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a number")


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
