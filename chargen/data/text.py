"""Text from files, folders, standard input or the built-in corpus, read in pieces.

All sources follow one rule: the encoding is UTF-8 unless another is named, a byte-order mark is
dropped, CRLF and CR become LF, and binary files are refused. A text can be read several times and
need not fit into memory.
"""

from __future__ import annotations

import atexit
import codecs
import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from chargen import arguments
from chargen.errors import ChargenError
from chargen.suggestions import suggests

BUILTIN = "python-docs"
_CHUNK = 1 << 20  # bytes read at a time
_SNIFF = 8192  # first bytes of a file, by which text is told from binary
LONGEST_STREAM = 4_000_000_000  # bytes; a longer pipe is taken for an endless one


@suggests
@dataclass(frozen=True, repr=False)
class Text:
    """A text in one or more parts, each of which is opened anew for every reading."""

    name: str  # fit for a folder under checkpoints/
    parts: tuple[tuple[str, Callable[[], BinaryIO]], ...]  # (label for messages, opener)
    encoding: str = "utf-8"
    notes: list[str] = field(default_factory=list)  # for a person, on which files were chosen
    in_memory: bool = False  # came as a string, so it is not checked for being binary

    def __repr__(self) -> str:
        parts = len(self.parts)
        return f"Text({self.name!r}, {parts:,} part{'' if parts == 1 else 's'})"

    @classmethod
    def from_string(cls, text: str, name: str = "text") -> Text:
        """Wraps a string; raises ChargenError for one that is not valid Unicode."""
        try:
            data = arguments.text(text, "the text").encode()
        except UnicodeEncodeError as error:
            raise ChargenError(f"the text is not valid Unicode: {error}") from error
        return cls(name, ((name, lambda: io.BytesIO(data)),), in_memory=True)

    @classmethod
    def open(cls, sources: Path | Iterable[str | Path], encoding: str = "utf-8") -> Text:
        """Opens a source, or several in order, joined with a newline where one is missing.

        A source is a file, a folder (its text files, sorted by path, hidden ones left out), "-" for
        standard input, or the built-in corpus. Raises ChargenError for a source that does not exist or
        cannot be read, and for an unknown encoding.
        """
        sources = arguments.sources(sources, "sources")
        try:
            if not codecs.lookup(encoding)._is_text_encoding:
                raise LookupError
        except LookupError:
            raise ChargenError(
                f"there is no text encoding {encoding!r}", "try utf-8, latin-1, cp1252 or utf-16"
            ) from None
        parts: list[tuple[str, Callable[[], BinaryIO]]] = []
        notes: list[str] = []
        for source in sources:
            path = Path(source)
            if source == "-":
                parts.append(_spool("standard input", _standard_input(), encoding))
            elif path.is_dir():
                parts += _folder(path, notes)
            elif path.is_file():
                parts.append((source, _opener(path)))
            elif path.exists():  # a pipe or a device can be read only once
                with _reading(source):
                    file = path.open("rb")
                with file:
                    parts.append(_spool(source, file, encoding))
            elif source == BUILTIN:
                parts.append((BUILTIN, _builtin))
            else:
                raise ChargenError(
                    f"there is no file or folder {source!r}; the built-in corpus is {BUILTIN!r}"
                )
        return cls(name_of(sources), tuple(parts), encoding, notes)

    def pieces(self, fraction: float = 1.0) -> Iterator[str]:
        """Yields the text in pieces of up to a million characters, as far as `fraction` of its bytes.

        Raises ChargenError for a part that is not text in the encoding, with the offset of the byte,
        and where the bytes are not those that `sha256` and `size` speak of.
        """
        size, digest = self.size, hashlib.sha256()
        left = fraction * size  # bytes
        ended = True  # whether the text ends with a newline: each part begins on its own line
        for label, opener in self.parts:
            if not ended:
                yield "\n"
            decoder = _Decoder(label, self.encoding)
            for chunk in _chunks(label, opener):
                if not self.in_memory and not decoder.bytes:
                    _refuse_binary(label, chunk[:_SNIFF], self.encoding)
                digest.update(chunk)
                size -= len(chunk)
                if left > 0:  # what comes later is read for the sum alone
                    piece = decoder.decode(chunk)
                    if len(chunk) > left:
                        piece = piece[: int(len(piece) * left / len(chunk))]
                    left -= len(chunk)
                    if piece:
                        yield piece
                        ended = piece.endswith("\n")
            if left >= 0 and (piece := decoder.finish()):
                yield piece
                ended = piece.endswith("\n")
        if size or self.__dict__.setdefault("sha256", digest.hexdigest()) != digest.hexdigest():
            raise ChargenError(
                f"{self.name} has changed while it was read: its bytes are not those that were summed",
                "read it again once nothing writes to it",
            )

    @cached_property
    def size(self) -> int:
        """The size in bytes, of all parts together."""
        total = 0
        for label, opener in self.parts:
            with _reading(label), opener() as file:
                total += file.seek(0, io.SEEK_END)
        return total

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the bytes; for a single file, the one that `sha256sum` prints."""
        digest = hashlib.sha256()
        for label, opener in self.parts:
            for chunk in _chunks(label, opener):
                digest.update(chunk)
        return digest.hexdigest()


def name_of(sources: Sequence[str]) -> str:
    """Returns a name for the joined sources that is fit for a folder under checkpoints/."""
    first = "stdin" if sources[0] == "-" else Path(sources[0]).resolve().stem or "text"
    return first if len(sources) == 1 else f"{first}-and-{len(sources) - 1}-more"


def _folder(folder: Path, notes: list[str]) -> list[tuple[str, Callable[[], BinaryIO]]]:
    """Returns the text files below a folder, sorted by path, and adds notes on what was left out.

    Raises ChargenError for a sub-folder or file that cannot be read.
    """
    parts, skipped = [], []
    for directory, subfolders, names in os.walk(folder, onerror=_refuse_closed):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        # A link to a folder may lead back to where we are, so none is followed.
        skipped += [link for name in subfolders if os.path.islink(link := f"{directory}/{name}")]
        for name in sorted(names):
            path = Path(directory, name)
            if name.startswith("."):
                continue
            with _reading(str(path)):
                if not path.is_file():
                    skipped.append(str(path))  # a broken link, a pipe, a device
                    continue
                with path.open("rb") as file:
                    binary = _looks_binary(file.read(_SNIFF))
            if binary:
                skipped.append(str(path))
            else:
                parts.append((str(path), _opener(path)))
    if not parts:
        raise ChargenError(f"the folder {str(folder)!r} holds no text files")
    notes.append(f"{len(parts):,} text files in {folder}")
    if skipped:
        shown = ", ".join(skipped[:3]) + (", …" if len(skipped) > 3 else "")
        notes.append(f"left out {len(skipped):,} that are no text files: {shown}")
    return sorted(parts, key=lambda part: part[0])


def _refuse_closed(error: OSError) -> None:
    """Raises ChargenError for a folder that `os.walk` cannot list; without this it is left out."""
    with _reading(str(error.filename)):
        raise error


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


def _standard_input() -> BinaryIO:
    if sys.stdin is None or sys.stdin.closed:
        raise ChargenError("standard input is closed", "give a file")
    return sys.stdin.buffer


@contextmanager
def _reading(label: str) -> Iterator[None]:
    """Turns what the system says of a source that cannot be read into one sentence."""
    try:
        yield
    except OSError as error:
        raise ChargenError(f"{label} cannot be read: {error.strerror or error}") from error


def _chunks(label: str, opener: Callable[[], BinaryIO]) -> Iterator[bytes]:
    """Yields the bytes of a source in chunks."""
    with _reading(label):
        file = opener()
    with file:
        yield from _chunks_of(label, file)


def _chunks_of(label: str, file: BinaryIO) -> Iterator[bytes]:
    while True:
        with _reading(label):
            chunk = file.read(_CHUNK)
        if not chunk:
            return
        yield chunk


def _spool(label: str, stream: BinaryIO, encoding: str) -> tuple[str, Callable[[], BinaryIO]]:
    """Copies a stream that can be read only once to a temporary file, removed at exit."""
    try:
        with tempfile.NamedTemporaryFile(prefix="chargen-", delete=False) as spool:
            path = Path(spool.name)
            atexit.register(path.unlink, missing_ok=True)
            for chunk in _chunks_of(label, stream):
                if not spool.tell():
                    _refuse_binary(label, chunk[:_SNIFF], encoding)  # before a device fills the disk
                if spool.tell() > LONGEST_STREAM:
                    raise ChargenError(
                        f"{label} did not end within {LONGEST_STREAM / 1e9:.0f} GB",
                        "if that is intended, write it to a file and give the file",
                    )
                spool.write(chunk)
    except OSError as error:
        raise ChargenError(
            f"{label} cannot be stored in {tempfile.gettempdir()}: {error.strerror or error}",
            "name another folder in the variable TMPDIR",
        ) from error
    return label, _opener(path)


def _builtin() -> BinaryIO:
    """Opens the text of Python's own `help()` topics: technical English, half a megabyte."""
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ChargenError(
            "this Python came without pydoc_data, which holds the built-in corpus",
            "give a text file of your own",
        ) from error
    return io.BytesIO("\n\n".join(topics[key].strip("\n") for key in sorted(topics)).encode())


_MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive (or an office document)",
    b"\x1f\x8b": "gzip-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"BZh": "bzip2-compressed",
    b"\x7fELF": "a program",
    b"SQLite format 3": "a database",
}


def _looks_binary(head: bytes) -> str | None:
    """Returns the kind of binary file that starts with `head`, or None for text.

    A NUL byte marks a binary file, as in git.
    """
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return "a binary file" if b"\0" in head else None


def _refuse_binary(label: str, head: bytes, encoding: str) -> None:
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        return
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ChargenError(f"{label} looks like UTF-16", "read it with {encoding} utf-16")
    if kind := _looks_binary(head):
        raise ChargenError(f"{label} is not a text but {kind}", "give plain text")


class _Decoder:
    """Decodes the chunks of a source, with every newline as LF and without a byte-order mark."""

    def __init__(self, label: str, encoding: str) -> None:
        self._label, self._encoding = label, encoding
        self._codec = codecs.lookup(encoding).name
        decoder = codecs.getincrementaldecoder(
            "utf-8-sig" if self._codec == "utf-8" else self._codec
        )()
        self._newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
        self.bytes = 0  # decoded so far

    def decode(self, chunk: bytes) -> str:
        """Returns the text of the next chunk; a character that is cut in two comes with its rest.

        Raises ChargenError for bytes that are not text in the encoding, with the offset of the first.
        """
        self.bytes += len(chunk)
        return self._decode(chunk, final=False)

    def finish(self) -> str:
        """Returns the rest after the last chunk; raises ChargenError if a character was cut short."""
        return self._decode(b"", final=True)

    def _decode(self, chunk: bytes, final: bool) -> str:
        try:
            return str(self._newlines.decode(chunk, final))
        except UnicodeDecodeError as error:
            # The decoder may hold bytes of earlier chunks, so the offset is counted from the end.
            offset = self.bytes - len(error.object) + error.start
            byte = error.object[error.start : error.start + 1].hex()
            raise ChargenError(
                f"{self._label} is not {self._encoding}: the byte 0x{byte} at offset {offset:,} "
                f"({error.reason})",
                "name its encoding, for example {encoding} "
                + ("cp1252" if self._codec == "utf-8" else "utf-8"),
            ) from error
        except UnicodeError as error:  # raised by UTF-16 for a missing byte-order mark
            raise ChargenError(
                f"{self._label} is not {self._encoding}: {error}", "name its encoding with {encoding}"
            ) from error
