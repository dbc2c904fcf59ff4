"""Text to ids and back: characters, bytes, or SentencePiece pieces, behind one small interface.

Every tokenizer is lossless: `decode(encode(text)) == text` for each text that it can represent.
Decoding is the same for all of them, since each id stands for a few bytes of UTF-8; they differ in
how they cut a text up. An optional last id, the end symbol, closes a document and decodes to
nothing. This file knows neither files nor models.
"""

from __future__ import annotations

import codecs
import io
import json
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from chargen.errors import ChargenError
from chargen.tokenizers.substitutes import relatives
from chargen.tokenizers.utf8 import Guide

Ids = npt.NDArray[Any]  # one dimension, of the tokenizer's dtype

KINDS = ("char", "byte", "bpe", "unigram")
UNKNOWN = np.iinfo(np.uint16).max  # no id of any vocabulary
MAX_CHARACTERS = 20_000  # more distinct characters than any one script's everyday writing needs
SAMPLE_CHARACTERS = 10_000_000  # what SentencePiece learns its pieces from; more adds time, not skill
_LINE_CHARACTERS = 2_000  # longer lines are cut: SentencePiece silently drops overlong "sentences"


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

    def stream(self) -> TextStream:
        """A decoder for ids that come one by one."""
        return TextStream(self.pieces)

    def adapt(self, text: str, skip: bool = False) -> tuple[str, list[str]]:
        """Makes a text representable; returns it with one sentence for each change.

        Raises ChargenError for a character without any known relative, unless `skip` drops those.
        """
        _encode(text, "utf-8")
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
        return {"tokenizer.json": _json({"kind": self.kind, "documents": self.end_id is not None})}


