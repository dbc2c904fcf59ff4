"""A place in a text: the state of a model behind what it has read, from which any text can go on.

All that a recurrent network knows of the past is one vector per layer. So a place costs a few
kilobytes, and to go on from it twice costs nothing that was read before.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

from chargen.errors import ChargenError
from chargen.generation.constraints import Clamp, Limit, TokenVeto
from chargen.generation.cuda import draw_on_gpu
from chargen.generation.decoder import Array, Decoder, DecodingState
from chargen.generation.draw import draw_on
from chargen.generation.sampler import Sampler
from chargen.generation.text_stream import StopMatcher
from chargen.model import LanguageModel
from chargen.tokenizers.base import Tokenizer


class Prefix:
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
        self._limit: Limit | None = None
        self._gpu: LanguageModel | None = None

    @classmethod
    def from_text(cls, text: str, tokenizer: Tokenizer, decoder: Decoder) -> Prefix:
        """Reads a text from its beginning.

        Raises ChargenError for a character that is not in the vocabulary.
        """
        state = decoder.start()
        return cls(text, tokenizer, decoder, state, decoder.read(_context(text, tokenizer), state))

    def read(self, more: str) -> Prefix:
        """The place after more of the text; this one stays where it is."""
        if not more:
            return self
        if not self.text or self._tokenizer.kind not in ("char", "byte"):
            # The pieces of a whole text are not those of its parts side by side.
            ahead = Prefix.from_text(self.text + more, self._tokenizer, self._decoder)
        else:
            state = self._state.fork()
            logits = self._decoder.read(self._tokenizer.encode(more).tolist(), state)
            ahead = Prefix(self.text + more, self._tokenizer, self._decoder, state, logits)
        ahead._limit, ahead._gpu = self._limit, self._gpu
        return ahead

    def on_gpu(self, model: LanguageModel) -> Prefix:
        """The same place, from which the model goes on where it is, on a GPU.

        With --top-k and its like, with what is held or kept out, and by bytes, it goes on here.
        """
        there = copy(self)
        there._gpu = model
        return there

    def clamped(self, *clamps: Clamp) -> Prefix:
        """The same place, with components of the state held from here on.

        Raises ChargenError for a component that the model does not have.
        """
        held = copy(self)
        held._decoder = self._decoder.clamped(clamps)
        return held

    def limited(self, limit: Limit) -> Prefix:
        """The same place, where what is written is kept from what a limit refuses.

        mark.limited(Copies.of(corpus).limit(30)) never copies more than 30 characters in a row.
        """
        held = copy(self)
        held._limit = limit
        return held

    def expected(self, sampler: Sampler | None = None) -> dict[str, float]:
        """What may come next and how likely it is drawn, likeliest first; zeros are left out.

        Ids are named as by `Tokenizer.name`. Without a sampler, the probabilities are those of the
        model, at a temperature of 1.
        """
        logits = self._logits.copy()
        if self._tokenizer.guide is not None:
            logits += self._tokenizer.guide.penalty[0]
        chances = (sampler or Sampler(1.0)).probabilities(logits)
        found: dict[str, float] = {}
        for place in (-chances).argsort(kind="stable").tolist():
            if chances[place] <= 0:
                break
            name = self._tokenizer.name(place)
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
        """Up to `length` characters of new text, piece by piece; the options are those of `Sampler`.

        Ends before a `stop` text and at the end of a document. Without a seed, each time is another.
        """
        sampler = Sampler(temperature, top_k, top_p, min_p)
        return (pieces[0] for pieces in self.streams(1, length, sampler, seed, stop))

    def generate(self, **options: Any) -> str:
        """The whole of `stream`, which takes the same options."""
        return "".join(self.stream(**options))

    def generate_many(
        self,
        *,
        num: int,
        length: int = 500,
        seed: int | None = None,
        stop: Sequence[str] = (),
        **choice: Any,
    ) -> list[str]:
        """Several ways on, side by side; the first is that of `generate` with the same seed."""
        steps = list(self.streams(num, length, Sampler(**choice), seed, stop))
        return ["".join(pieces[stream] for pieces in steps) for stream in range(num)]

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
        matchers = [StopMatcher(self._tokenizer, length, stop) for _ in range(num)]
        guide = self._tokenizer.guide
        vetoes: list[TokenVeto] = []
        if self._limit:
            vetoes = [TokenVeto(self._tokenizer, self._limit.follow(self.text)) for _ in range(num)]
        place = self._state, self._logits, sampler, seed, num
        plain = not (guide or vetoes or sampler.narrows or self._decoder.held)
        if self._gpu is not None and plain:
            draws = draw_on_gpu(self._gpu, *place)
        else:
            draws = draw_on(self._decoder, *place, guide, vetoes)
        for ids in draws:
            drawn: Any = [ids] if num == 1 else ids
            yield [writing.push(token) for writing, token in zip(matchers, drawn, strict=True)]
            if all(writing.finished for writing in matchers):
                return


def _context(text: str, tokenizer: Tokenizer) -> list[int]:
    """What the model reads first: a document's beginning, or the text, or a new line."""
    ids: list[int] = tokenizer.encode(text).tolist()
    if tokenizer.end_id is not None:
        return [*tokenizer.start(), *ids]
    return ids or tokenizer.start()
