"""The cache of tokenized texts: each text is tokenized once, and found again by its content.

An entry is a folder whose name is a hash of the text and the tokenizer's settings:

    CACHE/0123…cdef/
        ids               the tokens, as an array of the tokenizer's dtype
        tokenizer.json    or tokenizer.model
        suffixes          the suffix array of `inspection.copies`, where one was built
        ids.sha256 …      the sum of each of these files, as `sha256sum` prints it

An entry is written beside its place, synced and renamed, so it is never incomplete. A file counts only
if its sum is right, so a damaged entry is made anew. Entries that were not used for a month are
removed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.data.documents import SPLIT_SEED, documents, in_order, key, last_training_key
from chargen.data.text import Text
from chargen.errors import ChargenError
from chargen.storage.atomic import sync
from chargen.tokenizers.base import Ids, Tokenizer
from chargen.tokenizers.build import build_tokenizer, load_tokenizer

MAPPED_BYTES = 1 << 26  # the size from which on a file is memory-mapped instead of read
_CACHE_DAYS = 30  # an entry that was not used for longer is removed
_DRAFT = ".draft-"  # the beginning of a folder's name while it is written or removed
_ENTRY = re.compile(rf"(?P<draft>{re.escape(_DRAFT)}([a-z0-9_]{{8}}|[0-9a-f]{{32}}))|[0-9a-f]{{32}}")
_FILE = re.compile(r"(ids|tokenizer\.(json|model)|suffixes)(\.sha256|\.\d+)*")
_ELSEWHERE = "name another folder in the variable CHARGEN_CACHE"
_VERSION = 2  # of how an entry is made; one of another version is not found


class DamagedEntry(Exception):
    """Raised for a file of an entry that is missing, or is not what was written."""


def tokenize(
    text: Text,
    kind: str = "char",
    vocab_size: int = 1024,
    split_on: str | None = None,
    val_fraction: float = 0.0,
    split_seed: int | None = SPLIT_SEED,
) -> tuple[Ids, Tokenizer, Path]:
    """Returns the tokens (N,) of a text, their tokenizer, and the folder of the cache that has them.

    The text is tokenized first where the cache lacks it; an entry is found by the text's content and
    the tokenizer's settings, never by a name or a date. A text is read and written in pieces, so
    memory does not grow with its size. An entry that is damaged is made anew, and a note of `text`
    says so.

    Args:
        text: the text.
        kind: "char", "byte", "bpe" or "unigram".
        vocab_size: pieces of "bpe" and "unigram".
        split_on: what separates documents; None for a text that is read as one.
        val_fraction: the share of the characters to validate on. The pieces of "bpe" and "unigram" are
            learned from the others alone.
        split_seed: of the order of the documents, see `documents`; None for their order in the text.

    Raises:
        ChargenError: where the text cannot be read or tokenized, for an empty `split_on`, and where
            the cache cannot be used.
    """
    if split_on == "":
        raise ChargenError(
            "an empty separator does not split a text into documents",
            "set {split_on} to line, blank-line or a text",
        )
    learned = [vocab_size, val_fraction] if kind in ("bpe", "unigram") else []
    order = [] if split_on is None else [split_seed]
    folder = entry_folder(text.sha256, text.encoding, kind, split_on, *order, *learned)
    if folder.parent == _homeless_cache():
        note = f"this user has no home folder: the cache is {folder.parent}"
        text.notes.append(f"{note}, until CHARGEN_CACHE names another")
    if folder.exists():
        try:
            return (*open_entry(folder), folder)
        except DamagedEntry as damage:
            text.notes.append(f"the cached tokens in {folder} are made anew: {damage}")
            _remove(folder)
    fraction = 1 - val_fraction if learned else 1.0

    def write(draft: Path) -> None:
        if split_on is None or split_seed is None:
            tokenizer = build_tokenizer(kind, text.pieces(fraction), vocab_size, split_on is not None)
            _write(draft / "ids", (ids.tobytes() for ids in encode(text, tokenizer, split_on)))
        else:
            tokenizer = _build(text, kind, vocab_size, split_on, fraction, split_seed)
            _write_documents(draft, text, tokenizer, split_on, split_seed)
        for name, data in tokenizer.dump().items():
            _write(draft / name, [data])

    _make(folder, write)
    _sweep(folder.parent)
    try:
        return (*open_entry(folder), folder)
    except DamagedEntry as damage:
        raise ChargenError(
            f"the cache {folder} does not keep what is written: {damage}", _ELSEWHERE
        ) from damage


def entry_folder(
    sha256: str,
    encoding: str = "utf-8",
    kind: str = "char",
    split_on: str | None = None,
    *learned: float | None,
) -> Path:
    """Returns the folder of an entry, whether or not it exists.

    `learned` holds the settings that only documents or learned pieces depend on.
    """
    recipe = [_VERSION, sha256, encoding, kind, split_on, *learned]
    return cache_folder() / hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:32]


def open_entry(folder: Path) -> tuple[Ids, Tokenizer]:
    """Returns the tokens (N,) of an entry, and their tokenizer; marks the entry as used.

    Raises DamagedEntry for files that are not those that were written.
    """
    names = [name for name in ("tokenizer.json", "tokenizer.model") if (folder / name).exists()]
    files = {name: bytes(load_array(folder / name, np.dtype(np.uint8))) for name in names}
    try:
        tokenizer = load_tokenizer(files)
    except ChargenError as error:
        raise DamagedEntry(str(error)) from error
    ids = load_array(folder / "ids", tokenizer.dtype)
    if len(ids) and int(ids.max()) >= len(tokenizer):
        raise DamagedEntry("ids holds a token that its tokenizer does not know")
    with suppress(OSError):  # the entry of another user
        os.utime(folder)
    return ids, tokenizer


def load_array(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Returns the array (N,) in a file of an entry, memory-mapped if it is large.

    Raises DamagedEntry unless the file has the sum that was written with it.
    """
    digest, data = hashlib.sha256(), b""
    try:
        expected = path.with_name(f"{path.name}.sha256").read_text("ascii").split()[:1]
        size = path.stat().st_size
        with path.open("rb") as file:
            if size < MAPPED_BYTES:
                data = file.read()
                digest.update(data)
            else:
                digest = hashlib.file_digest(file, "sha256")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DamagedEntry(f"{path.name} cannot be read ({reason})") from error
    if [digest.hexdigest()] != expected or size % np.dtype(dtype).itemsize:
        raise DamagedEntry(f"{path.name} was changed: its sum is not the one that was written")
    return np.frombuffer(data, dtype) if size < MAPPED_BYTES else _map(path, dtype)


