"""The cache of tokenized texts: each text is tokenized once, and found again by its content.

An entry is a folder whose name is a hash of the text and the tokenizer's settings:

    CACHE/0123…cdef/
        ids               the tokens, as an array of the tokenizer's dtype
        tokenizer.json    or tokenizer.model
        suffixes          the suffix array of `inspection.copies`, where one was built

An entry is written beside its place and renamed, so it is never incomplete. Entries that were not used
for a month are removed.
"""

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

_CACHE_DAYS = 30  # an entry that was not used for longer is removed
_DRAFT = ".draft-"  # the beginning of a folder's name while it is written or removed
_ENTRY = re.compile(rf"(?P<draft>{re.escape(_DRAFT)}([a-z0-9_]{{8}}|[0-9a-f]{{32}}))|[0-9a-f]{{32}}")
_FILE = re.compile(r"ids|tokenizer\.(json|model)|suffixes(\.\d+)?")


def tokenize(
    text: Text,
    kind: str = "char",
    vocab_size: int = 1024,
    split_on: str | None = None,
    val_fraction: float = 0.0,
) -> Path:
    """Returns the cache folder of a tokenized text, and tokenizes the text first where it is new.

    An entry is found by the text's content and the tokenizer's settings, never by a name or a date.
    The text is read and written in pieces, so memory does not grow with its size. The pieces of bpe
    and unigram are learned from the training part alone, the first `1 - val_fraction` of the text.

    Raises ChargenError where the text cannot be read or tokenized, for an empty `split_on`, and where
    the cache cannot be written.
    """
    if split_on == "":
        raise ChargenError(
            "an empty separator does not split a text into documents",
            "set {split_on} to line, blank-line or a text",
        )
    learned = [vocab_size, val_fraction] if kind in ("bpe", "unigram") else []
    folder = entry_folder(text.sha256, text.encoding, kind, split_on, *learned)
    if not (folder / "ids").exists():
        fraction = 1 - val_fraction if learned else 1.0
        tokenizer = build_tokenizer(kind, text.pieces(fraction), vocab_size, split_on is not None)
        _write(folder, text, tokenizer, split_on)
        _sweep(folder.parent)
    os.utime(folder)
    return folder


def entry_folder(
    sha256: str,
    encoding: str = "utf-8",
    kind: str = "char",
    split_on: str | None = None,
    *learned: float,
) -> Path:
    """Returns the folder of an entry, whether or not it exists.

    `learned` holds the settings that only tokenizers with learned pieces depend on.
    """
    recipe = [1, sha256, encoding, kind, split_on, *learned]
    return cache_folder() / hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:32]


def open_entry(folder: Path) -> tuple[Ids, Tokenizer]:
    """Returns the tokens (N,) of an entry, memory-mapped, and their tokenizer."""
    tokenizer = load_tokenizer({f.name: f.read_bytes() for f in folder.glob("tokenizer.*")})
    path = folder / "ids"
    if not path.stat().st_size:  # an empty file cannot be mapped
        return np.zeros(0, tokenizer.dtype), tokenizer
    return _map(path, tokenizer.dtype), tokenizer


def encode(text: Text, tokenizer: Tokenizer, split_on: str | None = None) -> Iterator[Ids]:
    """Yields the tokens of a text in pieces; the end symbol closes each document.

    With `split_on`, which separates the documents, the tokenizer must have an end symbol.
    """
    if split_on is None:
        yield from map(tokenizer.encode, text.pieces())
    else:
        end = np.array([tokenizer.end_id], tokenizer.dtype)
        for document in documents(text.pieces(), split_on):
            yield np.concatenate([tokenizer.encode(document), end])


def cache_folder() -> Path:
    """Returns the folder of all entries: $CHARGEN_CACHE, or chargen in the user's cache folder."""
    chosen = os.environ.get("CHARGEN_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base, "chargen")


def _write(folder: Path, text: Text, tokenizer: Tokenizer, split_on: str | None) -> None:
    """Writes tokens and tokenizer to a draft and renames it, so that the entry is never incomplete."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder.parent))
    except OSError as error:
        raise ChargenError(
            f"the cache folder {folder.parent} cannot be written: {error.strerror}",
            "name another one in the variable CHARGEN_CACHE",
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
            if not (folder / "ids").exists():  # unless another process has just made the same entry
                raise
    except OSError as error:
        raise ChargenError(f"the cache {draft} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Removes the entries that were not used for a month, and the drafts of killed processes.

    The cache may be a folder in which a person keeps other things. Only a folder whose name and files
    are those of an entry is touched; its files are removed one by one, the folder once it is empty.
    """
    for entry in list(cache.iterdir()):
        with suppress(
            OSError
        ):  # another process may be sweeping, or the folder belong to another user
            if not entry.is_symlink() and _is_old(entry):
                swept = entry if entry.name.startswith(_DRAFT) else cache / f"{_DRAFT}{entry.name}"
                entry.rename(swept)  # so that no process finds an incomplete entry
                if not _is_old(swept):  # a process has just begun to use it
                    swept.rename(entry)
                    continue
                for file in sorted(swept.iterdir()):  # ids first: Windows protects an open file
                    file.unlink()
                swept.rmdir()


def _is_old(entry: Path) -> bool:
    """Returns whether a folder is an entry or a draft that is out of use."""
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


def _map(path: Path, dtype: Any) -> Ids:
    """Memory-maps the tokens of a file, and holds a shared lock on it, which marks it as in use."""
    with path.open("rb") as file:
        with suppress(ImportError, OSError):  # Windows has no fcntl, some file systems no locks
            import fcntl

            # subtle: the map keeps a copy of the descriptor, and with it the lock, while it lives.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return np.memmap(file, dtype, mode="r")


def _in_use(path: Path) -> bool:
    """Returns whether any process has the file mapped by `_map`."""
    with suppress(ImportError, FileNotFoundError), path.open("rb") as file:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
