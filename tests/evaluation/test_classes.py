"""The scores of a classifier, by hand."""

import math

import numpy as np
import pytest
import torch

from chargen.data.batches import Texts
from chargen.errors import ChargenError
from chargen.evaluation.classes import ClassScore, answer, evaluate
from chargen.model import Classifier
from chargen.shapes import ClassifierConfig


def test_the_measures_by_hand():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.1, 0.7, 0.2]])
    score = ClassScore(probabilities, np.array([0, 1, 1, 2]), ["a", "b", "c"])
    assert score.accuracy == 0.5
    assert score.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert score.per_class[:, 0].tolist() == [0.5, 0.5, 0]
    assert score.per_class[:, 1].tolist() == [1, 0.5, 0]
    assert score.macro_f1 == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    assert score.nats == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.2]).mean())
    gaps = [0.1, 0.6, 0.2, 0.7]  # each text has a bin of its own: 0.9, 0.6, 0.8, 0.7
    assert score.calibration_error == pytest.approx(sum(gaps) / 4)


def test_a_label_without_a_class_counts_as_wrong_and_nothing_divides_by_zero():
    score = ClassScore(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([-1, 0]), ["a", "b"])
    assert score.accuracy == 0.5
    assert score.confusion.sum() == 1
    assert score.nats == 0
    nothing = ClassScore(np.array([[1.0, 0.0]]), np.array([-1]), ["a", "b"])
    assert nothing.macro_f1 == 0
    assert math.isnan(nothing.nats)


def test_texts_below_the_threshold_get_no_answer():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]])
    score = ClassScore(probabilities, np.array([0, 1, 1, 0]), ["a", "b"])
    assert score.answered(0) == (1, score.accuracy)
    assert score.answered(0.6) == (0.75, pytest.approx(2 / 3))
    assert score.answered(0.7) == (0.5, 1)
    share, accuracy = score.answered(1)
    assert share == 0
    assert math.isnan(accuracy)
    answers = [answer({"a": a, "b": b}, 0.7) for a, b in probabilities[:2]]
    assert answers == ["a", None]
    assert answer({"a": 0.6, "b": 0.4}, 0.6) == answer({"a": 0.6, "b": 0.4}, 0) == "a"
    assert answer({}, 0) is None  # a text without a verdict
    with pytest.raises(ChargenError, match="at_least must be 0 or more and at most 1, got 60"):
        answer({"a": 1.0}, 60)
    with pytest.raises(ChargenError, match="at_least must be"):
        score.answered(-0.1)


def test_evaluation_does_not_depend_on_the_order():
    model = Classifier.new(
        ClassifierConfig(11, num_layers=2, hidden_size=8, embedding_size=5, classes=3), seed=0
    )
    with torch.no_grad():  # a fresh head says the same of everything
        for weight in model.head.parameters():
            weight.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 11, rng.integers(1, 12)).astype(np.uint8) for _ in range(150)]
    texts = Texts.concatenate(parts, [int(part[0]) % 3 for part in parts])
    whole = evaluate(model, texts, ["a", "b", "c"]).probabilities
    places = np.random.default_rng(0).permutation(150)
    assert np.allclose(evaluate(model, texts, ["a", "b", "c"], places).probabilities, whole[places])
