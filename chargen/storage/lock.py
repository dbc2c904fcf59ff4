"""A folder that one process has to itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from chargen.errors import ChargenError, writing

_LOCK = ".lock"


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