class TextStream:
    """Turns ids that come one by one into text, never printing half a character."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def fork(self) -> TextStream:
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


class CharTokenizer(Tokenizer):
    """One id for each character of the corpus, in the order of code points."""

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
        """Collects the characters of all the texts."""
        seen, ascii_seen = np.zeros(0x110000, bool), b""
        for text in texts:
            # What is new in ASCII is what is left when all that is known is struck out.
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
                f"{MAX_CHARACTERS:,} that get an id each; use --tokenizer byte or --tokenizer bpe"
            )
        return cls("".join(map(chr, codes)), documents)

    def encode(self, text: str) -> Ids:
        if text.isascii():
            ids = self._ascii.take(np.frombuffer(text.encode(), np.uint8))
        else:
            ids = self.look_up(text)
        if len(ids) and ids.max() == UNKNOWN:
            position = int(np.argmax(ids == UNKNOWN))
            raise _unknown_character(text, position, "its vocabulary is that of its corpus")
        return ids.astype(self.dtype, copy=False)

    def look_up(self, text: str) -> npt.NDArray[np.uint16]:
        """The id of each character, `UNKNOWN` for those that have none."""
        return self._table.take(_code_points(text), mode="clip")

    def _knows(self, text: str) -> bool:
        return bool(text) and int(self.look_up(text).max()) != UNKNOWN

    def adapt(self, text: str, skip: bool = False) -> tuple[str, list[str]]:
        if not text or self._knows(text):
            return text, []
        notes, composed = [], unicodedata.normalize("NFC", text)
        if composed != text:
            text, notes = composed, ["the prompt was brought to Unicode's composed form (NFC)"]
        adapted = []
        for position, character in enumerate(text):
            known = next(filter(self._knows, (character, *relatives(character))), "")
            if not known and not skip:
                advice = "leave it out, or drop all such characters with --unknown skip"
                raise _unknown_character(text, position, advice)
            if known != character:
                change = f"taken as {known!r}" if known else "skipped"
                notes.append(f"{_name(character)} is unknown to the model: {change}")
            adapted.append(known)
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
        return {"tokenizer.json": _json(record)}


class ByteTokenizer(Tokenizer):
    """One id for each of the 256 bytes of UTF-8: any text, no vocabulary to learn."""

    kind = "byte"

    def __init__(self, documents: bool = False) -> None:
        super().__init__([bytes([value]) for value in range(256)], documents)

    def encode(self, text: str) -> Ids:
        return np.frombuffer(_encode(text, "utf-8"), np.uint8).astype(self.dtype, copy=False)

    def describe(self) -> str:
        return "256 bytes of UTF-8"


class PieceTokenizer(Tokenizer):
    """Pieces learned from the corpus by SentencePiece, with bytes for whatever they do not cover.

    SentencePiece is lossless only when told so: identity normalisation, no dummy prefix, no removed
    whitespace, byte fallback. Three things are left to do here. It writes a space as U+2581, so a
    true U+2581 travels escaped. It drops overlong lines, so long ones are cut. Its id 0 is "unknown",
    which byte fallback never uses, so our ids are its ids less one.

    Kudo and Richardson 2018, "SentencePiece", https://arxiv.org/abs/1808.06226.
    """

    def __init__(self, model: bytes, kind: str, documents: bool = False) -> None:
        from sentencepiece import SentencePieceProcessor

        try:
            processor = SentencePieceProcessor(model_proto=model)
            size = processor.vocab_size()
        except (RuntimeError, TypeError) as error:
            raise ChargenError(f"tokenizer.model is not a SentencePiece model: {error}") from error
        if size < 257:  # an empty model loads without complaint
            raise ChargenError(f"tokenizer.model holds {size} pieces, fewer than the 256 bytes")
        pieces = [_piece_bytes(processor.id_to_piece(i), processor.is_byte(i)) for i in range(1, size)]
        super().__init__(pieces, documents)
        self.kind = kind  # type: ignore[misc]  # one class, two training algorithms
        self._model = model
        self._processor = processor

    @classmethod
    def build(
        cls, texts: Iterable[str], kind: str, vocab_size: int, documents: bool = False
    ) -> PieceTokenizer:
        """Learns up to `vocab_size` pieces from the texts (their first ten million characters)."""
        from sentencepiece import SentencePieceTrainer

        lines: list[str] = []
        budget = SAMPLE_CHARACTERS
        for text in texts:
            lines += _lines(_escape(text[:budget]))
            budget -= len(text)
            if budget <= 0:
                break
        counts = Counter("".join(lines))
        if not counts:
            raise ChargenError("the text is empty: there is no piece to learn")
        # Single characters may fill half of what the bytes leave; rarer ones are spelled in bytes.
        room = max(1, (vocab_size - 258) // 2)
        rare = dict.fromkeys(ord(character) for character, _ in counts.most_common()[room:])
        model = io.BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=(line.translate(rare) for line in lines),
                model_writer=model,
                model_type=kind,
                vocab_size=vocab_size,
                hard_vocab_limit=False,  # a small corpus gives fewer pieces
                character_coverage=1.0,
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                allow_whitespace_only_pieces=True,
                byte_fallback=True,
                user_defined_symbols=["\n"],  # so that cutting at newlines never changes the pieces
                max_sentence_length=8 * _LINE_CHARACTERS,  # bytes
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                num_threads=2,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ChargenError(
                f"SentencePiece could not learn {vocab_size} pieces from this text: {error}; "
                "try another --vocab-size, or --tokenizer char"
            ) from error
        return cls(model.getvalue(), kind, documents)

    def encode(self, text: str) -> Ids:
        _encode(text, "utf-8")
        lines = list(_lines(_escape(text)))
        ids = [token for line in self._processor.encode(lines) for token in line]
        return (np.array(ids, np.int64) - 1).astype(self.dtype)

    def stream(self) -> TextStream:
        return _UnescapingStream(self.pieces)

    def _bytes(self, ids: Sequence[int] | Ids) -> bytes:
        data = super()._bytes(ids)
        return data.replace(_ESCAPED_SPACE, _SPACE.encode()).replace(_ESCAPED_ESCAPE, _ESCAPE.encode())

    def describe(self) -> str:
        longest = sorted((p.decode(errors="replace") for p in self.pieces), key=len)[-5:]
        return f"{len(self.pieces):,} pieces, bytes included; the longest: {longest!r}"

    def dump(self) -> dict[str, bytes]:
        return {**super().dump(), "tokenizer.model": self._model}


class _UnescapingStream(TextStream):
    """Undoes `_escape` while text comes in parts."""

    _held = ""

    def push(self, token: int) -> str:
        text = self._held + super().push(token)
        self._held = _ESCAPE if text.endswith(_ESCAPE) else ""
        text = text.removesuffix(self._held)
        return text.replace(_ESCAPE + "a", _SPACE).replace(_ESCAPE + "b", _ESCAPE)

    def finish(self) -> str:
        return self._held + super().finish()


def build_tokenizer(
    kind: str, texts: Iterable[str], vocab_size: int, documents: bool = False
) -> Tokenizer:
    """A tokenizer of this kind for these texts; only `bpe` and `unigram` heed `vocab_size`."""
    if kind == "char":
        return CharTokenizer.build(texts, documents)
    if kind == "byte":
        return ByteTokenizer(documents)
    if kind in KINDS:
        return PieceTokenizer.build(texts, kind, vocab_size, documents)
    raise ChargenError(f"there is no tokenizer {kind!r}; choose one of {', '.join(KINDS)}")


def load_tokenizer(files: dict[str, bytes]) -> Tokenizer:
    """The tokenizer that `dump` wrote; raises ChargenError when the files do not hold one."""
    try:
        record = json.loads(files["tokenizer.json"])
        kind, documents = record["kind"], bool(record["documents"])
        if kind == "char":
            return CharTokenizer(record["characters"], documents)
        if kind == "byte":
            return ByteTokenizer(documents)
        if kind in KINDS:
            return PieceTokenizer(files["tokenizer.model"], kind, documents)
    except ChargenError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ChargenError(f"tokenizer.json is not a tokenizer: {error!r}") from error
    raise ChargenError(f"tokenizer.json names the tokenizer {kind!r}, which chargen does not know")


# Characters -------------------------------------------------------------------------------------


def _unknown_character(text: str, position: int, advice: str) -> ChargenError:
    near = text[max(0, position - 20) : position + 20]
    return ChargenError(
        f"{_name(text[position])} at position {position + 1} is unknown to the model (in {near!r}); "
        + advice
    )


def _name(character: str) -> str:
    title = unicodedata.name(character, "").lower()
    return f"{character!r} (U+{ord(character):04X}{' ' + title if title else ''})"


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(_encode(text, "utf-32-le"), np.uint32)


def _encode(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise ChargenError(
            f"the text holds half a character (the surrogate U+{ord(text[error.start]):04X}) at "
            f"position {error.start + 1}; it was probably not UTF-8 before"
        ) from error


def _runs(characters: str) -> Iterator[str]:
    """Characters for a person to read, runs of code points as "a–z"."""
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


# SentencePiece ----------------------------------------------------------------------------------

_SPACE = "\u2581"  # how SentencePiece writes a space
_ESCAPE = "\ufdd0"  # a code point that Unicode promises never to give to a character
_ESCAPED_SPACE, _ESCAPED_ESCAPE = (_ESCAPE + "a").encode(), (_ESCAPE + "b").encode()


def _escape(text: str) -> str:
    return text.replace(_ESCAPE, _ESCAPE + "b").replace(_SPACE, _ESCAPE + "a")


def _piece_bytes(piece: str, is_byte: bool) -> bytes:
    return bytes([int(piece[3:5], 16)]) if is_byte else piece.replace(_SPACE, " ").encode()


def _lines(text: str) -> Iterator[str]:
    """Lines with their newline, and only U+000A ends one; overlong lines are cut."""
    for line in io.StringIO(text, newline="\n"):
        for start in range(0, len(line), _LINE_CHARACTERS):
            yield line[start : start + _LINE_CHARACTERS]


def _json(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=1) + "\n").encode()
