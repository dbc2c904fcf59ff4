"""What was found inside of a model, in words and colours, the same for the terminal and for pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chargen.inspection.copies import Report
from chargen.inspection.states import Array
from chargen.inspection.surprise import Character, Spot, Surprise
from chargen.rendering.colouring import PICTURES, Glyph, named, safe

LEAST = 0.005  # a probability from which on something is said to have been expected
MOST_BITS = 10.0  # from which on a surprise has its full colour: one in a thousand


def surprised(character: Character) -> Glyph:
    """A character, the stronger coloured the less it was expected; certain ones not at all."""
    if character.bits is None:
        return Glyph(character.text, 0.0, "no context precedes it")
    strength = max(0.0, character.bits - 0.5) / (MOST_BITS - 0.5)
    rows = [f"{_seen(character.text)}  {character.bits:.2f} bits", *_rows(character)]
    return Glyph(character.text, min(1.0, strength), "\n".join(rows))


def sentence(spot: Spot) -> str:
    """How surprising a spot is, where it is, what stands there, and what was expected instead."""
    character = spot.character
    before = spot.before.translate(PICTURES).replace("\t", "⇥")
    return (
        f"{character.bits or 0:5.1f} bits  {f'{spot.line}:{spot.column}':8}  {before:>24}▸"
        f"{_seen(character.text)}  expected {', '.join(_wanted(character, _seen)[:3])}"
    )


def summary(found: Surprise, count: int) -> str:
    """The score and the worst spots, in HTML."""
    return (
        f"<p><b>{found.bits_per_character:.3f}</b> bits per character. The redder a character, the "
        "less it was expected; point at one to see what was.</p>"
        f"<details><summary>The worst spots</summary>{worst(found, count)}</details>"
    )


def worst(found: Surprise, count: int) -> str:
    """The worst spots as a table in HTML."""
    rows = "".join(
        f"<tr><td>{spot.character.bits or 0:.1f}</td><td>{spot.line}:{spot.column}</td>"
        f"<td><code>{safe(spot.before[-12:])}<b>{safe(_sign(spot.character.text))}</b></code></td>"
        f"<td>{safe(', '.join(_wanted(spot.character, _sign)[:3]))}</td></tr>"
        for spot in found.worst(count)
    )
    head = "<tr><th>bits</th><th>line</th><th>where</th><th>expected</th></tr>"
    return f'<div class="scroll"><table class="spots">{head}{rows}</table></div>'


def copied(report: Report) -> list[Glyph]:
    """A text with what is copied in one colour, the more of it in a row, the stronger."""
    glyphs, place = [], 0
    for passage in report.passages:
        end = passage.start + passage.length
        if end <= place:
            continue
        start = max(place, passage.start)
        glyphs += [Glyph(character) for character in report.text[place:start]]
        told = f"{passage.length:,} characters from line {passage.line:,} of the corpus"
        strength = min(1.0, 0.3 + passage.length / (10 * report.least))
        glyphs += [Glyph(character, -strength, told) for character in report.text[start:end]]
        place = end
    return glyphs + [Glyph(character) for character in report.text[place:]]


def _wanted(character: Character, shown: Callable[[str], str]) -> list[str]:
    """What was expected instead, likeliest first."""
    return [
        f"{shown(text)} {chance:.0%}"
        for text, chance in character.expected.items()
        if text != character.text and chance >= LEAST
    ]


def _rows(character: Character) -> list[str]:
    return [f"{_seen(text)}  {chance:.1%}" for text, chance in character.expected.items()]


def _sign(text: str) -> str:
    """A piece as it is, white space as a sign for it."""
    return named(text).split()[0] if not text.strip() else text


def _seen(text: str) -> str:
    """A piece so that it can be seen."""
    return named(text) if text in ("\n", "\t", " ", "") else f"“{text}”"


def state_glyphs(pieces: Sequence[str], values: Array, kind: str) -> list[Glyph]:
    """A text coloured by the values (T,) of one component or gate."""
    if kind == "cell":
        strengths = np.tanh(values)  # which is what goes on from it
    elif kind in ("hidden", "candidate"):
        strengths = values
    else:
        strengths = 2 * values - 1  # a gate: from shut to open
    largest = max(1e-6, float(np.abs(strengths).max()))
    return [
        Glyph(piece, float(strength) / largest, f"{value:+.3f}")
        for piece, strength, value in zip(pieces, strengths, values, strict=True)
    ]
