"""A place in a text: the state of a model behind what it has read, from which any text can go on.

All that a recurrent network knows of the past is one vector per layer. So a place costs a few
kilobytes, and to go on from it twice costs nothing that was read before.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from chargen.decoding import Array, Decoder, DecodingState, Writing, draw_on
from chargen.errors import ChargenError
from chargen.sampling import Sampler
from chargen.tokenizer import Tokenizer


class Mark:
    """Where a generator is after a text.

    mark = writer.read("ROMEO:\\n")
    print(mark.expected())                        # {"W": 0.11, "T": 0.10, …}, likeliest first
    for piece in mark.read("What").stream(length=100, seed=1):
        ...
    """

    def __init__(
        self, text: str, tokenizer: Tokenizer, decoder: Decoder, state: DecodingState, logits: Array
    ) -> None:
        self.text = text
        self._tokenizer, self._decoder = tokenizer, decoder
        self._state, self._logits = state, logits  # never changed: whoever goes on takes a copy

    @classmethod
    def after(cls, text: str, tokenizer: Tokenizer, decoder: Decoder) -> Mark:
        """Reads a text from its beginning.

        Raises ChargenError for a character that is not in the vocabulary.
        """
        state = decoder.start()
        return cls(text, tokenizer, decoder, state, decoder.read(_context(text, tokenizer), state))

    def read(self, more: str) -> Mark:
        """The place after more of the text; this one stays where it is."""
        if not more:
            return self
        if not self.text or self._tokenizer.kind not in ("char", "byte"):
            # The pieces of a whole text are not those of its parts side by side.
            return Mark.after(self.text + more, self._tokenizer, self._decoder)
        state = self._state.fork()
        logits = self._decoder.read(self._tokenizer.encode(more).tolist(), state)
        return Mark(self.text + more, self._tokenizer, self._decoder, state, logits)

    def expected(self, sampler: Sampler | None = None) -> dict[str, float]:
        """What may come next and how likely it is drawn, likeliest first; zeros are left out.

        The end of a document is the empty text; single bytes of a character stand as "<E2>". Without
        a sampler, the probabilities are those of the model, at a temperature of 1.
        """
        logits = self._logits.copy()
        if self._tokenizer.guide is not None:
            logits += self._tokenizer.guide.penalty[0]
        chances = (sampler or Sampler(1.0)).probabilities(logits)
        found: dict[str, float] = {}
        for place in (-chances).argsort(kind="stable").tolist():
            if chances[place] <= 0:
                break
            name = _name(self._tokenizer.pieces[place])
            found[name] = found.get(name, 0.0) + float(chances[place])
        return found

    def stream(
        self,
        *,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Iterator[str]:
        """Up to `length` characters of new text, piece by piece; see `TextGenerator.stream`."""
        sampler = Sampler(temperature, top_k, top_p, min_p)
        for pieces in self.streams(1, length, sampler, seed, stop):
            yield pieces[0]

    def streams(
        self,
        num: int,
        length: int,
        sampler: Sampler,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Iterator[list[str]]:
        """The one loop of generation: per step, the piece that each of several new texts gets."""
        seed = secrets.randbits(32) if seed is None else seed
        if seed < 0:
            raise ChargenError(f"seed must be 0 or more, got {seed}")
        if length <= 0:
            return
        writings = [Writing(self._tokenizer, length, stop) for _ in range(num)]
        guide = self._tokenizer.guide
        for ids in draw_on(self._decoder, self._state, self._logits, sampler, seed, num, guide):
            drawn: Any = [ids] if num == 1 else ids
            yield [writing.push(token) for writing, token in zip(writings, drawn, strict=True)]
            if all(writing.finished for writing in writings):
                return


def _context(text: str, tokenizer: Tokenizer) -> list[int]:
    """What the model reads first: a document's beginning, or the text, or a new line."""
    ids: list[int] = tokenizer.encode(text).tolist()
    if tokenizer.end_id is not None:
        return [*tokenizer.start(), *ids]
    return ids or tokenizer.start()


def _name(piece: bytes) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "".join(f"<{byte:02X}>" for byte in piece)
