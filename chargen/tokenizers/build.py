"""A tokenizer of any kind, built from texts or loaded from its files."""

from __future__ import annotations

import json
from collections.abc import Iterable

from chargen.errors import ChargenError
from chargen.tokenizers.base import Tokenizer
from chargen.tokenizers.bytes import ByteTokenizer
from chargen.tokenizers.characters import CharTokenizer
from chargen.tokenizers.pieces import PieceTokenizer

KINDS = ("char", "byte", "bpe", "unigram")


def build_tokenizer(
    kind: str, texts: Iterable[str], vocab_size: int, documents: bool = False
) -> Tokenizer:
    """Builds a tokenizer from texts.

    Args:
        kind: one of `KINDS`.
        texts: parts of the corpus, in order; "byte" does not read them.
        vocab_size: tokens, at most; only "bpe" and "unigram" need it.
        documents: whether to add an end symbol.

    Raises:
        ChargenError: if there is no such kind, or the texts cannot be learned from.
    """
    if kind == "char":
        return CharTokenizer.build(texts, documents)
    if kind == "byte":
        return ByteTokenizer(documents)
    if kind in KINDS:
        return PieceTokenizer.build(texts, kind, vocab_size, documents)
    raise ChargenError(f"there is no tokenizer {kind!r}", f"choose one of {', '.join(KINDS)}")


def load_tokenizer(files: dict[str, bytes]) -> Tokenizer:
    """Makes a tokenizer from the files, by name, that `Tokenizer.dump` returned.

    Raises ChargenError if they do not hold one.
    """
    try:
        record = json.loads(files["tokenizer.json"])
        kind, documents = record["kind"], bool(record["documents"])
        if kind == "char" and isinstance(record["characters"], str):
            return CharTokenizer(record["characters"], documents)
        if kind == "byte":
            return ByteTokenizer(documents)
        if kind in KINDS:
            return PieceTokenizer(files["tokenizer.model"], kind, documents)
    except ChargenError:
        raise
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise ChargenError("tokenizer.json does not hold a tokenizer") from error
    raise ChargenError(
        f"tokenizer.json does not hold a tokenizer that chargen knows: {str(kind)[:40]!r}"
    )
