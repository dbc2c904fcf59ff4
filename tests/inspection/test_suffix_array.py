"""A suffix array finds every pattern, in sequences of one and of two bytes per symbol."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.inspection.suffix_array import SuffixArray, sort_suffixes


def indexed(symbols, dtype=np.uint8):
    ids = np.array(symbols, dtype)
    return SuffixArray(ids, sort_suffixes(ids))


def test_banana_by_hand():
    index = indexed(list(b"banana"))
    assert index.suffixes.tolist() == [5, 3, 1, 0, 4, 2]
    assert index.ranks(b"an") == (1, 3)
    assert index.find(b"an") == (2, 1)
    assert index.find(b"nab") == (0, -1)
    assert index.contains(b"nana")
    assert not index.contains(b"nanan")
    query = np.frombuffer(b"xanax", np.uint8)
    assert list(index.matches(query, 2)) == [(1, 3)]
    assert index.match_starts(query, 2).tolist() == [1, 2]
    assert index.match_length(query[1:], 1) == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@given(
    sequence=st.lists(st.sampled_from([0, 1, 255]), min_size=1, max_size=40),
    pattern=st.lists(st.sampled_from([0, 1, 255]), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_suffixes_are_sorted_and_patterns_are_counted(dtype, sequence, pattern):
    wide = 300 if dtype == np.uint16 else 0  # symbols whose higher byte is not 0
    sequence, pattern = ([s + wide * (s == 1) for s in part] for part in (sequence, pattern))
    index = indexed(sequence, dtype)
    suffixes = [sequence[start:] for start in index.suffixes.tolist()]
    assert suffixes == sorted(sequence[start:] for start in range(len(sequence)))
    starts = [s for s in range(len(sequence)) if sequence[s : s + len(pattern)] == pattern]
    found = index.find(index.pattern(np.array(pattern, dtype)))
    assert found == (len(starts), starts[0] if starts else -1)


def test_an_empty_sequence_contains_nothing():
    index = indexed([])
    assert len(index) == 0
    assert not index.contains(b"a")
    assert list(index.matches(np.array([1, 2], np.uint8), 1)) == []
