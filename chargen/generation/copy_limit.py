"""What keeps new text from copying more than so many characters in a row from a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Protocol

LONGEST_WORD = 16  # letters that are looked ahead for the end of a word


class CorpusIndex(Protocol):
    """A corpus in which passages can be found; see `inspection.copies.Copies`."""

    @property
    def symbols(self) -> Mapping[str, bytes]:
        """The characters of the corpus as bytes that come in their order."""

    def has(self, pattern: bytes) -> bool:
        """Whether characters, each by its bytes of `symbols`, stand in the corpus side by side."""

    def word_at_end(self, pattern: bytes) -> int:
        """How long the word is in the corpus that begins with the last character of a pattern."""


class Limit:
    """Keeps new text from copying more than so many characters in a row from a corpus."""

    def __init__(self, copies: CorpusIndex, most: int) -> None:
        self._copies, self._most = copies, most

    def follow(self, text: str) -> Follower:
        """A follower of a text that goes on, which has begun like this."""
        follower = Follower(self._copies, self._most)
        follower.push(text[-self._most :])
        return follower


class Follower:
    """Knows how much of the end of a text is copied, and what must not follow.

    At the limit the next character must be another one than in the corpus. That can be in the middle
    of a word, so already the beginning of a word is refused that, as the corpus has it, would not
    find room.
    """

    def __init__(self, copies: CorpusIndex, most: int) -> None:
        self._copies, self._most = copies, most
        self._width = len(next(iter(copies.symbols.values())))
        self._copied = b""  # the longest end of the text that stands in the corpus
        self._in_word = False

    def refuses(self, more: str) -> bool:
        """Whether the text must not go on with these characters."""
        if len(more) == 1:
            return self._refuses(more)
        ahead = copy(self)
        for character in more:
            if ahead._refuses(character):
                return True
            ahead.push(character)
        return False

    def push(self, more: str) -> None:
        """The text has gone on."""
        for character in more:
            self._in_word = character.isalpha()
            symbol = self._copies.symbols.get(character)
            if symbol is None:
                self._copied = b""
                continue
            copied = (self._copied + symbol)[-self._most * self._width :]
            while copied and not self._copies.has(copied):
                copied = copied[self._width :]
            self._copied = copied

    def _refuses(self, character: str) -> bool:
        room = self._most - len(self._copied) // self._width
        begins = character.isalpha() and not self._in_word
        if room and not (begins and room < min(LONGEST_WORD, self._most // 2)):
            return False
        symbol = self._copies.symbols.get(character)
        if symbol is None or not self._copies.has(self._copied + symbol):
            return False
        return not room or self._copies.word_at_end(self._copied + symbol) > room
