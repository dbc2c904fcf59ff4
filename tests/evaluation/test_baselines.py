"""The baselines are what they say."""

import lzma

import numpy as np
import pytest

from chargen.evaluation.baselines import ngram_bits, xz_bits


def test_a_unigram_model_trusts_what_it_counted():
    training = np.array([0, 0, 0, 1], np.uint8)
    # Witten and Bell: (count + distinct / V) / (total + distinct), with V = 4.
    expected = -np.log2((3 + 2 / 4) / 6) - np.log2((0 + 2 / 4) / 6)
    assert ngram_bits(training, np.array([1, 0, 3], np.uint8), 4, 1) == pytest.approx(expected)


def test_a_bigram_model_mixes_in_the_unigram():
    training = np.array([0, 1, 0, 1, 0, 2], np.uint8)
    unigram = (2 + 3 / 3) / (6 + 3)  # of id 1
    expected = -np.log2((2 + 2 * unigram) / (3 + 2))  # after id 0
    assert ngram_bits(training, np.array([0, 1], np.uint8), 3, 2) == pytest.approx(expected)


def test_probabilities_add_up_to_one_after_any_context():
    rng = np.random.default_rng(0)
    training = rng.integers(0, 5, 300).astype(np.uint8)
    for context in ([0, 1, 2], [4, 4, 4]):
        bits = [ngram_bits(training, np.array([*context, k], np.uint8), 5, 3) for k in range(5)]
        before = ngram_bits(training, np.array(context, np.uint8), 5, 3)
        assert sum(2.0 ** -(b - before) for b in bits) == pytest.approx(1)


def test_a_longer_memory_helps_where_the_text_has_one():
    training = np.tile(np.array([0, 1, 2, 0, 2, 1], np.uint8), 200)
    scores = [ngram_bits(training, training[:100], 3, order) for order in (1, 2, 5)]
    assert scores[0] > scores[1] > scores[2]


def test_a_vocabulary_too_large_for_long_codes_lowers_the_order():
    training = np.arange(1000, dtype=np.uint16)
    assert ngram_bits(training, training[:10], 60_000, 5) > 0


def test_xz_is_xz():
    assert xz_bits("abc" * 1000) == 8 * len(lzma.compress(b"abc" * 1000))
