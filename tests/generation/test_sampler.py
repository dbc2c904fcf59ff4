"""Exact distributions of the sampler, and draws that follow them."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargen import ChargenError, Sampler

LOGITS = np.log(np.array([0.6, 1e-9, 0.1, 0.3], np.float32))


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (Sampler(1.0), [0.6, 0, 0.1, 0.3]),
        (Sampler(0.5), [0.36 / 0.46, 0, 0.01 / 0.46, 0.09 / 0.46]),
        (Sampler(0.0), [1, 0, 0, 0]),
        (Sampler(1.0, top_k=1), [1, 0, 0, 0]),
        (Sampler(1.0, top_k=2), [2 / 3, 0, 0, 1 / 3]),
        (Sampler(1.0, top_k=99), [0.6, 0, 0.1, 0.3]),
        (Sampler(1.0, top_p=0.5), [1, 0, 0, 0]),
        (Sampler(1.0, top_p=0.89), [2 / 3, 0, 0, 1 / 3]),
        (Sampler(1.0, top_p=1.0), [0.6, 0, 0.1, 0.3]),
        (Sampler(1.0, min_p=0.4), [2 / 3, 0, 0, 1 / 3]),
        (Sampler(1.0, min_p=1.0), [1, 0, 0, 0]),
        (Sampler(1.0, min_p=0.0), [0.6, 0, 0.1, 0.3]),
        (Sampler(1e-12), [1, 0, 0, 0]),
        (Sampler(1e12), [0.25] * 4),
    ],
)
def test_probabilities_are_exact_for_one_row_and_for_several(sampler, expected):
    assert np.allclose(sampler.probabilities(LOGITS), expected, atol=1e-6)
    columns = np.stack([LOGITS, LOGITS[::-1]], axis=1)
    both = sampler.probabilities(columns)
    assert np.allclose(both, np.stack([expected, expected[::-1]], axis=1), atol=1e-6)


def test_top_k_keeps_exactly_k_of_tied_logits():
    kept = Sampler(1.0, top_k=2).probabilities(np.zeros(4, np.float32))
    assert (kept > 0).sum() == 2


@pytest.mark.parametrize(
    "sampler", [Sampler(1.0), Sampler(0.7, top_k=3), Sampler(1.3, top_p=0.9), Sampler(1, min_p=0.2)]
)
def test_draws_follow_the_probabilities(sampler):
    draws = 40_000
    noise = sampler.gumbel_noise(np.random.default_rng(0), (4, draws))
    ids = sampler.choose(np.repeat(LOGITS[:, None], draws, axis=1), noise)
    frequencies = np.bincount(ids, minlength=4) / draws
    # Five standard deviations of a frequency: a false alarm comes once in a million.
    assert np.allclose(frequencies, sampler.probabilities(LOGITS), atol=5 * 0.5 / draws**0.5)


@given(
    logits=st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=20),
    temperature=st.floats(0, 1e9),
    top_k=st.none() | st.integers(1, 50),
    top_p=st.none() | st.floats(0, 1, exclude_min=True),
    min_p=st.none() | st.floats(0, 1),
    seed=st.integers(0, 1000),
)
# At this temperature, single precision takes logits for equal that are not.
@example([0.0, 0.0, 0.0, -1.0, -7.049231924785992e-41, 0.0], 100611.0, None, 0.625, None, 0)
def test_no_setting_draws_an_id_without_probability(logits, temperature, top_k, top_p, min_p, seed):
    row = np.array(logits, np.float32)
    sampler = Sampler(temperature, top_k, top_p, min_p)
    token = sampler.choose(row, sampler.gumbel_noise(np.random.default_rng(seed), row.shape))
    probabilities = sampler.probabilities(row)
    assert abs(probabilities.sum() - 1) < 1e-9
    assert (probabilities > 0).sum() <= (top_k or len(row))
    assert probabilities[token] > 0 or sampler.inverse_temperature > 1e6  # underflow, not exclusion


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_p", float("nan")),
        ("min_p", -0.1),
        ("min_p", float("nan")),
    ],
)
def test_a_value_outside_its_range_is_an_error_that_shows_it(field, value):
    with pytest.raises(ChargenError, match=f"{field.replace('_', '-')} must be .*{value!r}"):
        Sampler(**{field: value})
