"""The draft of the tab to write with, as it travels between the browser and the page."""

import json

import pytest

from chargen.web.tabs.draft import Draft


def test_a_draft_comes_back_from_the_browser():
    draft = Draft("The ", ("one", "two"), ("text 1", "text 2"), 7, chosen=1, model="verse")
    assert Draft.from_json(draft.to_json()) == draft
    assert draft.text == "The two"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "no JSON",
        "[]",
        "7",
        "[" * 100_000,
        json.dumps({"texts": ["a"], "chosen": 5}),
        json.dumps({"texts": ["a"], "chosen": -1}),
        json.dumps({"texts": ["a", "b"], "titles": ["x"]}),
        json.dumps({"texts": 3}),
        '{"texts": ["a"], "chosen": 1e999}',
    ],
)
def test_w3_whatever_else_is_sent_is_an_empty_draft(value):
    assert Draft.from_json(value) == Draft()
