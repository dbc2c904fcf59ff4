"""The folder of uploaded files: each server has its own, closed to other users and limited in size."""

from __future__ import annotations

import atexit
import secrets
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path

from chargen.data.cache import cache_folder
from chargen.errors import ChargenError, writing
from chargen.storage.lock import claimed

FOLDER = cache_folder() / "uploads" / secrets.token_hex(8)
MAX_TOTAL = 200 * 2**20  # bytes of all uploads together
_LEAST = 2**16  # bytes that a file counts for at least, which limits how many there are


def open_folder(folder: Path = FOLDER) -> None:
    """Creates the folder until the process ends, and removes those of servers that were killed.

    Raises ChargenError if the folder cannot be written.
    """
    with writing(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.parent.chmod(0o700)
        others = [path for path in folder.parent.iterdir() if path != folder]
    for other in others:
        with suppress(ChargenError):  # a server that is running has it
            with claimed(other):
                pass
            shutil.rmtree(other, ignore_errors=True)
    stack = ExitStack()
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    stack.enter_context(claimed(folder))
    folder.chmod(0o700)
    atexit.register(stack.close)


def make_room(size: int, folder: Path = FOLDER) -> None:
    """Removes the oldest uploads until `size` more bytes keep to the limit."""
    files = []
    for path in folder.rglob("[!.]*"):  # not the lock
        with suppress(FileNotFoundError):  # another upload has just made room
            status = path.stat()
            if not path.is_dir():
                files.append((status.st_mtime, max(status.st_size, _LEAST), path))
    total = size + sum(used for _, used, _ in files)
    for _, used, path in sorted(files):
        if total <= MAX_TOTAL:
            break
        path.unlink(missing_ok=True)
        with suppress(OSError):  # it holds another file
            path.parent.rmdir()
        total -= used
