"""Many texts tokenized at once give what each gives alone."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chargen import ChargenError, Coverage
from chargen.data import encoding
from chargen.data.encoding import encode_many, encode_truncated
from chargen.tokenizers.build import build_tokenizer

CORPUS = ["the sea, été 日本", "a bird ß\nsang", "Zoë"]
TOKENIZERS = {
    (kind, documents): build_tokenizer(kind, CORPUS * 20, 300, documents=documents)
    for kind in ("char", "byte", "bpe")
    for documents in (False, True)
}
TEXTS = st.text(
    st.one_of(
        st.sampled_from("the sa,ét\u0301日本ßZö \n\r\t\u2028\u00a0Q😀﷐“…éÉæ\u212b\u0308"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=30,
)


def check(texts, tokenizer, max_length):
    encoded, coverages = encode_many(texts, tokenizer, max_length)
    alone = [encode_truncated(text, tokenizer, max_length) for text in texts]
    starts = encoded.ends - encoded.lengths
    for index, (ids, coverage) in enumerate(alone):
        assert encoded.ids[starts[index] : encoded.ends[index]].tolist() == ids.tolist()
        row = (column[index] for column in vars(coverages).values())
        assert Coverage(1, *map(int, row)) == coverage
    assert encoded.ids.dtype == tokenizer.dtype
    assert encoded.labels.tolist() == [-1] * len(texts)
    assert encoded.coverage == coverages.sum() == sum((one for _, one in alone), Coverage())


@pytest.mark.parametrize("kind", TOKENIZERS, ids=str)
@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS, max_size=12), max_length=st.integers(1, 40))
@example(texts=[], max_length=9)
@example(texts=["", " ", "\r", "\r\n", "a\r\nb", "e\u0301t\u0301", "日本", "\u2028"], max_length=9)
@example(texts=["the sea"] * 3 + ["Q" * 9, "a" * 8, "a" * 9, "a" * 200], max_length=9)
def test_many_texts_give_what_each_gives_alone(kind, texts, max_length):
    check(texts, TOKENIZERS[kind], max_length)


def test_more_texts_than_a_block_are_all_there(monkeypatch):
    monkeypatch.setattr(encoding, "_TEXTS", 4)
    monkeypatch.setattr(encoding, "_LONG", 7)
    check([f"the {'sea' * (n % 4)}Q"[: n % 11] for n in range(23)], TOKENIZERS["char", True], 20)


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_half_a_character_is_an_error_among_many_texts_too(kind):
    with pytest.raises(ChargenError, match=r"half a character .* at position 3"):
        encode_many(["the sea", "a \ud800", "bird"], TOKENIZERS[kind, True], 20)


def test_short_texts_are_not_tokenized_one_by_one(monkeypatch):
    monkeypatch.setattr(encoding, "encode_truncated", None)
    for kind in ("char", "byte"):
        texts = ["the sea\r\n", "", "été", "Où Q – ß"]
        encoded, coverages = encode_many(texts, TOKENIZERS[kind, True], 20)
        assert len(encoded) == 4
        assert coverages.unknown[3] == (3 if kind == "char" else 0)
        assert np.flatnonzero(coverages.blank).tolist() == [1]
