"""A token for each piece that SentencePiece learns from the corpus."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from chargen.errors import ChargenError
from chargen.tokenizers.base import Ids, IncrementalDetokenizer, Tokenizer, encode_unicode

SAMPLE_CHARACTERS = 10_000_000  # of the corpus, to learn from; more takes time and gains nothing
_LINE_CHARACTERS = 2_000  # longer lines are cut: SentencePiece silently drops overlong "sentences"

_SPACE = "\u2581"  # how SentencePiece writes a space
_ESCAPE = "\ufdd0"  # a code point that Unicode promises never to give to a character
_ESCAPED_SPACE, _ESCAPED_ESCAPE = (_ESCAPE + "a").encode(), (_ESCAPE + "b").encode()


class PieceTokenizer(Tokenizer):
    """Pieces of one or more characters, with the 256 bytes for all that they do not cover.

    After a corpus about the sea, "the sea" may be ["the", " sea"], and "né" ["n", C3, A9].

    SentencePiece is lossless only with the right options (identity normalisation, no dummy prefix, no
    removed whitespace, byte fallback) and two precautions. It writes a space as U+2581, so a true
    U+2581 is escaped. It drops overlong lines when it learns, so they are cut.

    Kudo and Richardson 2018, "SentencePiece", https://arxiv.org/abs/1808.06226.

    Args:
        model: the content of a SentencePiece model file.
        kind: "bpe" or "unigram", the algorithm that learned it.
        documents: whether to add an end symbol.
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
        """Learns up to `vocab_size` pieces from the first `SAMPLE_CHARACTERS` of the texts.

        Raises ChargenError if SentencePiece cannot learn from them.
        """
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
        # Single characters may fill half of the vocabulary that the bytes leave; rarer characters are
        # left to the bytes.
        single = max(1, (vocab_size - 258) // 2)
        rare = dict.fromkeys(ord(character) for character, _ in counts.most_common()[single:])
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
                f"SentencePiece could not learn {vocab_size} pieces from this text of {len(counts)} "
                "different characters",
                "try another {vocab_size}, or {tokenizer} char",
            ) from error
        return cls(model.getvalue(), kind, documents)

    def encode(self, text: str) -> Ids:
        encode_unicode(text, "utf-8")
        lines = list(_lines(_escape(text)))
        ids = [token for line in self._processor.encode(lines) for token in line]
        # subtle: SentencePiece's 0 is "unknown", which byte fallback never uses. Ours begin at its 1.
        return (np.array(ids, np.int64) - 1).astype(self.dtype)

    def vocabulary(self) -> tuple[list[str], list[float], str]:
        """Returns SentencePiece's name of each token, its score, and a letter for its kind.

        The letters are n for a normal piece, b for a byte and u for the newline, which is never joined
        with others.
        """
        processor, ids = self._processor, range(1, self._processor.vocab_size())
        names = [processor.id_to_piece(i) for i in ids]
        kinds = [
            "b" if processor.is_byte(i) else "u" if name == "\n" else "n"
            for i, name in zip(ids, names, strict=True)
        ]
        return names, [processor.get_score(i) for i in ids], "".join(kinds)

    def detokenizer(self) -> IncrementalDetokenizer:
        return _UnescapingDetokenizer(self.pieces)

    def _bytes(self, ids: Sequence[int] | Ids) -> bytes:
        data = super()._bytes(ids)
        return data.replace(_ESCAPED_SPACE, _SPACE.encode()).replace(_ESCAPED_ESCAPE, _ESCAPE.encode())

    def describe(self) -> str:
        longest = sorted((p.decode(errors="replace") for p in self.pieces), key=len)[-5:]
        return f"{len(self.pieces):,} pieces, bytes included; the longest: {longest!r}"

    def dump(self) -> dict[str, bytes]:
        return {**super().dump(), "tokenizer.model": self._model}


class _UnescapingDetokenizer(IncrementalDetokenizer):
    """Undoes `_escape`, where an escape and what it escapes may be two tokens."""

    _withheld = ""

    def push(self, token: int) -> str:
        text = self._withheld + super().push(token)
        self._withheld = _ESCAPE if text.endswith(_ESCAPE) else ""
        text = text.removesuffix(self._withheld)
        return text.replace(_ESCAPE + "a", _SPACE).replace(_ESCAPE + "b", _ESCAPE)

    def finish(self) -> str:
        return self._withheld + super().finish()


def _escape(text: str) -> str:
    return text.replace(_ESCAPE, _ESCAPE + "b").replace(_SPACE, _ESCAPE + "a")


def _piece_bytes(piece: str, is_byte: bool) -> bytes:
    return bytes([int(piece[3:5], 16)]) if is_byte else piece.replace(_SPACE, " ").encode()


def _lines(text: str) -> Iterator[str]:
    """Yields lines with their newline, which is U+000A only; overlong lines are cut."""
    for line in io.StringIO(text, newline="\n"):
        for start in range(0, len(line), _LINE_CHARACTERS):
            yield line[start : start + _LINE_CHARACTERS]
