"""Text to ids and back: characters, bytes, or SentencePiece pieces, behind one small interface.

Every tokenizer is lossless: `decode(encode(text)) == text` for each text that it can represent.
Decoding is the same for all of them, since each id stands for a few bytes of UTF-8; they differ in
how they cut a text up. An optional last id, the end symbol, closes a document and decodes to
nothing. This file knows neither files nor models.
"""

from __future__ import annotations

import codecs
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from chargen.errors import ChargenError
from chargen.tokenizers.utf8 import Guide

Ids = npt.NDArray[Any]  # one dimension, of the tokenizer's dtype


class Tokenizer(ABC):
    """A fixed list of pieces: id i stands for the bytes `pieces[i]`."""

    kind: ClassVar[str]

    def __init__(self, pieces: list[bytes], documents: bool) -> None:
        self.pieces = [*pieces, b""] if documents else pieces
        self.end_id: int | None = len(pieces) if documents else None
        self.dtype = np.dtype(np.uint8 if len(self.pieces) <= 256 else np.uint16)

    def __len__(self) -> int:
        """The size of the vocabulary V, the end symbol included."""
        return len(self.pieces)

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """Cuts a text into ids; raises ChargenError where it holds what has no id."""

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """Joins ids to a text; bytes that are not UTF-8 become U+FFFD."""
        return self._bytes(ids).decode(errors="replace")

    def measure(self, ids: Ids) -> tuple[int, int]:
        """How many characters and how many bytes of UTF-8 the ids stand for.

        An end symbol counts as one of each, for the separator that it replaced.
        """
        characters = size = 0
        for start in range(0, len(ids), 1 << 20):
            part = ids[start : start + (1 << 20)]
            data = np.frombuffer(self._bytes(part), np.uint8)
            ends = 0 if self.end_id is None else int((part == self.end_id).sum())
            size += len(data) + ends
            characters += int((data & 0xC0 != 0x80).sum()) + ends  # every byte but continuations
        return characters, size

    def cut(self, ids: Ids, fraction: float) -> int:
        """How many ids, from the first on, stand for this fraction of the characters."""
        lengths = np.array([sum(byte & 0xC0 != 0x80 for byte in piece) for piece in self.pieces])
        if self.end_id is not None:
            lengths[self.end_id] = 1
        if (lengths == 1).all():
            return int(len(ids) * fraction)
        starts = range(0, len(ids), 1 << 20)
        sizes = [int(lengths[ids[start : start + (1 << 20)]].sum()) for start in starts]
        wanted = int(sum(sizes) * fraction)
        for start, size in zip(starts, sizes, strict=True):
            if wanted < size:
                ends = np.cumsum(lengths[ids[start : start + (1 << 20)]])
                return start + int(np.searchsorted(ends, wanted, side="right"))
            wanted -= size
        return len(ids)

    def name(self, token: int) -> str:
        """What an id stands for, single bytes of a character as "<E2>", the end symbol as ""."""
        piece = self.pieces[token]
        try:
            return piece.decode()
        except UnicodeDecodeError:
            return "".join(f"<{byte:02X}>" for byte in piece)

    def _bytes(self, ids: Sequence[int] | Ids) -> bytes:
        return b"".join(map(self.pieces.__getitem__, np.asarray(ids).tolist()))

    def stream(self) -> IncrementalDetokenizer:
        """A decoder for ids that come one by one."""
        return IncrementalDetokenizer(self.pieces)

    def adapt(self, text: str, skip: bool = False) -> tuple[str, list[str]]:
        """Makes a text representable; returns it with one sentence for each change.

        Raises ChargenError for a character without any known relative, unless `skip` drops those.
        """
        encode_text(text, "utf-8")
        return text, []

    @cached_property
    def guide(self) -> Guide | None:
        """What keeps drawn ids valid UTF-8, or None where each id is whole characters."""
        guide = Guide(self.pieces)
        return None if (guide.after[0] == 0).all() else guide

    def start(self) -> list[int]:
        """What stands before a text: the end of the document before it, or a new line."""
        if self.end_id is not None:
            return [self.end_id]
        newline: list[int] = self.encode(self.adapt("\n", skip=True)[0]).tolist()
        return newline or [0]

    @abstractmethod
    def describe(self) -> str:
        """One line that says what the vocabulary holds."""

    def dump(self) -> dict[str, bytes]:
        """The files, by name, from which `load_tokenizer` makes the tokenizer again."""
        return {
            "tokenizer.json": to_json_bytes({"kind": self.kind, "documents": self.end_id is not None})
        }


class IncrementalDetokenizer:
    """Turns ids that come one by one into text, never printing half a character."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def fork(self) -> IncrementalDetokenizer:
        """The same place once more."""
        fork = copy(self)
        fork._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        fork._utf8.setstate(self._utf8.getstate())
        return fork

    def push(self, token: int) -> str:
        """The text that this id completes, perhaps none yet."""
        return self._utf8.decode(self._pieces[token])

    def finish(self) -> str:
        """What is left when no more ids come: U+FFFD if a character was cut short."""
        return self._utf8.decode(b"", final=True)


def encode_text(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise ChargenError(
            f"the text holds half a character (the surrogate U+{ord(text[error.start]):04X}) at "
            f"position {error.start + 1}; it was probably not UTF-8 before"
        ) from error


def to_json_bytes(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=1) + "\n").encode()
