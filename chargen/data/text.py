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
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from chargen.errors import ChargenError

BUILTIN = "python-docs"
_CHUNK = 1 << 20  # bytes read at a time
_SNIFF = 8192  # first bytes of a file, by which text is told from binary
_LONGEST_DOCUMENT = 20_000_000  # characters
LONGEST_STREAM = 4_000_000_000  # bytes; a longer pipe is taken for an endless one


@dataclass(frozen=True)
class Text:
    """A text in one or more parts, each of which is opened anew for every reading."""

    name: str  # fit for a folder under checkpoints/
    parts: tuple[tuple[str, Callable[[], BinaryIO]], ...]  # (label for messages, opener)
    encoding: str = "utf-8"
    notes: list[str] = field(default_factory=list)  # for a person, on which files were chosen
    in_memory: bool = False  # came as a string, so it is not checked for being binary

    @classmethod
    def from_string(cls, text: str, name: str = "text") -> Text:
        """Wraps a string; raises ChargenError for one that is not valid Unicode."""
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise ChargenError(f"the text is not valid Unicode: {error}") from error
        return cls(name, ((name, lambda: io.BytesIO(data)),), in_memory=True)

    @classmethod
    def open(cls, sources: Sequence[str], encoding: str = "utf-8") -> Text:
        """Opens sources in order, joined with a newline where one is missing.

        A source is a file, a folder (its text files, sorted by path, hidden ones left out), "-" for
        standard input, or the built-in corpus. Raises ChargenError for a source that does not exist or
        cannot be read, and for an unknown encoding.
        """
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
                parts.append(_spool("standard input", sys.stdin.buffer, encoding))
            elif path.is_dir():
                parts += _folder(path, notes)
            elif path.is_file():
                parts.append((source, _opener(path)))
            elif path.exists():  # a pipe or a device can be read only once
                with _opening(source, path) as file:
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

        Raises ChargenError for a part that is not text in the encoding, with the offset of the byte.
        """
        budget = fraction * self.size  # bytes
        ended = True  # whether the text ends with a newline: each part begins on its own line
        for label, opener in self.parts:
            if not ended:
                yield "\n"
            with _opening(label, opener) as file:
                if not self.in_memory:
                    _refuse_binary(label, file.read(_SNIFF), self.encoding)
                    file.seek(0)
                start = 0  # of the piece, in bytes
                for piece in _decode(label, file, self.encoding):
                    if file.tell() > budget:
                        share = (budget - start) / (file.tell() - start)
                        yield piece[: int(len(piece) * share)]
                        return
                    yield piece
                    ended, start = piece.endswith("\n"), file.tell()
                budget -= file.tell()

    @cached_property
    def size(self) -> int:
        """The size in bytes, of all parts together."""
        total = 0
        for label, opener in self.parts:
            with _opening(label, opener) as file:
                total += file.seek(0, io.SEEK_END)
        return total

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the bytes; for a single file, the one that `sha256sum` prints."""
        digest = hashlib.sha256()
        for label, opener in self.parts:
            with _opening(label, opener) as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        return digest.hexdigest()


def documents(pieces: Iterable[str], split_on: str) -> Iterator[str]:
    """Yields the documents of a text, without the newlines around them; empty ones are left out.

    `split_on` is "line", "blank-line" (one or more empty lines), or any other separator. Raises
    ChargenError where no separator comes for 20 million characters.
    """
    separator = {"line": "\n", "blank-line": "\n\n"}.get(split_on, split_on)
    rest = ""
    for piece in pieces:
        *complete, rest = (rest + piece).split(separator)
        yield from filter(None, (document.strip("\n") for document in complete))
        if len(rest) > _LONGEST_DOCUMENT:
            raise ChargenError(
                f"the separator {split_on!r} does not occur in {len(rest):,} characters, too long for "
                "one document",
                "set {split_on} to another one, or leave it out for one continuous text",
            )
    yield from filter(None, [rest.strip("\n")])


def name_of(sources: Sequence[str]) -> str:
    """Returns a name for the joined sources that is fit for a folder under checkpoints/."""
    first = "stdin" if sources[0] == "-" else Path(sources[0]).resolve().stem or "text"
    return first if len(sources) == 1 else f"{first}-and-{len(sources) - 1}-more"


def _folder(folder: Path, notes: list[str]) -> list[tuple[str, Callable[[], BinaryIO]]]:
    """Returns the text files below a folder, sorted by path, and adds notes on what was left out."""
    parts, skipped = [], []
    for directory, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(directory, name)
            if name.startswith(".") or not path.is_file():
                continue
            with _opening(str(path), _opener(path)) as file:
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
        notes.append(f"left out {len(skipped):,} files that are not text: {shown}")
    return sorted(parts, key=lambda part: part[0])


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


def _opening(label: str, opener: Path | Callable[[], BinaryIO]) -> BinaryIO:
    try:
        return opener.open("rb") if isinstance(opener, Path) else opener()
    except OSError as error:
        raise ChargenError(f"{label} cannot be read: {error.strerror or error}") from error


def _spool(label: str, stream: BinaryIO, encoding: str) -> tuple[str, Callable[[], BinaryIO]]:
    """Copies a stream that can be read only once to a temporary file, removed at exit."""
    try:
        with tempfile.NamedTemporaryFile(prefix="chargen-", delete=False) as spool:
            path = Path(spool.name)
            atexit.register(path.unlink, missing_ok=True)
            while chunk := stream.read(_CHUNK):
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


def _decode(label: str, file: BinaryIO, encoding: str) -> Iterator[str]:
    canonical = codecs.lookup(encoding).name
    decoder = codecs.getincrementaldecoder("utf-8-sig" if canonical == "utf-8" else canonical)()
    newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
    read = 0
    try:
        while chunk := file.read(_CHUNK):
            read += len(chunk)
            yield from filter(None, [newlines.decode(chunk)])
        yield from filter(None, [newlines.decode(b"", final=True)])
    except UnicodeDecodeError as error:
        # The decoder may hold bytes of earlier chunks, so the offset is counted from the end.
        offset = read - len(error.object) + error.start
        byte = error.object[error.start : error.start + 1].hex()
        raise ChargenError(
            f"{label} is not {encoding}: the byte 0x{byte} at offset {offset:,} ({error.reason})",
            "name its encoding, for example {encoding} "
            + ("cp1252" if canonical == "utf-8" else "utf-8"),
        ) from error
    except UnicodeError as error:  # raised by UTF-16 for a missing byte-order mark
        raise ChargenError(
            f"{label} is not {encoding}: {error}", "name its encoding with {encoding}"
        ) from error
    except OSError as error:
        raise ChargenError(f"{label} cannot be read: {error.strerror or error}") from error
