"""The share of the held-out text that also stands in the training part."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen import Copies, Text
from chargen.data.corpus import prepare
from chargen.evaluation.overlap import CHARACTERS, repeated_share


def prose(count, seed):
    """Random words: no passage of any length comes twice."""
    rng = random.Random(seed)
    return "".join(rng.choices("abcdefghijklmnop ", k=count))


def share(training, validation, **options):
    text = training + validation
    fraction = len(validation) / len(text)
    return repeated_share(prepare(Text.from_string(text), val_fraction=fraction, **options))


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_n9_a_text_that_repeats_is_known_and_one_that_does_not_is_not(kind):
    training = prose(5000, 0)
    options = {"kind": kind, "vocab_size": 300}
    assert share(training, prose(1000, 1), **options) == 0
    assert share(training, training[1000:2000], **options) > 0.9
    half = training[1000:1500] + prose(500, 2)
    assert share(training, half, **options) == pytest.approx(0.5, abs=0.1)


@settings(deadline=None)  # building the index takes its time on a busy machine
@given(seed=st.integers(0, 1000), length=st.integers(CHARACTERS - 2, CHARACTERS + 20))
def test_n9_the_share_is_that_of_the_copies_of_so_many_characters(seed, length):
    training, start = prose(1500, seed), seed
    held_out = prose(200, seed + 1) + training[start : start + length] + prose(200, seed + 2)
    expected = Copies.of(training).report(held_out, CHARACTERS).share
    assert share(training, held_out) == pytest.approx(expected, abs=0.01)


def test_n9_what_is_too_short_has_no_share():
    assert share(prose(500, 0), "abc") == 0
    assert share(prose(500, 0), "") == 0
