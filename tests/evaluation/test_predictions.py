"""Predictions of many texts, as arrays."""

import numpy as np
import pytest

from chargen.data.encoding import Coverages
from chargen.evaluation import predictions
from chargen.evaluation.predictions import Predictions, predict_batches
from chargen.model import Classifier
from chargen.shapes import ClassifierConfig
from chargen.tokenizers.build import build_tokenizer


def of(probabilities, blank):
    zeros = np.zeros(len(blank), np.int64)
    coverages = Coverages(zeros > 0, zeros, zeros, np.array(blank))
    return Predictions(["x"] * len(blank), np.array(probabilities), ["a", "b", "c"], coverages)


def test_the_likeliest_class_comes_first_and_of_equal_ones_the_first():
    result = of([[0.2, 0.3, 0.5], [0.4, 0.2, 0.4], [0.0, 0.0, 0.0]], [False, False, True])
    order, probabilities = result.likeliest(2)
    assert order[:2].tolist() == [[2, 1], [0, 2]]
    assert probabilities.tolist() == [[0.5, 0.3], [0.4, 0.4], [0, 0]]
    assert result.likeliest(9)[0].shape == (3, 3)
    rows = list(result.by_class())
    assert [list(row.items()) for row in rows] == [
        [("c", 0.5), ("b", 0.3), ("a", 0.2)],
        [("a", 0.4), ("c", 0.4), ("b", 0.2)],
        [],
    ]
    assert all(type(value) is float for row in rows for value in row.values())
    assert repr(result) == "Predictions(3 texts, 3 classes)"


@pytest.mark.parametrize("probabilities", [12, 1 << 20])
def test_no_more_texts_are_taken_than_are_predicted(monkeypatch, probabilities):
    monkeypatch.setattr(predictions, "PROBABILITIES", probabilities)
    tokenizer, taken = build_tokenizer("char", ["abc"], 0, documents=True), []
    model = Classifier.new(ClassifierConfig(len(tokenizer), hidden_size=4, classes=3), seed=0)
    texts = (taken.append(text) or text for text in ["a", "", "bc", "ab", "?", "c", "ca"])
    sizes = []
    for result in predict_batches(model, None, tokenizer, ["a", "b", "c"], 9, texts, batch=5):
        sizes.append(len(result.texts))
        assert len(taken) == sum(sizes)
        assert (result.probabilities.sum(1) > 0).tolist() == [
            one not in ("", "?") for one in result.texts
        ]
    assert sizes == ([4, 3] if probabilities == 12 else [5, 2])
