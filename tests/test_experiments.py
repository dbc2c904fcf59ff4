"""Models that are trained side by side have the same data or shares of it, and the same beginning."""

import time
from collections import Counter

import numpy as np
import pytest
import torch

from chargen import ChargenError, ClassScore, Labelled, Text, TextClassifier
from chargen.data.corpus import prepare
from chargen.experiments import (
    compare_classifiers,
    compare_generators,
    learning_curve,
    more_texts_help,
)
from chargen.model import Classifier, LanguageModel
from chargen.shapes import ModelConfig

MINUTES = 0.01


@pytest.fixture
def corpus(verse):
    return prepare(Text.from_string(verse))


@pytest.fixture
def shapes(corpus):
    return {cell: ModelConfig(len(corpus.tokenizer), cell, 1, 8, 8) for cell in ("rnn", "gru", "lstm")}


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("text,label\n" + "fine day,pos\nbad day,neg\n" * 30)
    return Labelled.open(str(path))


def is_fresh(model, config, kind):
    expected = kind.new(config, 3).state_dict()
    return all(torch.equal(expected[name], value) for name, value in model.state_dict().items())


@pytest.mark.slow
def test_each_generator_begins_fresh_and_trains_to_the_end_of_its_budget(corpus, shapes):
    names = []
    for name, writer, steps in compare_generators(corpus, shapes, minutes=MINUTES, seed=3):
        assert writer.model.config == shapes[name]
        assert is_fresh(writer.model, shapes[name], LanguageModel)
        *_, last = steps
        assert last.finished
        assert last.val_bits_per_character > 0
        assert not is_fresh(writer.model, shapes[name], LanguageModel)
        names.append(name)
    assert names == list(shapes)


def test_a_loop_that_is_left_ends_its_training_at_once(corpus, shapes):
    began, names = time.monotonic(), []
    for name, _, steps in compare_generators(corpus, shapes, minutes=60):
        next(steps)
        names.append(name)
    assert names == list(shapes)
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_each_classifier_begins_fresh_and_is_scored_on_the_same_texts(data):
    first = TextClassifier.new(data, hidden_size=8, num_layers=1)
    shapes = {"a": first.model.config, "b": TextClassifier.new(data, hidden_size=4).model.config}
    judged = []
    for name, reader, steps in compare_classifiers(
        data, first.tokenizer, shapes, minutes=MINUTES, seed=3, max_length=5
    ):
        assert is_fresh(reader.model, shapes[name], Classifier)
        assert reader.classes == data.classes
        assert reader.record.max_length == 5
        *_, last = steps
        assert last.finished
        judged.append(last.score.labels.tolist())
    assert len(judged) == 2
    assert judged[0] == judged[1]


def make(part):
    return TextClassifier.new(part, hidden_size=8, num_layers=1)


def test_the_shares_of_a_learning_curve_are_nested_stratified_and_scored_on_the_same_texts():
    texts = [f"text {number}" for number in range(201)]
    data = Labelled(texts, ["a"] * 100 + ["b"] * 100 + ["rare"])
    parts, judged = [], []
    for part, reader, steps in learning_curve(data, make, epochs=1, seed=3):
        *_, last = steps
        assert last.finished
        assert reader.classes == ["a", "b", "rare"]
        parts.append(set(part.texts))
        judged.append(last.score.labels.tolist())
        counts = Counter(part.labels)
        assert counts["a"] == counts["b"]
        assert counts["rare"] == 1
    assert [len(part) for part in parts] == [9 + 9 + 1, 27 + 27 + 1, 90 + 90 + 1]
    assert parts[0] < parts[1] < parts[2]
    assert judged[0] == judged[1] == judged[2]
    assert len(judged[0]) == 20
    _, held_out = data.split(0.1, seed=3)
    assert not parts[2] & set(held_out.texts)


def test_a_learning_curve_takes_other_shares_and_texts_to_validate_on(data):
    other = Labelled(["fine night", "bad night"], ["pos", "neg"])
    sizes = []
    for part, _, steps in learning_curve(data, make, other, shares=[0.5, 1], epochs=0.5):
        *_, last = steps
        sizes.append((len(part), len(last.score.labels)))
    assert sizes == [(30, 2), (60, 2)]
    for share in (0, 1.5):
        with pytest.raises(ChargenError, match="a share must be"):
            list(learning_curve(data, make, shares=[share]))
    with pytest.raises(ChargenError, match="validation holds no texts"):
        list(learning_curve(data, make, val_fraction=0))


def score_of(right, count=1000):
    """A score of `count` texts, of which the first `right` are classified correctly."""
    labels = np.where(np.arange(count) < right, 0, 1)
    return ClassScore(np.tile([0.9, 0.1], (count, 1)), labels, ["a", "b"])


def changed(score, lost, won):
    """The score of another classifier: `lost` right answers are wrong, and `won` wrong ones right."""
    right = score.predictions == score.labels
    probabilities = score.probabilities.copy()
    for index in [*np.flatnonzero(right)[:lost], *np.flatnonzero(~right)[:won]]:
        probabilities[index] = probabilities[index][::-1]
    return ClassScore(probabilities, score.labels, score.classes)


def test_more_texts_help_where_the_gain_is_larger_than_chance():
    score = score_of(800)
    assert more_texts_help(score, changed(score, 0, 30)) is True
    assert more_texts_help(score, changed(score, 100, 105)) is False
    assert more_texts_help(score, changed(score, 190, 200)) is None  # 1 point, give or take 4
    assert more_texts_help(score, score) is False
    few = score_of(16, 20)
    assert more_texts_help(few, changed(few, 1, 2)) is None
    other = score_of(900, 1100)  # of other texts
    assert more_texts_help(score_of(500), other) is True
