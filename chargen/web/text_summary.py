"""Figures and warnings about a training text, counted here or in the visitor's browser."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any

from chargen.web import html
from chargen.web.training_job import MIN_TEXT

GOOD_LENGTH, _SHORT = 100_000, 20_000  # characters
_MANY_CHARACTERS = 3_000  # different ones
_FREQUENT = 12  # characters that are shown


@dataclass(frozen=True)
class Counts:
    """Counts of what is in a text."""

    characters: int
    stripped: int  # without the white space around the text
    lines: int
    different: int
    frequent: tuple[str, ...]  # the most frequent characters, most frequent first
    letters: int
    control: int  # characters, without newlines and tabs
    lost: int  # characters that were replaced by U+FFFD before

    @classmethod
    def of(cls, text: str) -> Counts:
        """Counts a text."""
        counts = Counter(text)
        kinds = {character: unicodedata.category(character) for character in counts}
        return cls(
            len(text),
            len(text.strip()),
            _lines(len(text), counts["\n"], text.endswith("\n")),
            len(counts),
            tuple(character for character, _ in counts.most_common(_FREQUENT)),
            sum(count for character, count in counts.items() if kinds[character][0] == "L"),
            sum(counts[c] for c in counts if kinds[c] == "Cc" and c not in "\n\t"),
            counts["\ufffd"],
        )

    @classmethod
    def from_json(cls, value: str | None) -> Counts | None:
        """Returns what `scripts.COUNT_TEXT` has counted; None for anything else, and for no text."""
        try:
            fields: dict[str, Any] = json.loads(value or "")
            numbers = {name: int(fields[name]) for name in _COUNTED}
            lines = _lines(
                numbers["characters"], int(fields["newlines"]), bool(fields["ends_with_newline"])
            )
            frequent = tuple(str(character)[:2] for character in fields["frequent"][:_FREQUENT])
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return None
        return cls(**numbers, lines=lines, frequent=frequent) if numbers["characters"] else None

    def html(self) -> str:
        """Renders the counts, and warns of what looks wrong with the text."""
        figures = [
            ("characters", f"{self.characters:,}"),
            ("lines", f"{self.lines:,}"),
            ("different characters", f"{self.different:,}"),
            ("most frequent", " ".join(html.visible(character) for character in self.frequent)),
        ]
        return html.facts(figures) + "".join(html.note(text, bad=True) for text in self._warnings())

    def _warnings(self) -> list[str]:
        warnings = []
        if self.stripped < MIN_TEXT:
            warnings.append(f"Too short: a model needs at least {MIN_TEXT} characters.")
        elif self.characters < _SHORT:
            warnings.append(
                "Short: the model will soon repeat it word for word. "
                f"{GOOD_LENGTH:,} characters are better."
            )
        if self.lost:
            warnings.append(
                f"{self.lost:,} characters were lost before (shown as \ufffd): the text may have been "
                "read in another encoding than its own."
            )
        if self.letters < self.characters / 4:
            warnings.append("Few letters: this looks like data rather than language.")
        if self.different > _MANY_CHARACTERS:
            warnings.append("Very many different characters: the model learns little about rare ones.")
        if self.control:
            warnings.append(f"{self.control:,} control characters: this may not be text.")
        return warnings


_COUNTED = ("characters", "stripped", "different", "letters", "control", "lost")


def _lines(characters: int, newlines: int, ends_with_newline: bool) -> int:
    """Returns the number of lines: the newline at the end of a text begins no further one."""
    return newlines + (characters > 0 and not ends_with_newline)
