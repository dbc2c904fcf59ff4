"""Measurements in words and colours."""

import numpy as np

from chargen.rendering import colouring, describe


def test_gates_are_coloured_from_shut_to_open():
    glyphs = describe.state_glyphs("ab", np.array([0.0, 1.0], np.float32), "forget")
    assert [glyph.strength for glyph in glyphs] == [-1.0, 1.0]
    assert glyphs[1].tooltip == "+1.000"


def test_the_page_holds_the_score_and_the_worst_spots(poet):
    found = poet.surprise("a bird sengs")
    page = colouring.page(
        "T", describe.summary_html(found, 3), map(describe.surprise_glyph, found.characters())
    )
    assert f"{found.bits_per_character:.3f}" in page
    assert page.count("<tr>") == 4
    assert "http" not in page
