"""Texts as ids in a cache folder: made once, found by their content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from chargen.data.text import Text, documents
from chargen.errors import ChargenError
from chargen.tokenizers.base import Ids, Tokenizer
from chargen.tokenizers.build import build_tokenizer, load_tokenizer

_CACHE_DAYS = 30  # unused entries older than this are swept


_DRAFT = ".draft-"  # how the name of a folder begins that is being written, or removed


_ENTRY = re.compile(rf"(?P<draft>{re.escape(_DRAFT)}([a-z0-9_]{{8}}|[0-9a-f]{{32}}))|[0-9a-f]{{32}}")


_FILE = re.compile(r"ids|tokenizer\.(json|model)|suffixes(\.\d+)?")


def tokenize(
    text: Text,
    kind: str = "char",
    vocab_size: int = 1024,
    split_on: str | None = None,
    val_fraction: float = 0.0,
) -> Path:
    """The cache folder with the ids of a text and their tokenizer, made where it is not there yet.

    The cache knows a text by the content and the tokenizer's settings, never by name or date. The
    text is written in pieces, so that memory does not grow with it. Pieces of bpe and unigram are
    learned from the training part alone.
    """
    if split_on == "":
        raise ChargenError("an empty --split-on separates nothing; use line, blank-line or a text")
    learned = [vocab_size, val_fraction] if kind in ("bpe", "unigram") else []
    folder = cached(text.sha256, text.encoding, kind, split_on, *learned)
    if not (folder / "ids").exists():
        fraction = 1 - val_fraction if learned else 1.0
        tokenizer = build_tokenizer(kind, text.pieces(fraction), vocab_size, split_on is not None)
        _write(folder, text, tokenizer, split_on)
        _sweep(folder.parent)
    os.utime(folder)
    return folder


def cached(
    sha256: str, encoding: str = "utf-8", kind: str = "char", split_on: str | None = None, *more: float
) -> Path:
    """Where the cache has a text of these bytes; whether it is there is another question."""
    recipe = [1, sha256, encoding, kind, split_on, *more]
    return cache_folder() / hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:32]


def tokenized(folder: Path) -> tuple[Ids, Tokenizer]:
    """What `tokenize` has written: the ids, memory-mapped, and their tokenizer."""
    tokenizer = load_tokenizer({f.name: f.read_bytes() for f in folder.glob("tokenizer.*")})
    path = folder / "ids"
    empty = np.zeros(0, tokenizer.dtype)  # which cannot be mapped
    ids = _mapped(path, tokenizer.dtype) if path.stat().st_size else empty
    return ids, tokenizer


def encode(text: Text, tokenizer: Tokenizer, split_on: str | None = None) -> Iterator[Ids]:
    """The ids of a text, in pieces; each document is closed by the end symbol."""
    if split_on is None:
        yield from map(tokenizer.encode, text.pieces())
    else:
        end = np.array([tokenizer.end_id], tokenizer.dtype)
        for document in documents(text.pieces(), split_on):
            yield np.concatenate([tokenizer.encode(document), end])


def cache_folder() -> Path:
    """Where prepared texts are kept: $CHARGEN_CACHE, or chargen in the user's cache folder."""
    chosen = os.environ.get("CHARGEN_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base, "chargen")


def _write(folder: Path, text: Text, tokenizer: Tokenizer, split_on: str | None) -> None:
    """Writes ids and tokenizer beside the folder, then renames: it is never half there."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder.parent))
    except OSError as error:
        raise ChargenError(
            f"the cache folder {folder.parent} cannot be written: {error.strerror}; "
            "name another one in the variable CHARGEN_CACHE"
        ) from error
    try:
        for name, data in tokenizer.dump().items():
            (draft / name).write_bytes(data)
        with (draft / "ids").open("wb") as file:
            for ids in encode(text, tokenizer, split_on):
                ids.tofile(file)
        try:
            draft.rename(folder)
        except OSError:
            if not (folder / "ids").exists():  # where another process was faster, all is well
                raise
    except OSError as error:
        raise ChargenError(f"the cache {draft} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Removes the entries of the cache that nobody used for a month, and drafts of killed processes.

    The cache may be a folder of a person, and hold anything. Only folders with a name and files as
    the cache makes them are touched; the files are removed one by one, the folder once it is empty.
    """
    for entry in list(cache.iterdir()):
        with suppress(OSError):  # where another process sweeps as well, or may alone
            if not entry.is_symlink() and _is_old(entry):
                swept = entry if entry.name.startswith(_DRAFT) else cache / f"{_DRAFT}{entry.name}"
                entry.rename(swept)  # so that nobody finds half of an entry
                if not _is_old(swept):  # somebody has just begun to use it
                    swept.rename(entry)
                    continue
                for file in sorted(swept.iterdir()):  # ids first, which Windows protects while in use
                    file.unlink()
                swept.rmdir()


def _is_old(entry: Path) -> bool:
    """Whether a folder is an entry of the cache, or a draft of one, that nobody will want again."""
    if not (match := _ENTRY.fullmatch(entry.name)) or not entry.is_dir():
        return False
    files = list(entry.iterdir())
    if not all(_FILE.fullmatch(file.name) and file.is_file() for file in files):
        return False
    if not match["draft"] and not (entry / "ids").exists():
        return False
    days = 1 if match["draft"] else _CACHE_DAYS
    last_use = max(path.stat().st_mtime for path in (entry, *files))
    return last_use < time.time() - days * 86_400 and not _in_use(entry / "ids")


def _mapped(path: Path, dtype: Any) -> Ids:
    """The ids of a file, memory-mapped; a lock that others may share says for as long: in use."""
    with path.open("rb") as file:
        with suppress(ImportError, OSError):  # Windows; a file system without locks
            import fcntl

            # The map keeps a copy of the descriptor, and with it the lock, until it is given up.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return np.memmap(file, dtype, mode="r")


def _in_use(path: Path) -> bool:
    """Whether any process has `_mapped` a file."""
    with suppress(ImportError, FileNotFoundError), path.open("rb") as file:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
