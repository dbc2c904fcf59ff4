"""Measurements of a model in words and colours, the same for the terminal and for pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chargen.inspection.copies import Report
from chargen.inspection.states import Array
from chargen.inspection.surprise import Character, Spot, Surprise
from chargen.rendering.colouring import PICTURES, Glyph, escape_html, visible

LEAST = 0.005  # probability below which a character is not listed as expected
MOST_BITS = 10.0  # surprise that has the full colour: a probability of one in a thousand


def surprise_glyph(character: Character) -> Glyph:
    """Returns a character whose colour grows with its surprise, from half a bit on."""
    if character.bits is None:
        return Glyph(character.text, 0.0, "no context precedes it")
    strength = max(0.0, character.bits - 0.5) / (MOST_BITS - 0.5)
    rows = [
        f"{_quoted(character.text)}  {character.bits:.2f} bits",
        *(f"{_quoted(text)}  {chance:.1%}" for text, chance in character.expected.items()),
    ]
    return Glyph(character.text, min(1.0, strength), "\n".join(rows))


def spot_line(spot: Spot) -> str:
    """Returns one line about a spot: its bits, position, context, text and what was expected."""
    character = spot.character
    before = spot.before.translate(PICTURES).replace("\t", "⇥")
    return (
        f"{character.bits or 0:5.1f} bits  {f'{spot.line}:{spot.column}':8}  {before:>24}▸"
        f"{_quoted(character.text)}  expected {', '.join(_alternatives(character, _quoted)[:3])}"
    )


def summary_html(surprise: Surprise, count: int) -> str:
    """Returns the score and the `count` worst spots in HTML."""
    return (
        f"<p><b>{surprise.bits_per_character:.3f}</b> bits per character. The redder a character, the "
        "less it was expected; point at one to see what was.</p>"
        f"<details><summary>The worst spots</summary>{spots_html(surprise, count)}</details>"
    )


def spots_html(surprise: Surprise, count: int) -> str:
    """Returns the `count` worst spots as a table in HTML."""
    rows = "".join(
        f"<tr><td>{spot.character.bits or 0:.1f}</td><td>{spot.line}:{spot.column}</td>"
        f"<td><code>{escape_html(spot.before[-12:])}<b>{escape_html(_sign(spot.character.text))}</b>"
        f"</code></td><td>{escape_html(', '.join(_alternatives(spot.character, _sign)[:3]))}</td></tr>"
        for spot in surprise.worst(count)
    )
    head = "<tr><th>bits</th><th>line</th><th>where</th><th>expected</th></tr>"
    return (
        '<div class="scroll" tabindex="0" role="group" aria-label="Spots">'
        f'<table class="spots">{head}{rows}</table></div>'
    )


def copy_glyphs(report: Report) -> list[Glyph]:
    """Returns a text whose copied passages are coloured, longer ones more strongly."""
    glyphs, done = [], 0
    for passage in report.passages:
        end = passage.start + passage.length
        if end <= done:
            continue
        start = max(done, passage.start)
        glyphs += [Glyph(character) for character in report.text[done:start]]
        tooltip = f"{passage.length:,} characters from line {passage.line:,} of the corpus"
        strength = min(1.0, 0.3 + passage.length / (10 * report.least))
        glyphs += [Glyph(character, -strength, tooltip) for character in report.text[start:end]]
        done = end
    return glyphs + [Glyph(character) for character in report.text[done:]]


def _alternatives(character: Character, show: Callable[[str], str]) -> list[str]:
    """Returns what was expected instead, likeliest first."""
    return [
        f"{show(text)} {chance:.0%}"
        for text, chance in character.expected.items()
        if text != character.text and chance >= LEAST
    ]


def _sign(text: str) -> str:
    """Returns a piece unchanged, or the sign that stands for white space."""
    return visible(text).split()[0] if not text.strip() else text


def _quoted(text: str) -> str:
    """Returns a piece in quotation marks, or white space by sign and name."""
    return visible(text) if text in ("\n", "\t", " ", "") else f"“{text}”"


def state_glyphs(pieces: Sequence[str], values: Array, kind: str) -> list[Glyph]:
    """Returns the `pieces` (T) of a text coloured by the values (T,) of one component or gate.

    The colours of a gate run from shut to open, those of a state from negative to positive. All are
    scaled so that the strongest one is full.
    """
    if kind == "cell":
        strengths = np.tanh(values)  # the part of a cell that its layer passes on
    elif kind in ("hidden", "candidate"):
        strengths = values
    else:
        strengths = 2 * values - 1
    largest = max(1e-6, float(np.abs(strengths).max()))
    return [
        Glyph(piece, float(strength) / largest, f"{value:+.3f}")
        for piece, strength, value in zip(pieces, strengths, values, strict=True)
    ]


def more_texts(helps: bool | None, held_out: int, share: float, gain: float) -> str:
    """Returns what a learning curve says, from a share of the texts to all of them, in one line.

    Args:
        helps: see `experiments.more_texts_help`.
        held_out: texts that the accuracies were measured on.
        share: the largest that is smaller than all.
        gain: of accuracy, from there to all of them.
    """
    verdict = {
        True: "more texts would help",
        False: "more texts would hardly help",
        None: f"whether more texts would help cannot be told from {held_out:,} held-out texts",
    }[helps]
    return f"{verdict}: from {share:.0%} to all of them, accuracy changed by {100 * gain:+.1f} points"
