"""Stop strings: tokens become text, up to a length, a stop string or the end of a document."""

from __future__ import annotations

from collections.abc import Iterable

from chargen.arguments import texts
from chargen.tokenizers.base import Tokenizer


class StopMatcher:
    """Turns the tokens of one stream into text and finds its end.

    With the stop text "lo", the tokens of "hello" give "h", "e", "", "l", "": an "l" may be the first
    character of the stop text, and is withheld until the next token decides.

    Args:
        tokenizer: decodes the tokens; its end symbol ends the text.
        length: characters, at most.
        stops: text or texts before which the text ends; empty ones are ignored.
    """

    def __init__(
        self, tokenizer: Tokenizer, length: int, stops: str | Iterable[str] | None = ()
    ) -> None:
        self._detokenizer = tokenizer.detokenizer()
        self._end_id = tokenizer.end_id
        self._left = length  # characters
        self._stops = [stop for stop in texts(stops, "stop") if stop]
        self._withheld = ""  # may turn out to be the beginning of a stop text
        self.finished = length <= 0

    def push(self, token: int) -> str:
        """Returns the text that one more token adds, which is empty once the stream has finished."""
        if self.finished:
            return ""
        if token == self._end_id:
            self.finished = True
            return self._truncate(self._withheld + self._detokenizer.finish())
        text = self._detokenizer.push(token)
        if not text or not self._stops:
            return self._truncate(text)
        text = self._withheld + text
        matches = [start for stop in self._stops if (start := text.find(stop)) >= 0]
        if matches:
            self._withheld, self.finished = "", True
            return self._truncate(text[: min(matches)])
        overlap = max(_overlap(text, stop) for stop in self._stops)
        # subtle: withheld characters count as written. A stop text that would only be complete
        # beyond the length does not end the text before it.
        overlap = overlap if len(text) < self._left else 0
        self._withheld = text[len(text) - overlap :]
        return self._truncate(text[: len(text) - overlap])

    def _truncate(self, text: str) -> str:
        text = text[: self._left]
        self._left -= len(text)
        self.finished = self.finished or self._left == 0
        return text


def _overlap(text: str, stop: str) -> int:
    """Returns the length of the longest end of a text that is a proper beginning of a stop text."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)
