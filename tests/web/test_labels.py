"""Errors in the words of the page."""

import pytest

from chargen.errors import ChargenError
from chargen.web.labels import LABELS, error_text


def test_a_hint_names_the_label_of_what_it_would_change():
    error = ChargenError("the text is short", "take fewer {minutes}")
    assert error_text(error) == "the text is short; take fewer “Minutes”"


def test_a_hint_that_names_what_the_page_lacks_is_left_out():
    error = ChargenError("the text is short", "take a smaller {hidden_size}")
    assert error_text(error) == "the text is short"


@pytest.mark.slow
def test_every_label_is_on_the_page(client):
    labels = {part["props"].get("label") for part in client.config["components"]}
    assert set(LABELS.values()) <= labels
