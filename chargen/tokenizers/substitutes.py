"""Substitutes for characters that a model has never seen: e for é, " for “.

A substitution is never silent: `Tokenizer.adapt` returns a sentence for each.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_TYPOGRAPHY = {
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‘’‚‛′‹›`´", "'"),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("ßẞ", "ss"),
    **dict(
        zip(
            "æÆœŒøØłŁđĐı•·×…",
            ["ae", "AE", "oe", "OE", "o", "O", "l", "L", "d", "D", "i", "*", ".", "x", "..."],
            strict=True,
        )
    ),
    **{'"': "'", "\t": " ", "\n": " "},
}


def substitutes(character: str) -> Iterator[str]:
    """Yields texts that can replace a character, the nearest first; some may be empty.

    For "É": "E" and a combining accent, twice; "E"; ""; ""; "é"; "e".
    """
    decomposed = unicodedata.normalize("NFKD", character)
    yield unicodedata.normalize("NFD", character)
    yield decomposed
    yield "".join(c for c in decomposed if not unicodedata.combining(c))
    typed = _TYPOGRAPHY.get(character, "")
    yield typed
    yield _TYPOGRAPHY.get(typed, "")  # “ gives ", and where that is unknown '
    yield character.swapcase()
    yield "".join(c for c in decomposed if not unicodedata.combining(c)).swapcase()
