"""Folders that one process has to itself while it writes there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from filelock import lock_descriptor

from chargen.errors import ChargenError, writing

_LOCK = ".lock"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Creates a folder and keeps other processes out; removes it again if nothing was written there.

    The operating system holds the lock and releases it when the process ends, however it ends. Raises
    ChargenError if another process has the folder, or if the folder cannot be written.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = _acquire(folder / _LOCK)
    try:
        yield
    finally:
        _release(lock, folder / _LOCK)
        for path in created:  # the innermost first
            with suppress(OSError):  # not empty: something was written
                path.rmdir()


def _acquire(path: Path) -> IO[bytes]:
    """Opens and locks the file; its content names the process, for the error that others get."""
    while True:
        file = path.open("a+b", buffering=0)
        try:
            locked = lock_descriptor(file.fileno(), blocking=False)
        except OSError:  # a file system without locks: train there without one
            locked = True
        if not locked:
            file.seek(1)
            process = file.read(20).decode(errors="replace").strip() or "unknown"
            file.close()
            raise ChargenError(
                f"another training is at work in {path.parent} (process {process})",
                "wait for its end, or name another {out}",
            )
        # The process before us may have removed the file after we opened it and before we locked it.
        with suppress(FileNotFoundError):
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                break
        file.close()
    file.truncate(0)
    # Windows lets no other process read the first byte, which is the one that is locked.
    file.write(f" {os.getpid()}\n".encode())
    return file


def _release(file: IO[bytes], path: Path) -> None:
    """Removes the file while it is still locked, so that nobody locks a file that is about to go."""
    if os.name == "nt":  # which removes only closed files, and none that another process has open
        file.close()
    with suppress(OSError):
        path.unlink()
    file.close()
