"""How a classifier does on held-out texts, in HTML: accuracy by length, and confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from chargen.data.labelled import Labelled
from chargen.evaluation.classes import ClassScore
from chargen.evaluation.lengths import LengthBin, by_length
from chargen.evaluation.mistakes import Mistake, confident_mistakes
from chargen.rendering.colouring import escape_html as escaped
from chargen.web.html import note

MISTAKES = 10  # listed
_LINE = 100  # characters of a text


def judged(score: ClassScore, held_out: Labelled) -> tuple[list[LengthBin], list[Mistake]]:
    """Returns the accuracy by length, and the most confident mistakes with their texts in a line."""
    mistakes = confident_mistakes(score, held_out, MISTAKES)
    lines = [replace(one, text=one.line(_LINE)) for one in mistakes]
    return by_length(score, held_out.texts), lines


def as_event(score: ClassScore, held_out: Labelled) -> dict[str, Any]:
    """Returns what `judged` returns as a part of an event of the worker."""
    bins, mistakes = judged(score, held_out)
    return {"by_length": list(map(asdict, bins)), "mistakes": list(map(asdict, mistakes))}


def sections(bins: Sequence[LengthBin], mistakes: Sequence[Mistake]) -> str:
    """Renders two sections that a visitor has to open; those that would be empty are left out."""
    parts = []
    if bins:
        rows = [[one.words, f"{one.texts:,}", f"{one.accuracy:.1%}"] for one in bins]
        table = _table("Accuracy by length", ["words", "texts", "correct"], rows)
        parts.append(_section("How it does by length", table))
    if mistakes:
        hint = "Where the classifier is very sure, it may be the label that is wrong."
        rows = [
            [f"{100 * one.confidence:.0f} %", one.prediction, one.label, one.text] for one in mistakes
        ]
        table = _table("Mistakes", ["sure", "classified as", "label", "text"], rows)
        parts.append(_section("Most confident mistakes", note(hint) + table))
    return "".join(parts)


def curve(rows: Sequence[tuple[float, int, float, float]]) -> str:
    """Renders a learning curve: for each share of the texts their number, accuracy and macro-F1."""
    lines = [
        [f"{100 * share:.0f} %", f"{texts:,}", f"{accuracy:.1%}", f"{f1:.3f}"]
        for share, texts, accuracy, f1 in rows
    ]
    return _table("Learning curve", ["share", "texts", "correct", "macro-F1"], lines)


def _section(title: str, content: str) -> str:
    return f'<details class="note section"><summary>{title}</summary>{content}</details>'


def _table(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Renders rows of texts under a head, in a box that a keyboard can scroll."""
    columns = "".join(f'<th scope="col">{escaped(title)}</th>' for title in head)
    wide = {"text": ' class="text"'}
    lines = []
    for row in rows:
        cells = zip(head, row, strict=True)
        line = "".join(f"<td{wide.get(title, '')}>{escaped(cell)}</td>" for title, cell in cells)
        lines.append(f"<tr>{line}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{name}">'
        f'<table class="spots"><tr>{columns}</tr>{"".join(lines)}</table></div>'
    )
