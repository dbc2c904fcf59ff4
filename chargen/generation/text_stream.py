"""Tokens on their way to text."""

from __future__ import annotations

from collections.abc import Sequence

from chargen.tokenizers.base import Tokenizer


class StopMatcher:
    """One stream's ids on their way to text: ends at a length, a stop text or the end symbol."""

    def __init__(self, tokenizer: Tokenizer, length: int, stops: Sequence[str] = ()) -> None:
        self._stream = tokenizer.stream()
        self._end_id = tokenizer.end_id
        self._left = length  # characters
        self._stops = [stop for stop in stops if stop]
        self.held = ""  # what may turn out to be the beginning of a stop text
        self.finished = length <= 0

    def push(self, token: int) -> str:
        """The text that can be shown after one more id; nothing once the stream has finished."""
        if self.finished:
            return ""
        if token == self._end_id:
            self.finished = True
            return self._cut(self.held + self._stream.finish())
        text = self._stream.push(token)
        if not text or not self._stops:
            return self._cut(text)
        text = self.held + text
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.held, self.finished = "", True
            return self._cut(text[: min(found)])
        keep = max(_overlap(text, stop) for stop in self._stops)
        # What is held counts as written: a stop text that begins after the last character is none.
        keep = keep if len(text) < self._left else 0
        self.held = text[len(text) - keep :]
        return self._cut(text[: len(text) - keep])

    def _cut(self, text: str) -> str:
        text = text[: self._left]
        self._left -= len(text)
        self.finished = self.finished or self._left == 0
        return text


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of a text that a stop text begins with."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)
