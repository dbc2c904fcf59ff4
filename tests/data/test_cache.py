"""The cache finds a text by its content, and removes nothing but its own entries."""

import gc
import os
import time

import numpy as np
import pytest

from chargen import ChargenError, Text
from chargen.data.cache import cache_folder, encode, tokenize
from chargen.data.corpus import prepare, split


def corpus_of(text, **options):
    return prepare(Text.from_string(text), **options)


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
def test_the_second_time_a_text_is_found_in_the_cache(kind, verse, monkeypatch):
    first = corpus_of(verse, kind=kind, vocab_size=320)
    monkeypatch.setattr("chargen.data.cache.build_tokenizer", None)  # would fail if called
    second = corpus_of(verse, kind=kind, vocab_size=320)
    assert np.array_equal(first.training, second.training)
    assert np.array_equal(first.validation, second.validation)


def test_the_cache_knows_a_text_by_its_content(tmp_path):
    file = tmp_path / "same-name.txt"
    for letter in "ab":
        file.write_text(letter * 500)
        corpus = prepare(Text.open([str(file)]))
        assert corpus.tokenizer.characters == letter


def test_the_pieces_of_bpe_are_learned_from_the_training_part_alone():
    corpus = corpus_of("common words here " * 500 + "zyxwvu" * 150, kind="bpe", vocab_size=400)
    assert not any(b"zyx" in piece for piece in corpus.tokenizer.pieces)


def test_ids_in_the_cache_are_those_of_the_text_in_memory(verse):
    corpus = corpus_of(verse)
    parts = list(encode(Text.from_string(verse), corpus.tokenizer))
    again = split(np.concatenate(parts), corpus.tokenizer, Text.from_string(verse), None, 0.1)
    assert np.array_equal(corpus.training, again.training)


def test_an_unwritable_cache_is_an_error_with_the_next_step(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ChargenError, match="CHARGEN_CACHE"):
        corpus_of("never seen before " * 20)


def test_nothing_is_left_behind_when_preparing_fails():
    text = Text("bad", (("bad", lambda: open(__file__, "rb")),), encoding="utf-16")  # noqa: SIM115
    with pytest.raises(ChargenError):
        prepare(text, kind="byte")
    assert not list(cache_folder().glob(".draft-*"))


def age(folder, days=60):
    """Makes a folder and all that is in it look old."""
    then = time.time() - days * 86_400
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))


FOREIGN = {
    "thesis/chapter.txt": "mine",
    "thesis/ids": "mine",
    "0123456789abcdef0123456789abcdef/photo.jpg": "mine",
    "0123456789abcdef0123456789abcdee/ids/photo.jpg": "mine",
    ".draft-of my novel/page.txt": "mine",
    ".draft-abcd1234/page.txt": "mine",
    "notes.txt": "mine",
}


def test_r1_only_entries_of_the_cache_are_swept(monkeypatch, tmp_path):
    """The cache may be a folder that a person keeps other things in."""
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path))
    for name, content in FOREIGN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "00000000000000000000000000000000").mkdir()
    old, fresh = (tokenize(Text.from_string(letter * 500)) for letter in "ab")
    draft = tmp_path / ".draft-k1ll3d__"
    draft.mkdir()
    (draft / "ids").write_text("")
    link = tmp_path / "fedcba9876543210fedcba9876543210"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "ids").write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for folder in tmp_path.iterdir():
        if folder != fresh:
            age(folder)
    tokenize(Text.from_string("c" * 500))  # a new entry, after which the cache is swept
    assert not old.exists()
    assert not draft.exists()
    assert fresh.exists()
    assert (link / "ids").read_text() == "mine"
    assert (tmp_path / "00000000000000000000000000000000").exists()
    assert {name: (tmp_path / name).read_text() for name in FOREIGN} == FOREIGN


@pytest.mark.slow
def test_r1_what_is_in_use_is_not_swept(monkeypatch, tmp_path):
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path))
    corpus = prepare(Text.from_string("a" * 500))
    (entry,) = tmp_path.iterdir()
    age(entry)
    tokenize(Text.from_string("b" * 500))
    assert entry.exists()
    assert (np.asarray(corpus.training) == 0).all()
    del corpus
    gc.collect()
    age(entry)
    tokenize(Text.from_string("c" * 500))
    assert not entry.exists()
