"""Texts that are read prefix by prefix get the logits that each gets alone."""

import numpy as np
import pytest
import torch

from chargen.data.batches import Texts
from chargen.evaluation import prefixes
from chargen.evaluation.classes import evaluate
from chargen.evaluation.prefixes import class_logits
from chargen.model import CELLS, Classifier
from chargen.shapes import POOLINGS, ClassifierConfig


def classifier(vocab_size=5, **shape):
    config = ClassifierConfig(vocab_size, hidden_size=8, embedding_size=5, classes=3, **shape)
    model = Classifier.new(config, seed=0)
    with torch.no_grad():  # a fresh head says the same of everything
        for name, weight in model.named_parameters():
            if name.startswith(("head", "attention")):
                weight.normal_(generator=torch.Generator().manual_seed(1))
    return model


def texts_of(parts, dtype=np.uint8):
    return Texts.concatenate([np.array(part, dtype) for part in parts], [0] * len(parts))


def random_texts(count, vocab_size=5, longest=9, dtype=np.uint8):
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, vocab_size, rng.integers(1, longest + 1)) for _ in range(count)]
    return texts_of([*parts, parts[0], [0] * 60], dtype)  # a text twice, and an outlier of length


@torch.no_grad()
def one_by_one(model, texts):
    return torch.cat([model(*texts.batch(np.array([i])))[0] for i in range(len(texts))])


@pytest.fixture
def always(monkeypatch):
    """Every text is read prefix by prefix, in several groups and several steps for each length."""
    monkeypatch.setattr(prefixes, "STEP_TOKENS", 0)
    monkeypatch.setattr(prefixes, "LANES", 7)
    monkeypatch.setattr(prefixes, "LEVEL_NUMBERS", 2000)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_prefix_by_prefix_gives_the_logits_of_each_text_alone(monkeypatch, cell, pooling):
    model, texts = classifier(cell=cell, pooling=pooling), random_texts(200)
    alone = one_by_one(model, texts)
    monkeypatch.setattr(model, "forward", None)  # no text is read whole
    with torch.no_grad():
        together = class_logits(model, texts, np.arange(len(texts)))
    assert np.allclose(together, alone, atol=1e-5)
    assert together.std(0).min() > 0.01


@pytest.mark.usefixtures("always")
def test_attention_scores_of_any_size_are_pooled(monkeypatch):
    model, texts = classifier(pooling="attention"), random_texts(50)
    with torch.no_grad():
        model.attention.weight *= 1000
        alone = one_by_one(model, texts)
        assert np.allclose(class_logits(model, texts, np.arange(len(texts))), alone, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("vocab_size", [3, 20_000])
def test_whichever_way_is_faster_gives_the_logits_of_each_text_alone(bidirectional, vocab_size):
    dtype = np.uint8 if vocab_size < 256 else np.uint16
    model = classifier(vocab_size, bidirectional=bidirectional)
    texts = random_texts(700, vocab_size, dtype=dtype)
    indices = np.random.default_rng(1).permutation(len(texts))[:650]
    with torch.no_grad():
        logits = class_logits(model, texts, indices)
    assert np.allclose(logits, one_by_one(model, texts)[indices], atol=1e-5)


@pytest.mark.usefixtures("always")
def test_each_prefix_is_read_once():
    a, n, e = range(3)
    texts = texts_of([[a, n, n, a], [a, n, n, e], [a, n, n], [a, n, n]])
    levels = prefixes._levels(texts, np.arange(4))
    assert [level.tokens.tolist() for level in levels] == [[a], [n], [n], [a, e]]
    assert [level.parents.tolist() for level in levels] == [[0], [0], [0], [0, 0]]
    assert [level.ended.tolist() for level in levels] == [[], [], [2, 3], [0, 1]]
    assert [level.prefixes.tolist() for level in levels] == [[], [], [0, 0], [0, 1]]


def test_texts_that_have_little_in_common_are_read_whole():
    different = texts_of(np.random.default_rng(0).integers(0, 256, (500, 20)))
    assert prefixes._levels(different, np.arange(500)) == []
    alike = texts_of(np.random.default_rng(0).integers(0, 2, (500, 7)))
    assert len(prefixes._levels(alike, np.arange(500))) == 7


def test_a_long_text_does_not_keep_short_ones_from_being_read_together():
    texts = texts_of([*np.random.default_rng(0).integers(0, 2, (500, 7)), [1] * 900])
    groups = list(prefixes._groups(classifier(2), texts, np.arange(501)))
    assert [len(group) for group in groups] == [500, 1]


def test_batches_are_of_similar_length_and_bounded():
    lengths = np.random.default_rng(0).integers(1, 1000, 3000)
    batches = list(prefixes._batches(lengths))
    assert sorted(np.concatenate(batches)) == list(range(3000))
    assert np.array_equal(lengths[np.concatenate(batches)], np.sort(lengths))
    for batch in batches:
        padded = len(batch) * lengths[batch].max()
        assert len(batch) <= prefixes.FEWEST or padded <= prefixes.BATCH_TOKENS
    assert max(map(len, batches)) > prefixes.FEWEST


def test_no_texts_have_no_logits():
    assert class_logits(classifier(), random_texts(3), np.zeros(0, np.int64)).shape == (0, 3)


def test_training_goes_on_as_if_nothing_had_been_evaluated():
    model, texts = classifier(), random_texts(500)
    score = evaluate(model, texts, ["a", "b", "c"])
    assert score.probabilities.sum(1) == pytest.approx(1)
    assert all(weight.grad is None for weight in model.parameters())
