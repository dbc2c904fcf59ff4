"""Accuracy by length of text, and what is cut out of texts, by hand."""

import numpy as np
import pytest

from chargen import ClassScore, Labelled
from chargen.evaluation.lengths import LengthBin, by_length, crops


def test_the_bins_by_hand():
    texts = ["", "one", "two words", "a b c", "a b c d e", "a b c d e f", "w " * 51, "w " * 500]
    right = [0, 1, 1, 1, 0, 0, 1, 0]  # the label of a text that is wrong is b
    score = ClassScore(np.array([[0.9, 0.1]] * 8), 1 - np.array(right), ["a", "b"])
    assert by_length(score, texts) == [
        LengthBin("0", 1, 0.0),
        LengthBin("1", 1, 1.0),
        LengthBin("2", 1, 1.0),
        LengthBin("3-5", 2, 0.5),
        LengthBin("6-10", 1, 0.0),
        LengthBin("51+", 2, 0.5),
    ]


def test_the_bins_together_are_the_whole():
    rng = np.random.default_rng(0)
    texts = ["w " * count for count in rng.integers(0, 80, 300)]
    score = ClassScore(rng.dirichlet([1, 1, 1], 300), rng.integers(-1, 3, 300), ["a", "b", "c"])
    bins = by_length(score, texts)
    assert sum(one.texts for one in bins) == 300
    assert sum(one.texts * one.accuracy for one in bins) / 300 == pytest.approx(score.accuracy)


def test_the_crops_are_of_letters_and_each_occurs_once_for_a_label():
    data = Labelled(
        ["«Wo ist» das Haus?", "wo ist das 3-mal l'eau", "Haus, हिन्दी है", "Haus", ""],
        ["x", "x", "x", "y", "y"],
    )
    pairs, words = crops(data)
    assert list(zip(pairs.texts, pairs.labels, strict=True)) == [
        ("Wo ist", "x"),
        ("ist das", "x"),
        ("das Haus", "x"),
        ("wo ist", "x"),
        ("Haus हिन्दी", "x"),
        ("हिन्दी है", "x"),
    ]
    # Four letters or more, without the marks: हिन्दी has three letters, and vowel signs.
    assert list(zip(words.texts, words.labels, strict=True)) == [("Haus", "x"), ("Haus", "y")]
    assert pairs.notes == words.notes == []


def test_many_crops_are_thinned_evenly_and_that_is_said():
    data = Labelled([chr(ord("a") + i) * 5 for i in range(26)], ["x"] * 13 + ["y"] * 13)
    _, words = crops(data, most=4)
    assert words.texts == ["aaaaa", "ggggg", "nnnnn", "ttttt"]
    assert words.labels == ["x", "x", "y", "y"]
    assert words.notes == ["measured on 4 of 26 words"]


def test_texts_without_words_give_no_crops():
    pairs, words = crops(Labelled(["1 2 3", "..."], ["x", "y"]))
    assert len(pairs) == len(words) == 0
