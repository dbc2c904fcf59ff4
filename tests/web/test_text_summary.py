"""What is in a training text: the same counts here and in the browser, and true ones."""

import json

import pytest

from chargen.web.text_summary import Counts


def test_w25_two_thousand_names_are_two_thousand_lines():
    names = "anna\n" * 2000
    assert Counts.of(names).lines == Counts.of(names.rstrip("\n")).lines == 2000
    assert Counts.of("").lines == 0
    assert Counts.of("\n").lines == 1
    assert "lines <b>2,000</b>" in Counts.of(names).html()


def test_w23_what_the_browser_has_counted_is_shown_like_what_is_counted_here():
    sent = {
        **{"characters": 10, "stripped": 8, "newlines": 2, "ends_with_newline": True},
        **{"different": 5, "frequent": ["<", "a"], "letters": 6, "control": 1, "lost": 1},
    }
    counts = Counts.from_json(json.dumps(sent))
    assert counts == Counts(10, 8, 2, 5, ("<", "a"), 6, 1, 1)
    assert "&lt; a" in counts.html()
    for warning in ("Too short", "control characters", "were lost before"):
        assert warning in counts.html()


@pytest.mark.parametrize("value", [None, "", "x", "[]", "{}", '{"characters": "many"}', "[" * 100_000])
def test_w3_whatever_else_is_sent_counts_nothing(value):
    assert Counts.from_json(value) is None
