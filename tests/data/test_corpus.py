"""How a stream of ids becomes lanes and windows."""

import numpy as np
import pytest

from chargen import ChargenError, Text
from chargen.data.corpus import Lanes, prepare


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
    assert sorted(read) == sorted([*NAMES, ""])


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
