"""Any bytes as tokens of a model, and as a note of what its vocabulary lacks.

The tokens stand for a text of the same length, in which a character that the model does not know is
replaced by one that it does; the note says where, and which it was. A model of documents has its end
symbol in place of their separator.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.errors import ChargenError
from chargen.tokenizers.base import Tokenizer
from chargen.tokenizers.characters import CharTokenizer
from chargen.tokenizers.substitutes import substitutes

DAMAGED = "the packed file is damaged or was cut short"
_CARRIAGE_RETURNS = 1  # flag: every line ends with \r\n, and stands here with \n


@dataclass(frozen=True)
class Symbols:
    """Bytes as a model reads them."""

    tokens: npt.NDArray[Any]  # (N,)
    note: bytes  # what the tokens do not say
    characters: int = 0  # of the text


def to_symbols(data: bytes, tokenizer: Tokenizer, separator: str | None) -> Symbols:
    """Returns any bytes as symbols; `separator` is that of documents, None without them."""
    text, flags = data.decode("utf-8", "surrogateescape"), 0
    if "\r" in text and text.count("\r") == text.count("\r\n") == text.count("\n"):
        text, flags = text.replace("\r\n", "\n"), _CARRIAGE_RETURNS
    documents = text.split(separator) if separator else [text]
    positions, characters, stand_in = _replace(tokenizer, "".join(documents))
    tokens: list[npt.NDArray[Any]] = []
    start = 0
    for document in documents:
        if tokens:
            tokens.append(np.array([tokenizer.end_id], tokenizer.dtype))
        tokens.append(_encode(tokenizer, stand_in[start : start + len(document)]))
        start += len(document)
    gaps = np.diff(positions, prepend=0)
    note = bytes([flags]) + b"".join(map(varint, [len(gaps), *gaps.tolist()]))
    note += characters.encode("utf-8", "surrogatepass")
    packed = zlib.compress(note, 9)
    smaller = b"\1" + packed if len(packed) < len(note) else b"\0" + note
    return Symbols(np.concatenate(tokens), b"" if note == b"\0\0" else smaller, len(text))


def from_symbols(symbols: Symbols, tokenizer: Tokenizer, separator: str | None) -> bytes:
    """Returns the bytes of symbols; raises ChargenError for a note that is damaged."""
    try:
        note = symbols.note[1:] if symbols.note else b"\0\0"
        note = zlib.decompress(note) if symbols.note[:1] == b"\1" else note
        numbers = Reader(note)
        flags = numbers.take(1)[0]
        positions = np.cumsum([numbers.varint() for _ in range(numbers.varint())], dtype=np.int64)
        characters = numbers.rest().decode("utf-8", "surrogatepass")
        documents = [_decode(tokenizer, part) for part in _parts(symbols.tokens, tokenizer.end_id)]
        text = list("".join(documents))
        for position, character in zip(positions.tolist(), characters, strict=True):
            text[position] = character
    except (zlib.error, ValueError, IndexError) as error:
        raise ChargenError(DAMAGED) from error
    restored, start = [], 0
    for document in documents:
        restored.append("".join(text[start : start + len(document)]))
        start += len(document)
    joined = (separator or "").join(restored)
    if flags & _CARRIAGE_RETURNS:
        joined = joined.replace("\n", "\r\n")
    return joined.encode("utf-8", "surrogateescape")


def _replace(tokenizer: Tokenizer, text: str) -> tuple[npt.NDArray[np.int64], str, str]:
    """Returns where a text has characters that a tokenizer lacks, these, and the text without them."""
    distinct = set(text)
    if isinstance(tokenizer, CharTokenizer):
        unknown = distinct - set(tokenizer.characters)
    elif tokenizer.kind == "byte":
        unknown = set()
    else:
        unknown = {character for character in distinct if "\ud800" <= character <= "\udfff"}
    if not unknown:
        return np.zeros(0, np.int64), "", text
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    positions = np.flatnonzero(np.isin(codes, [ord(character) for character in unknown]))
    replaced = text.translate({ord(c): _stand_in(tokenizer, c) for c in unknown})
    return positions, "".join(text[position] for position in positions), replaced


def _stand_in(tokenizer: Tokenizer, character: str) -> str:
    """Returns a known character that is expected where an unknown one stands."""
    if not isinstance(tokenizer, CharTokenizer):
        return " "
    known = tokenizer.characters
    near = [] if "\ud800" <= character <= "\udfff" else list(substitutes(character))
    candidates = [*near, " ", known[0]]
    return next(one for one in candidates if len(one) == 1 and one in known)


def _encode(tokenizer: Tokenizer, text: str) -> npt.NDArray[Any]:
    if tokenizer.kind == "byte":  # also bytes that are no text
        data = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)
        return data.astype(tokenizer.dtype)
    return tokenizer.encode(text)


def _decode(tokenizer: Tokenizer, tokens: npt.NDArray[Any]) -> str:
    if tokenizer.kind == "byte":
        return tokens.astype(np.uint8).tobytes().decode("utf-8", "surrogateescape")
    return tokenizer.decode(tokens)


def _parts(tokens: npt.NDArray[Any], end_id: int | None) -> Sequence[npt.NDArray[Any]]:
    """Returns the tokens of each document."""
    if end_id is None:
        return [tokens]
    ends = np.flatnonzero(tokens == end_id)
    parts = np.split(tokens, ends)
    return [parts[0], *(part[1:] for part in parts[1:])]


# Numbers in bytes ---------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """Returns a number in bytes of seven bits, the lowest first; the last has its eighth bit clear."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


class Reader:
    """Reads numbers and bytes one after another; raises ChargenError where there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        """Returns the next bytes."""
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise ChargenError(DAMAGED)
        self._at += count
        return part

    def varint(self) -> int:
        """Returns the next number that `varint` wrote."""
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 63:
                raise ChargenError(DAMAGED)

    def rest(self) -> bytes:
        """Returns all that is left."""
        part = self._data[self._at :]
        self._at = len(self._data)
        return part
