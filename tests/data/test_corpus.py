"""How a stream of ids becomes lanes and windows."""

import gc
import os
import time

import numpy as np
import pytest

from chargen import ChargenError, Text
from chargen.data.cache import cache_folder, encode, tokenize
from chargen.data.corpus import Lanes, prepare, split


def corpus_of(text, **options):
    return prepare(Text.from_string(text), **options)


def test_windows_laid_end_to_end_give_back_each_lane():
    corpus = corpus_of("".join(chr(0x4E00 + i) for i in range(1000)))
    lanes = Lanes(corpus, batch=3, window=7, seed=0)
    windows = [lanes.read(7 * k) for k in range(lanes.epoch_length // 7)]
    ids = np.concatenate([inputs for inputs, _, _ in windows])
    for lane in range(3):
        start = lane * len(corpus.training) // 3
        expected = corpus.training[start : start + len(ids)]
        assert np.array_equal(ids[:, lane], expected)
    assert [fresh for _, _, fresh in windows] == [True] + [False] * (len(windows) - 1)


def test_targets_are_the_inputs_shifted_by_one_across_windows_too():
    lanes = Lanes(corpus_of("abcdefghij" * 30), batch=2, window=5, seed=0)
    first, second = lanes.read(0), lanes.read(5)
    inputs = np.concatenate([first[0], second[0]])
    targets = np.concatenate([first[1], second[1]])
    assert np.array_equal(inputs[1:], targets[:-1])


def test_a_lane_reads_round_and_round():
    corpus = corpus_of("abcdefghij" * 30, val_fraction=0.0)
    lanes = Lanes(corpus, batch=1, window=300, seed=0)
    assert np.array_equal(lanes.read(300)[0], lanes.read(0)[0])
    assert lanes.read(0)[1][-1, 0] == lanes.read(0)[0][0, 0]


def test_validation_is_the_contiguous_end_and_never_trained_on():
    corpus = corpus_of("a" * 900 + "b" * 100)
    assert corpus.tokenizer.decode(corpus.training) == "a" * 900
    assert corpus.tokenizer.decode(corpus.validation) == "b" * 100


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram"])
def test_validation_is_the_same_text_whatever_the_tokenizer(kind):
    text = "".join(f"línea {i} — 日本語\n" for i in range(500))
    expected = text[int(len(text) * 0.9) :]
    corpus = corpus_of(text, kind=kind, vocab_size=400)
    validation = corpus.tokenizer.decode(corpus.validation)
    longest = 0 if kind == "byte" else 20  # a piece may lie across the border
    assert validation.endswith(expected)
    assert len(validation) - len(expected) <= longest


NAMES = [f"name {i}" for i in range(200)]


def test_documents_are_closed_by_the_end_symbol_and_never_cut_by_the_split():
    corpus = corpus_of("\n".join(NAMES), split_on="line")
    end = corpus.tokenizer.end_id
    assert corpus.training[-1] == end
    assert corpus.validation[-1] == end
    ids = np.concatenate([corpus.training, corpus.validation])
    read = [corpus.tokenizer.decode(part) for part in np.split(ids, np.flatnonzero(ids == end))]
    assert read == [*NAMES, ""]


def test_documents_are_dealt_anew_every_epoch_each_exactly_once():
    corpus = corpus_of("\n".join(NAMES), split_on="line", val_fraction=0.0)
    lanes = Lanes(corpus, batch=1, window=50, seed=3)
    epochs = []
    for epoch in range(2):
        ids, position = [], epoch * lanes.epoch_length
        while position < (epoch + 1) * lanes.epoch_length:
            inputs, _, fresh = lanes.read(position)
            assert fresh == (position % lanes.epoch_length == 0)
            ids.append(inputs[:, 0])
            position += len(inputs)
        ids = np.concatenate(ids)
        ends = np.flatnonzero(ids == corpus.tokenizer.end_id) + 1
        epochs.append([corpus.tokenizer.decode(part) for part in np.split(ids, ends)][:-1])
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(NAMES)
    assert epochs[0] != epochs[1] != NAMES


def test_reading_is_a_pure_function_of_the_position():
    corpus = corpus_of("\n".join(NAMES), split_on="line")
    here, there = (Lanes(corpus, 4, 16, seed=1) for _ in range(2))
    for position in (0, 16, 32):
        here.read(position)
    assert np.array_equal(here.read(160)[0], there.read(160)[0])


@pytest.mark.parametrize("text", ["", "a", "abc" * 20])
def test_a_text_too_short_to_learn_from_is_an_error_with_the_numbers(text):
    with pytest.raises(ChargenError, match=r"empty|too short to learn from: .* at least 64"):
        corpus_of(text)


def test_a_text_of_one_letter_is_a_corpus():
    assert len(corpus_of("a" * 10_000).training) == 9000


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
