"""A collection of documents: where they end, and which of them are kept apart."""

import random
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen import ChargenError, Text, TextGenerator
from chargen.data.corpus import prepare
from chargen.data.documents import documents

KINDS = ["char", "byte", "bpe", "unigram"]


@pytest.mark.parametrize(
    ("split_on", "text", "expected"),
    [
        ("line", "Ada\nGrace\n\nEmmy", ["Ada", "Grace", "Emmy"]),
        ("blank-line", "\none\ntwo\n\n\n\nthree\n\n", ["one\ntwo", "three"]),
        ("%%", "a%%b\n%%\n%%%%c", ["a", "b", "c"]),
        ("line", "", []),
        ("line", "Ada\n  \n\t\nGrace ", ["Ada", "Grace "]),
        ("blank-line", "one\n  two\n \n\t\nthree\n   ", ["one\n  two", "three"]),
        ("%%", "a\n%%\n \n%%\n b \n", ["a", " b "]),
    ],
)
@settings(deadline=None)
@given(data=st.data())
def test_d11_documents_are_the_same_wherever_the_pieces_are_cut(split_on, text, expected, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert list(documents(pieces, split_on)) == expected


def corpus_of(text, **options):
    return prepare(Text.from_string(text), **options)


def parts(corpus):
    """The documents of the two parts of a corpus."""
    for ids in (corpus.training, corpus.validation):
        ends = np.flatnonzero(ids == corpus.tokenizer.end_id) + 1
        yield [corpus.tokenizer.decode(part) for part in np.split(np.asarray(ids), ends)][:-1]


def names(count):
    """A sorted list of names of two to nine letters."""
    rng = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return sorted("".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(count))


SEPARATORS = {"line": "\n", "blank-line": "\n\n", "%%": "\n%%\n", "--\n--": "--\n--"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split_on", SEPARATORS)
def test_d8_a_separator_is_not_in_the_alphabet_of_the_documents(kind, split_on):
    text = SEPARATORS[split_on].join(names(400))
    corpus = corpus_of(text, kind=kind, vocab_size=300, split_on=split_on)
    assert "\n" not in corpus.tokenizer.decode([*corpus.training, *corpus.validation])
    built = TextGenerator.new(text, tokenizer=kind, vocab_size=300, split_on=split_on)
    if kind == "char":
        for tokenizer in (corpus.tokenizer, built.tokenizer):
            assert not set(tokenizer.characters) & set("\n%-")


@pytest.mark.parametrize("kind", KINDS)
def test_d9_what_is_kept_apart_is_a_choice_of_the_documents(kind):
    text = "\n".join(sorted(set(names(2000))))
    corpus = corpus_of(text, kind=kind, vocab_size=300, split_on="line")
    training, validation = parts(corpus)
    assert sorted(training + validation) == text.split("\n")
    assert len("\n".join(validation)) == pytest.approx(len(text) / 10, rel=0.1)
    assert {name[0] for name in validation} >= set("abcxyz")
    assert validation != sorted(validation)
    assert corpus.split_seed is not None


def test_d9_the_choice_does_not_depend_on_tokenizer_order_or_place(verse):
    lines = sorted(set(names(500)))
    shuffled = random.Random(1).sample(lines, len(lines))
    expected = set(list(parts(corpus_of("\n".join(lines), split_on="line")))[1])
    for kind in KINDS:
        corpus = corpus_of("\n".join(shuffled), kind=kind, vocab_size=300, split_on="line")
        assert set(list(parts(corpus))[1]) == expected
    writer = TextGenerator.new("\n".join(lines), split_on="line")
    assert set(list(parts(writer.prepare("\n".join(lines))))[1]) == expected


def test_d9_running_text_is_cut_at_its_end(verse):
    corpus = corpus_of(verse)
    assert corpus.split_seed is None
    assert corpus.tokenizer.decode([*corpus.training, *corpus.validation]) == verse


@settings(deadline=None)
@given(
    some=st.lists(st.sampled_from(names(20)), min_size=60, max_size=120),
    fraction=st.sampled_from([0.05, 0.1, 0.5]),
)
def test_n9_equal_documents_are_never_on_both_sides(some, fraction):
    text = "\n".join([*some, "one that is long enough to be learned from", "another one of the kind"])
    writer = TextGenerator.new(text, split_on="line", hidden_size=8)
    with suppress(ChargenError):  # where one document fills nearly all, the rest may be too short
        training, validation = parts(writer.prepare(text, fraction))
        assert not set(training) & set(validation)
        assert sorted(training + validation) == sorted(text.split("\n"))


def test_the_pieces_of_a_collection_are_learned_from_its_training_part():
    lines = [f"{a}{b}" for a in ("anna", "berta", "carla", "dora") for b in range(100)]
    lines += [letter * 40 for letter in "uvwxyz"]
    corpus = corpus_of("\n".join(lines), kind="bpe", vocab_size=420, split_on="line", val_fraction=0.5)
    training, validation = parts(corpus)
    unseen = {line[0] for line in validation} - {line[0] for line in training}
    assert unseen
    pieces = [piece for piece in corpus.tokenizer.pieces if len(piece) > 1]
    assert not any(letter.encode() * 2 in piece for letter in unseen for piece in pieces)


@pytest.mark.parametrize(
    ("split_on", "found"),
    [
        ("***", r"'\*\*\*' does not occur in it"),
        ("blank-line", "it has no blank line"),
        ("line", "it has one line"),
    ],
)
def test_d10_n10_a_separator_that_never_occurs_is_named(split_on, found):
    text = "one long line of words " * 50
    with pytest.raises(ChargenError, match=rf"text is a single document: {found}.*at least two"):
        corpus_of(text, split_on=split_on)
    with pytest.raises(ChargenError, match=rf"text is a single document: {found}.*at least two"):
        TextGenerator.new(text, split_on=split_on).prepare(text)


@pytest.mark.parametrize("kind", KINDS)
def test_n9_a_document_that_makes_up_most_of_the_text_is_all_for_training(kind):
    text = "again and again\n" * 200 + "\n".join(names(40))
    training, validation = parts(corpus_of(text, kind=kind, vocab_size=300, split_on="line"))
    assert training.count("again and again") == 200
    assert not set(training) & set(validation)
