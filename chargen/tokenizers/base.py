"""A tokenizer turns text into tokens and back, without loss.

    text      "né"
    tokens    [110, 195, 169]      one array of numbers, here of a `ByteTokenizer`
    pieces    b"n" b"\\xc3" b"\\xa9"   bytes of UTF-8, whose join is the text

Decoding is the same for every kind, since each token stands for a fixed piece. The kinds differ in how
they cut a text up: `characters`, `bytes`, `pieces`. An optional last token, the end symbol, closes a
document and decodes to nothing.
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
from chargen.tokenizers import utf8

Ids = npt.NDArray[Any]  # (N,) tokens, of the tokenizer's dtype
_BLOCK = 1 << 20  # tokens that are decoded at a time, to bound the memory


class Tokenizer(ABC):
    """A vocabulary: token i stands for the bytes `pieces[i]`.

    For each text that it can represent, `decode(encode(text)) == text`.

    Args:
        pieces: the vocabulary without the end symbol.
        documents: whether the vocabulary ends with an end symbol, `end_id`.
    """

    kind: ClassVar[str]

    def __init__(self, pieces: list[bytes], documents: bool) -> None:
        self.pieces = [*pieces, b""] if documents else pieces
        self.end_id: int | None = len(pieces) if documents else None
        self.dtype = np.dtype(np.uint8 if len(self.pieces) <= 256 else np.uint16)

    def __len__(self) -> int:
        """Returns the size of the vocabulary V, the end symbol included."""
        return len(self.pieces)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """Returns the tokens (N,) of a text.

        Raises ChargenError for a character that the vocabulary cannot represent.
        """

    def tokens_per_character(self, text: str) -> npt.NDArray[np.int64] | None:
        """Returns the number of tokens of each character (N,) of a text that can be encoded.

        None where the tokens of a character depend on its neighbours.
        """
        return None

    def knows(self, text: str) -> bool:
        """Returns whether every character of a text can be encoded."""
        try:
            self.encode(text)
        except ChargenError:
            return False
        return True

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """Returns the text of tokens; bytes that are not UTF-8 become U+FFFD."""
        return self._bytes(ids).decode(errors="replace")

    def measure(self, ids: Ids) -> tuple[int, int]:
        """Returns how many characters, and how many bytes of UTF-8, the tokens (N,) stand for.

        An end symbol counts as one of each, for the separator that it replaced.
        """
        characters = size = 0
        for start in range(0, len(ids), _BLOCK):
            block = ids[start : start + _BLOCK]
            data = np.frombuffer(self._bytes(block), np.uint8)
            ends = 0 if self.end_id is None else int((block == self.end_id).sum())
            size += len(data) + ends
            characters += int((data & 0xC0 != 0x80).sum()) + ends  # every byte but continuations
        return characters, size

    def split_point(self, ids: Ids, fraction: float) -> int:
        """Returns how many of the tokens (N,) stand for the first `fraction` of the characters."""
        lengths = np.array([sum(byte & 0xC0 != 0x80 for byte in piece) for piece in self.pieces])
        if self.end_id is not None:
            lengths[self.end_id] = 1
        if (lengths == 1).all():
            return int(len(ids) * fraction)
        starts = range(0, len(ids), _BLOCK)
        sizes = [int(lengths[ids[start : start + _BLOCK]].sum()) for start in starts]
        left = int(sum(sizes) * fraction)  # characters
        for start, size in zip(starts, sizes, strict=True):
            if left < size:
                ends = np.cumsum(lengths[ids[start : start + _BLOCK]])
                return start + int(np.searchsorted(ends, left, side="right"))
            left -= size
        return len(ids)

    def name(self, token: int) -> str:
        """Returns the text of one token: bytes of a character as "<E2>", the end symbol as ""."""
        piece = self.pieces[token]
        try:
            return piece.decode()
        except UnicodeDecodeError:
            return "".join(f"<{byte:02X}>" for byte in piece)

    def _bytes(self, ids: Sequence[int] | Ids) -> bytes:
        return b"".join(map(self.pieces.__getitem__, np.asarray(ids).tolist()))

    def detokenizer(self) -> IncrementalDetokenizer:
        """Returns a decoder of tokens that come one by one."""
        return IncrementalDetokenizer(self.pieces)

    def adapt(self, text: str, skip: bool = False) -> tuple[str, list[str]]:
        """Replaces characters that the vocabulary lacks by their substitutes.

        Args:
            text: any text.
            skip: whether to drop a character that has no substitute.

        Returns:
            The text, which can then be encoded, and a sentence for each kind of change.

        Raises:
            ChargenError: for a character without a substitute, unless `skip`; for half a character.
        """
        encode_unicode(text, "utf-8")
        return text, []

    @cached_property
    def utf8_transitions(self) -> utf8.Transitions | None:
        """The table of `utf8.transitions`, (8, V), or None if every token is whole characters."""
        transitions = utf8.transitions(self.pieces)
        return None if (transitions[0] == 0).all() else transitions

    def start_tokens(self) -> list[int]:
        """Returns what a model reads before a text: the end of another document, or a new line."""
        if self.end_id is not None:
            return [self.end_id]
        newline: list[int] = self.encode(self.adapt("\n", skip=True)[0]).tolist()
        return newline or [0]

    @abstractmethod
    def describe(self) -> str:
        """Returns one line that says what the vocabulary holds."""

    def dump(self) -> dict[str, bytes]:
        """Returns the files, by name, from which `load_tokenizer` makes the tokenizer again."""
        return {
            "tokenizer.json": json_bytes({"kind": self.kind, "documents": self.end_id is not None})
        }


class IncrementalDetokenizer:
    """Turns tokens that come one by one into text, never half a character.

    The two bytes of "é" give "" and "é".
    """

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def fork(self) -> IncrementalDetokenizer:
        """Returns a copy, which goes on independently."""
        fork = copy(self)
        fork._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        fork._utf8.setstate(self._utf8.getstate())
        return fork

    def push(self, token: int) -> str:
        """Returns the text that one more token completes, perhaps none."""
        return self._utf8.decode(self._pieces[token])

    def finish(self) -> str:
        """Returns the rest after the last token: U+FFFD if a character was cut short."""
        return self._utf8.decode(b"", final=True)


def encode_unicode(text: str, encoding: str) -> bytes:
    """Encodes a text; raises ChargenError for half a character (a surrogate), naming its position."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise ChargenError(
            f"the text holds half a character (the surrogate U+{ord(text[error.start]):04X}) at "
            f"position {error.start + 1}; it was probably not UTF-8 before"
        ) from error


def json_bytes(record: dict[str, Any]) -> bytes:
    """Returns the content of a JSON file."""
    return (json.dumps(record, indent=1) + "\n").encode()