def add_file(folder: Path, name: str, data: bytes | memoryview) -> None:
    """Adds a file to an entry, unless the entry is another user's.

    Raises ChargenError where the disk is full.
    """
    draft = folder / f"{name}.{os.getpid()}"
    if not os.access(folder, os.W_OK):
        return
    with _using(folder):
        try:
            _write(draft, [data], name)
            # The sum first: a file without its sum would count as damaged.
            draft.with_name(f"{draft.name}.sha256").replace(folder / f"{name}.sha256")
            draft.replace(folder / name)
        finally:
            draft.unlink(missing_ok=True)
            draft.with_name(f"{draft.name}.sha256").unlink(missing_ok=True)


def encode(text: Text, tokenizer: Tokenizer, split_on: str | None = None) -> Iterator[Ids]:
    """Yields the tokens of a text in pieces; the end symbol closes each document.

    With `split_on`, which separates the documents, the tokenizer must have an end symbol.
    """
    if split_on is None:
        yield from map(tokenizer.encode, text.pieces())
    else:
        for document in documents(text.pieces(), split_on):
            yield _closed(document, tokenizer)


def encode_in_order(text: Text, tokenizer: Tokenizer, split_on: str, seed: int) -> Ids:
    """Returns the tokens (N,) of a collection of documents, in the order that `seed` gives them."""
    keys: list[int] = []
    parts: list[Ids] = []
    for document in documents(text.pieces(), split_on):
        keys.append(key(document, seed))
        parts.append(_closed(document, tokenizer))
    order = np.argsort(np.array(keys, np.uint64), kind="stable")
    return np.concatenate([np.zeros(0, tokenizer.dtype), *(parts[index] for index in order)])


def cache_folder() -> Path:
    """Returns the folder of all entries: $CHARGEN_CACHE, or chargen in the user's cache folder.

    For a user without a home folder, as in some containers, it is in the folder of temporary files.
    """
    if chosen := os.environ.get("CHARGEN_CACHE"):
        return Path(chosen)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base, "chargen")
    return Path.home() / ".cache" / "chargen" if _has_home() else _homeless_cache()


def _has_home() -> bool:
    try:
        Path.home()
    except RuntimeError:
        return False
    return True


def _homeless_cache() -> Path:
    return Path(tempfile.gettempdir(), f"chargen-{os.getuid()}")


def _closed(document: str, tokenizer: Tokenizer) -> Ids:
    """Returns the tokens of a document and the end symbol."""
    return np.append(tokenizer.encode(document), np.array([tokenizer.end_id], tokenizer.dtype))


def _build(
    text: Text, kind: str, vocab_size: int, split_on: str, fraction: float, seed: int
) -> Tokenizer:
    """Builds a tokenizer from the documents of a text; their separators are not in its alphabet.

    Pieces are learned from the `fraction` of the documents that come first in the order of `seed`.
    """
    training: Iterable[str] = documents(text.pieces(), split_on)
    if fraction < 1:
        last = last_training_key(training, fraction, seed)
        collection = documents(text.pieces(), split_on)
        training = (document for document in collection if key(document, seed) <= last)
    return build_tokenizer(kind, training, vocab_size, documents=True)


