"""Coloured text stays the text, in a terminal, on a page and in a picture."""

import pytest

from chargen.rendering import colouring
from chargen.rendering.colouring import Glyph


def test_the_text_content_of_a_page_is_the_text():
    text = "<b>a\tb</b>\n${x}"
    spans = colouring.spans(Glyph(character, 0.5, "<told>") for character in text)
    assert "<b>" not in spans
    assert "${" not in spans
    assert "&lt;told&gt;" in spans
    assert 'class="nl"' in spans
    assert 'class="tab"' in spans


def test_what_is_one_character_to_a_reader_stays_whole():
    family, flags, accent = "👩‍👩‍👧", "🇩🇪🇫🇷", "e\u0301"
    pieces = list(colouring.clusters(Glyph(c, 0.1 * i) for i, c in enumerate(family + flags + accent)))
    assert [piece.text for piece in pieces] == [family, flags[:2], flags[2:], accent]
    assert pieces[0].strength == pytest.approx(0.4)
    svg = colouring.svg([*pieces, Glyph("<", 1.0), Glyph("\n"), Glyph("")], "a & b")
    assert "&lt;" in svg
    assert "a &amp; b" in svg


def test_a_control_character_does_not_reach_the_terminal():
    assert "\x07" not in colouring.terminal([Glyph("\x07", 0.9)])
    assert colouring.terminal([Glyph("\n", 0.9)]).startswith("\x1b[38;5;16;48;5;196m↵\x1b[0m")
