"""Fitting a linear classifier, and its logits out of fold."""

import numpy as np
import pytest
import torch

from chargen.training.linear import FOLDS, best_scale, cross_fit


def moods(count=60):
    words = (("sea", "bird", "heart"), ("stone", "dust", "iron"))
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count)
    return [" ".join(rng.choice(words[label], 3)) for label in labels], labels


def test_it_learns_and_says_the_same_twice():
    texts, labels = moods()
    first, second = (cross_fit(texts, labels, np.arange(len(texts)), 2) for _ in range(2))
    assert (first.classifier.logits(texts).argmax(1).numpy() == labels).all()
    assert torch.equal(first.out_of_fold, second.out_of_fold)
    assert torch.equal(first.classifier.weights, second.classifier.weights)


def test_logits_out_of_fold_are_those_of_texts_that_were_not_seen():
    """Where the labels are random, a text that was fitted to is known, and others are not."""
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list("abcdefgh"), 12)) for _ in range(400)]
    labels = rng.integers(0, 2, len(texts))
    fit = cross_fit(texts, labels, np.arange(len(texts)), 2)
    assert (fit.classifier.logits(texts).argmax(1).numpy() == labels).mean() > 0.9
    assert (fit.out_of_fold.argmax(1).numpy() == labels).mean() < 0.65


def test_texts_of_one_source_are_in_one_fold():
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list("abcdefgh"), 12)) for _ in range(200)]
    labels = rng.integers(0, 2, len(texts))
    twice = np.concatenate([np.arange(200), np.arange(200)])
    fit = cross_fit(texts * 2, labels[twice], twice, 2)
    assert (fit.out_of_fold.argmax(1).numpy() == labels[twice]).mean() < 0.65


def test_of_many_characters_some_texts_are_drawn(monkeypatch):
    texts, labels = moods(600)
    monkeypatch.setattr("chargen.training.linear.MAX_CHARACTERS", 3000)
    fit = cross_fit(texts, labels, np.arange(len(texts)), 2)
    assert (fit.out_of_fold.argmax(1).numpy() == labels).mean() > 0.95


def test_the_most_frequent_ngrams_are_kept_where_they_are_too_many(monkeypatch):
    texts, labels = moods()
    monkeypatch.setattr("chargen.training.linear.MAX_WEIGHTS", 40)
    fit = cross_fit(texts, labels, np.arange(len(texts)), 2)
    assert len(fit.classifier.hashes) == 20
    assert (np.diff(fit.classifier.hashes.astype(object)) > 0).all()


def test_a_class_of_one_text_and_very_few_texts_do_no_harm():
    texts, labels = ["sea", "stone", "iron"], np.array([0, 1, 1])
    fit = cross_fit(texts, labels, np.arange(3), 2)
    assert fit.out_of_fold.isfinite().all()
    assert FOLDS == 3
    fit = cross_fit(["", "", "a"], labels, np.arange(3), 2)
    assert fit.classifier.logits(["", "b"]).isfinite().all()


def test_small_classes_weigh_more_with_a_power():
    texts = ["ab"] * 90 + ["ab"] * 10
    labels = np.array([0] * 90 + [1] * 10)
    plain, half, full = (
        cross_fit(texts, labels, np.arange(100), 2, power=power).classifier.logits(["ab"])[0]
        for power in (0.0, 0.5, 1.0)
    )
    assert plain[0] - plain[1] > half[0] - half[1] > full[0] - full[1]


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_the_best_scale_undoes_another_scale(factor):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(4000, 3)) * 2)
    cumulative = logits.softmax(-1).cumsum(-1).numpy()
    labels = (rng.random((4000, 1)) > cumulative).sum(1)
    assert best_scale(logits * factor, labels) == pytest.approx(1 / factor, rel=0.1)