def _write_documents(draft: Path, text: Text, tokenizer: Tokenizer, split_on: str, seed: int) -> None:
    """Writes the tokens of the documents, in the order that `seed` gives them."""
    keys: list[int] = []
    lengths: list[int] = []

    def read() -> Iterator[bytes]:
        for document in documents(text.pieces(), split_on):
            ids = _closed(document, tokenizer)
            keys.append(key(document, seed))
            lengths.append(len(ids))
            yield ids.tobytes()

    unordered = draft / "ids.0"
    with unordered.open("wb") as file:
        file.writelines(read())
    if lengths:
        ids = np.memmap(unordered, tokenizer.dtype, mode="r")
        ordered = in_order(ids, np.array(lengths), np.array(keys, np.uint64))
        _write(draft / "ids", (part.tobytes() for part in ordered))
        del ids, ordered  # Windows removes no file that is mapped
    else:
        _write(draft / "ids", [])
    unordered.unlink()


def _write(path: Path, parts: Iterable[bytes | memoryview], name: str = "") -> None:
    """Writes a file, and its sum beside it, to the disk; `name` is the one that it will have."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in parts:
            digest.update(part)
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    with path.with_name(f"{path.name}.sha256").open("w", encoding="ascii") as file:
        file.write(f"{digest.hexdigest()}  {name or path.name}\n")
        file.flush()
        os.fsync(file.fileno())


def _make(folder: Path, write: Callable[[Path], None]) -> None:
    """Has `write` fill a draft and renames it, so that the entry is never incomplete."""
    cache = folder.parent
    with _using(cache):
        # In the folder of temporary files, other users could leave an entry for this one.
        is_private = cache == _homeless_cache()
        cache.mkdir(mode=0o700 if is_private else 0o777, parents=True, exist_ok=True)
        if is_private and cache.stat().st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "it belongs to another user")
        draft = cache / f"{_DRAFT}{secrets.token_hex(4)}"
        draft.mkdir()  # unlike tempfile's, with the permissions that other users of the cache need
    try:
        with _using(cache):
            write(draft)
            sync(draft)
            try:
                draft.rename(folder)
            except OSError:
                if not folder.exists():  # unless another process has just made the same entry
                    raise
            sync(cache)
    finally:
        _unlink_files(draft)


@contextmanager
def _using(path: Path) -> Iterator[None]:
    """Turns what the system says of the cache into one sentence."""
    try:
        yield
    except OSError as error:
        raise ChargenError(
            f"the cache {path} cannot be written: {error.strerror or error}", _ELSEWHERE
        ) from error


def _remove(folder: Path) -> None:
    """Removes an entry; raises ChargenError if it cannot be removed, or holds files of others."""
    with _using(folder):
        if foreign := [path for path in folder.iterdir() if not _is_ours(path)]:
            raise ChargenError(
                f"the cache {folder} holds {foreign[0].name}, which is not its own", _ELSEWHERE
            )
        draft = folder.parent / f"{_DRAFT}{secrets.token_hex(4)}"
        folder.rename(draft)  # so that no process finds an incomplete entry
        _unlink_files(draft)


def _unlink_files(folder: Path) -> None:
    """Removes the files of an entry, then its folder, as far as that is possible."""
    with suppress(OSError):
        for file in sorted(folder.iterdir()):  # ids first: Windows protects an open file
            if _is_ours(file):
                file.unlink()
        folder.rmdir()


def _is_ours(path: Path) -> bool:
    return bool(_FILE.fullmatch(path.name)) and path.is_file()


def _sweep(cache: Path) -> None:
    """Removes the entries that were not used for a month, and the drafts of killed processes.

    The cache may be a folder in which a person keeps other things. Only a folder whose name and files
    are those of an entry is touched; its files are removed one by one, the folder once it is empty.
    """
    for entry in list(cache.iterdir()):
        # Another process may be sweeping, or the folder belong to another user.
        with suppress(OSError):
            if not entry.is_symlink() and _is_old(entry):
                swept = entry if entry.name.startswith(_DRAFT) else cache / f"{_DRAFT}{entry.name}"
                entry.rename(swept)  # so that no process finds an incomplete entry
                if not _is_old(swept):  # a process has just begun to use it
                    swept.rename(entry)
                    continue
                _unlink_files(swept)


def _is_old(entry: Path) -> bool:
    """Returns whether a folder is an entry or a draft that is out of use."""
    if not (match := _ENTRY.fullmatch(entry.name)) or not entry.is_dir():
        return False
    files = list(entry.iterdir())
    if not all(map(_is_ours, files)):
        return False
    if not match["draft"] and not (entry / "ids").exists():
        return False
    days = 1 if match["draft"] else _CACHE_DAYS
    last_use = max(path.stat().st_mtime for path in (entry, *files))
    return last_use < time.time() - days * 86_400 and not _in_use(entry / "ids")


def _map(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Memory-maps a file, and holds a shared lock on it, which marks it as in use."""
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
