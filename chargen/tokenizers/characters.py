"""A token for each character of the corpus."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from chargen.errors import ChargenError
from chargen.tokenizers.base import Ids, Tokenizer, encode_unicode, json_bytes
from chargen.tokenizers.substitutes import substitutes

UNKNOWN = np.iinfo(np.uint16).max  # not a token of any vocabulary
MAX_CHARACTERS = 20_000  # more distinct characters than any one script's everyday writing needs


class CharTokenizer(Tokenizer):
    """One token for each character of the corpus, in the order of code points.

    Built from "banana", the vocabulary is "abn", and "nab" is [2, 0, 1].
    """

    kind = "char"

    def __init__(self, characters: str, documents: bool = False) -> None:
        if sorted(set(characters)) != list(characters) or not characters:
            raise ChargenError("a character vocabulary needs distinct characters in code point order")
        super().__init__([character.encode() for character in characters], documents)
        self.characters = characters
        codes = np.frombuffer(characters.encode("utf-32-le"), np.uint32)
        # One entry for each code point up to the last known one, and one for all beyond it.
        self._table = np.full(int(codes[-1]) + 2, UNKNOWN, np.uint16)
        self._table[codes] = np.arange(len(characters), dtype=np.uint16)
        self._ascii = self._table.take(np.arange(128), mode="clip")

    @classmethod
    def build(cls, texts: Iterable[str], documents: bool = False) -> CharTokenizer:
        """Builds the vocabulary of all characters of the texts."""
        seen, ascii_seen = np.zeros(0x110000, bool), b""
        for text in texts:
            # The new ASCII characters are those left after deleting the known ones: one fast pass.
            ascii_text = text.encode("ascii", "ignore")
            ascii_seen += bytes(set(ascii_text.translate(None, ascii_seen)))
            if len(ascii_text) < len(text):
                points = _code_points(text)
                seen[points[points > 127]] = True
        seen[list(ascii_seen)] = True
        codes = np.flatnonzero(seen)
        if not len(codes):
            raise ChargenError("the text is empty: there is no character to learn")
        if len(codes) > MAX_CHARACTERS:
            raise ChargenError(
                f"the text holds {len(codes):,} different characters, more than the "
                f"{MAX_CHARACTERS:,} that get a token each",
                "use {tokenizer} byte or {tokenizer} bpe",
            )
        return cls("".join(map(chr, codes)), documents)

    def encode(self, text: str) -> Ids:
        if text.isascii():
            ids = self._ascii.take(np.frombuffer(text.encode(), np.uint8))
        else:
            ids = self.look_up(text)
        if len(ids) and ids.max() == UNKNOWN:
            position = int(np.argmax(ids == UNKNOWN))
            hint = "a vocabulary of characters holds only those of its corpus"
            raise _unknown_character(text, position, hint)
        return ids.astype(self.dtype, copy=False)

    def tokens_per_character(self, text: str) -> npt.NDArray[np.int64]:
        return np.ones(len(text), np.int64)

    def look_up(self, text: str) -> npt.NDArray[np.uint16]:
        """Returns the token of each character (N,), `UNKNOWN` where the vocabulary lacks it."""
        return self._table.take(_code_points(text), mode="clip")

    def _knows(self, text: str) -> bool:
        return bool(text) and int(self.look_up(text).max()) != UNKNOWN

    def adapt(self, text: str, skip: bool = False) -> tuple[str, list[str]]:
        if not text or self._knows(text):
            return text, []
        notes, composed = [], unicodedata.normalize("NFC", text)
        if composed != text:
            text, notes = composed, ["the text was converted to Unicode's composed form (NFC)"]
        adapted = []
        for position, character in enumerate(text):
            substitute = next(filter(self._knows, (character, *substitutes(character))), "")
            if not substitute and not skip:
                hint = "leave it out, or drop all such characters with {skip_unknown}"
                raise _unknown_character(text, position, hint)
            if substitute != character:
                change = f"taken as {substitute!r}" if substitute else "skipped"
                notes.append(f"{_name(character)} is unknown to the model: {change}")
            adapted.append(substitute)
        return "".join(adapted), list(dict.fromkeys(notes))

    def describe(self) -> str:
        runs = list(_runs(self.characters))
        shown = " ".join(runs[:40]) + (" …" if len(runs) > 40 else "")
        return f"{len(self.characters):,} characters: {shown}"

    def dump(self) -> dict[str, bytes]:
        record = {
            "kind": self.kind,
            "documents": self.end_id is not None,
            "characters": self.characters,
        }
        return {"tokenizer.json": json_bytes(record)}


def _unknown_character(text: str, position: int, hint: str) -> ChargenError:
    near = text[max(0, position - 20) : position + 20]
    return ChargenError(
        f"{_name(text[position])} at position {position + 1} is unknown to the model (in {near!r})",
        hint,
    )


def _name(character: str) -> str:
    title = unicodedata.name(character, "").lower()
    return f"{character!r} (U+{ord(character):04X}{' ' + title if title else ''})"


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(encode_unicode(text, "utf-32-le"), np.uint32)


def _runs(characters: str) -> Iterator[str]:
    """Yields characters for a person to read, runs of code points as "a–z"."""
    names = {"\n": "newline", " ": "space", "\t": "tab"}
    start = 0
    for i in range(1, len(characters) + 1):
        if i < len(characters) and ord(characters[i]) == ord(characters[i - 1]) + 1:
            continue
        run = characters[start:i]
        start = i
        if len(run) > 3 and run.isprintable():
            yield f"{run[0]}–{run[-1]}"
            continue
        for c in run:
            yield names.get(c) or (c if c.isprintable() else f"U+{ord(c):04X}")
