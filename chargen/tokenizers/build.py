"""A tokenizer of each kind, new or from its files."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from chargen.errors import ChargenError
from chargen.tokenizers.base import Ids, Tokenizer, encode_text
from chargen.tokenizers.characters import CharTokenizer
from chargen.tokenizers.pieces import PieceTokenizer

KINDS = ("char", "byte", "bpe", "unigram")


class ByteTokenizer(Tokenizer):
    """One id for each of the 256 bytes of UTF-8: any text, no vocabulary to learn."""

    kind = "byte"

    def __init__(self, documents: bool = False) -> None:
        super().__init__([bytes([value]) for value in range(256)], documents)

    def encode(self, text: str) -> Ids:
        return np.frombuffer(encode_text(text, "utf-8"), np.uint8).astype(self.dtype, copy=False)

    def describe(self) -> str:
        return "256 bytes of UTF-8"


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
