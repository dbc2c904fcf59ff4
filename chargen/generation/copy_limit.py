"""A constraint that limits how many characters in a row a new text copies from a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

LONGEST_WORD = 16  # letters within which the end of a word is looked for


class CorpusIndex(Protocol):
    """An index of a corpus in which any passage can be found; see `inspection.copies.Copies`."""

    @property
    def symbols(self) -> Mapping[str, bytes]:
        """The characters of the corpus, each with its bytes in a pattern."""

    def has(self, pattern: bytes) -> bool:
        """Returns whether the corpus contains a passage, given as the bytes of its characters."""

    def word_at_end(self, pattern: bytes) -> int:
        """Returns the length of the corpus's word that begins at the last character of a pattern."""


class CopyState(NamedTuple):
    """The end of a text, as a copy limit sees it."""

    copied: bytes = b""  # the longest end of the text that the corpus contains, as a pattern
    in_word: bool = False  # whether the last character is a letter


class CopyLimit:
    """Keeps a text from copying more than `most` characters in a row from a corpus.

    At the limit, the next character must differ from the corpus. That could spoil a word in the
    middle, so the first letter of a word is refused already if the corpus's word would not fit.
    """

    def __init__(self, corpus: CorpusIndex, most: int) -> None:
        self._corpus, self._most = corpus, most
        self._width = len(next(iter(corpus.symbols.values())))  # bytes of a character in a pattern

    def __repr__(self) -> str:
        return f"CopyLimit(at most {self._most:,} characters in a row)"

    def start(self, prefix: str) -> CopyState:
        """Returns the state after a prefix, which may itself be a longer copy."""
        state = CopyState()
        for character in prefix[-self._most :]:
            state = self._read(state, character)
        return state

    def step(self, state: CopyState, character: str) -> CopyState | None:
        """Returns the state after one more character, or None if the copy would become too long."""
        return self._read(state, character) if self._allows(state, character) else None

    def _read(self, state: CopyState, character: str) -> CopyState:
        symbol = self._corpus.symbols.get(character)
        if symbol is None:
            return CopyState(b"", character.isalpha())
        copied = (state.copied + symbol)[-self._most * self._width :]
        while copied and not self._corpus.has(copied):
            copied = copied[self._width :]
        return CopyState(copied, character.isalpha())

    def _allows(self, state: CopyState, character: str) -> bool:
        left = self._most - len(state.copied) // self._width  # characters up to the limit
        begins_word = character.isalpha() and not state.in_word
        if left and not (begins_word and left < min(LONGEST_WORD, self._most // 2)):
            return True
        symbol = self._corpus.symbols.get(character)
        if symbol is None or not self._corpus.has(state.copied + symbol):
            return True
        return left > 0 and self._corpus.word_at_end(state.copied + symbol) <= left
