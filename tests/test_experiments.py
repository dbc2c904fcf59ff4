"""Shapes that are trained side by side have the same data, the same time and the same beginning."""

import time

import pytest
import torch

from chargen import Labelled, Text, TextClassifier
from chargen.data.corpus import prepare
from chargen.experiments import compare_classifiers, compare_generators
from chargen.model import Classifier, LanguageModel, ModelConfig

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
