"""A text as a memory-mapped stream of ids, cut into parallel lanes and consecutive windows.

    text:   a b c d e f g h i j k l m n o p q r s t u v w x y z . .      N ids, taken as a circle

    lane 0  a b c d|e f g h|i j …        Each lane reads on for ever from a place of its own, so that
    lane 1  j k l m|n o p q|r s …        the state at the end of a window is the right one for the
    lane 2  s t u v|w x y z|. . …        start of the next: it is carried, only the gradient is cut.
             window   window

A corpus of documents is dealt anew every epoch: the lanes read the documents in a shuffled order.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.data.text import Text, documents
from chargen.errors import ChargenError
from chargen.tokenizers.base import Ids, Tokenizer, build_tokenizer, load_tokenizer

SMALLEST = 64  # training ids; less is not a text to learn from
_CACHE_DAYS = 30  # unused entries older than this are swept
_DRAFT = ".draft-"  # how the name of a folder begins that is being written, or removed
_ENTRY = re.compile(rf"(?P<draft>{re.escape(_DRAFT)}([a-z0-9_]{{8}}|[0-9a-f]{{32}}))|[0-9a-f]{{32}}")
_FILE = re.compile(r"ids|tokenizer\.(json|model)|suffixes(\.\d+)?")


@dataclass(frozen=True)
class Corpus:
    """What is learned from, and what is kept apart to measure by."""

    training: Ids  # (N,) of the tokenizer's dtype, memory-mapped where it came from a file
    validation: Ids  # (M,) the contiguous end of the text; M may be 0
    tokenizer: Tokenizer  # with an end symbol where the text consists of documents
    name: str
    sha256: str  # of the text's bytes
    size: int  # bytes
    split_on: str | None  # what separates its documents
    val_fraction: float


def prepare(
    text: Text,
    *,
    kind: str = "char",
    vocab_size: int = 1024,
    split_on: str | None = None,
    val_fraction: float = 0.1,
) -> Corpus:
    """Tokenizes a text into the cache folder, or finds it there from an earlier time.

    Raises ChargenError for a text that cannot be read or is too short to learn from.
    """
    folder = tokenize(text, kind, vocab_size, split_on, val_fraction)
    return split(*tokenized(folder), text, split_on, val_fraction)


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


def split(
    ids: Ids, tokenizer: Tokenizer, text: Text, split_on: str | None, val_fraction: float
) -> Corpus:
    """Keeps the last part for validation, at the end of a document where there are documents."""
    if not 0 <= val_fraction < 1:
        raise ChargenError(f"--val-fraction must be at least 0 and below 1, got {val_fraction}")
    cut = tokenizer.cut(ids, 1 - val_fraction)  # the same text, whatever the tokenizer
    if tokenizer.end_id is not None and cut < len(ids):
        ends = np.flatnonzero(ids[:cut] == tokenizer.end_id)
        cut = int(ends[-1]) + 1 if len(ends) else 0
    if cut < SMALLEST:
        raise ChargenError(
            f"{text.name} is too short to learn from: {len(ids):,} ids, of which {cut:,} are for "
            f"training and {len(ids) - cut:,} for validation; training needs at least {SMALLEST}"
        )
    return Corpus(
        ids[:cut],
        ids[cut:],
        tokenizer,
        name=text.name,
        sha256=text.sha256,
        size=text.size,
        split_on=split_on,
        val_fraction=val_fraction,
    )


class Lanes:
    """B readers of one corpus, each a window of T ids at a time.

    Nothing is remembered between windows: what is read is a pure function of the position, the
    number of ids that each lane has read since the beginning of the training.
    """

    def __init__(self, corpus: Corpus, batch: int, window: int, seed: int) -> None:
        ids, end_id = corpus.training, corpus.tokenizer.end_id
        self._ids = ids
        self._window = window
        self._seed = seed
        self._starts = np.arange(batch) * len(ids) // batch  # (B,)
        self.epoch_length = len(ids) // batch  # ids of each lane that make up one epoch
        self._documents = None if end_id is None else np.flatnonzero(ids == end_id) + 1
        self._dealt: tuple[int, npt.NDArray[Any], npt.NDArray[Any]] | None = None

    def read(self, position: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], bool]:
        """Inputs (T, B), targets (T, B), and whether the lanes begin anew with an empty state.

        Documents are dealt anew at each epoch, so the last window of an epoch may be shorter.
        """
        length, fresh = self._window, position == 0
        if self._documents is not None:
            epoch, position = divmod(position, self.epoch_length)
            length, fresh = min(length, self.epoch_length - position), position == 0
        where = (self._starts + position + np.arange(length + 1)[:, None]) % len(self._ids)
        if self._documents is not None:
            where = self._deal(epoch, where)
        ids = self._ids[where].astype(np.int64)  # (T + 1, B)
        return ids[:-1], ids[1:], fresh

    def _deal(self, epoch: int, where: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Places in this epoch's order of documents, as places in the file."""
        assert self._documents is not None
        if self._dealt is None or self._dealt[0] != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._documents))
            ends = self._documents
            starts = np.concatenate([[0], ends[:-1]])
            after = np.cumsum((ends - starts)[order])  # where each dealt document ends
            self._dealt = epoch, after, ends[order] - after
        _, after, shift = self._dealt
        place: npt.NDArray[Any] = where + shift[np.searchsorted(after, where, side="right")]
        return place


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
