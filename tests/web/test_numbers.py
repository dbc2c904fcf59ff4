"""Row W3: each number of a request is checked by one rule, and the refusal is one sentence."""

import math

import pytest

from chargen.errors import ChargenError
from chargen.web.numbers import integer, number, typed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "empty or no number"),
        ("", "empty or no number"),
        ("many", "'many'"),
        (True, "True"),
        (-3, "-3"),
        (10**400, "far too large"),
        (-(10**5000), "far too large"),
        (math.inf, "inf"),
        (math.nan, "nan"),
        ([1], "[1]"),
        ("x" * 1_000_000, "'" + "x" * 39 + "…"),
    ],
    ids=lambda value: "" if isinstance(value, int) else None,  # Python prints no 5,000 digits
)
def test_w3_what_is_no_number_in_the_range_is_refused_with_its_value(value, shown):
    for check, kind in ((integer, "a whole number"), (number, "a number")):
        with pytest.raises(ChargenError) as refused:
            check(value, "Minutes", 1, 1440)
        assert str(refused.value) == f"Minutes must be {kind} from 1 to 1,440; it is {shown}"


def test_w3_a_fraction_is_a_number_but_no_whole_one():
    assert number(1.5, "Minutes", 1, 2) == 1.5
    with pytest.raises(ChargenError, match=r"^Seed must be a whole number, at least 0; it is 1.5$"):
        integer(1.5, "Seed", 0)


def test_w3_both_bounds_are_allowed_and_a_whole_float_is_a_whole_number():
    assert [number(value, "x", 0.05, 2) for value in (0.05, 2)] == [0.05, 2.0]
    assert integer(3.0, "x", 3, 3) == 3
    assert isinstance(integer(3.0, "x"), int)
    with pytest.raises(ChargenError, match=r"^x must be a number, at most 0.05; it is 1$"):
        number(1, "x", high=0.05)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        (None, None),
        (" 7 ", 7),
        ("9007199254740993", 9007199254740993),
        ("1.5", 1.5),
        ("2,5", 2.5),
        ("1e400", math.inf),
        ("seven", "seven"),
    ],
)
def test_w25_what_is_typed_is_read_and_not_rounded(text, value):
    assert typed(text) == value
