"""A prefix that has been read: the state of a model after a text, from which it can be continued.

All that a recurrent network knows of the past is its state, a vector or two per layer. So a prefix
takes a few kilobytes, and to continue it a second time, nothing is read again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from copy import copy
from typing import TYPE_CHECKING

from chargen import arguments
from chargen.errors import ChargenError
from chargen.generation.constraints import (
    CharacterConstraint,
    Constraint,
    LiftedConstraint,
    Utf8Constraint,
)
from chargen.generation.decoder import Array, Clamp, Decoder, DecodingState
from chargen.generation.loop import sample_tokens
from chargen.generation.sampler import Sampler
from chargen.generation.stop_strings import StopMatcher
from chargen.suggestions import suggests
from chargen.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    from chargen.model import LanguageModel


@suggests
class Prefix:
    """A text that a model has read, and can continue in any number of ways.

    Nothing changes a prefix: every method returns something new. It keeps the weights that it was
    read with: training the model on does not change it.

        prefix = writer.read("ROMEO:\\n")
        print(prefix.expected())                      # {"W": 0.11, "T": 0.10, …}, likeliest first
        for piece in prefix.read("What").stream(length=100, seed=1):
            ...
    """

    def __init__(
        self, text: str, tokenizer: Tokenizer, decoder: Decoder, state: DecodingState, logits: Array
    ) -> None:
        self.text = text
        self._tokenizer, self._decoder = tokenizer, decoder
        self._state, self._logits = state, logits  # of the next token, (V,)
        self._limit: CharacterConstraint | None = None
        self._separator = ""  # of documents, which no document contains
        self._cuda_model: LanguageModel | None = None

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 40 else f"…{self.text[-40:]}"
        return f"Prefix({text!r}, {len(self.text):,} characters read)"

    @classmethod
    def from_text(cls, text: str, tokenizer: Tokenizer, decoder: Decoder) -> Prefix:
        """Reads a text from its beginning.

        Raises ChargenError for a character that is not in the vocabulary.
        """
        state = decoder.initial_state()
        logits = decoder.read(_tokens_to_read(text, tokenizer), state)
        return cls(text, tokenizer, decoder, state, logits)

    def read(self, more: str) -> Prefix:
        """Returns the prefix that is longer by the text `more`.

        Raises ChargenError for a character that is not in the vocabulary.
        """
        if not arguments.text(more, "more"):
            return self
        if not self.text or self._tokenizer.kind not in ("char", "byte"):
            # subtle: the pieces of a text are not those of its two parts, one after the other.
            longer = Prefix.from_text(self.text + more, self._tokenizer, self._decoder)
        else:
            state = self._state.fork()
            logits = self._decoder.read(self._tokenizer.encode(more).tolist(), state)
            longer = Prefix(self.text + more, self._tokenizer, self._decoder, state, logits)
        longer._limit, longer._cuda_model = self._limit, self._cuda_model
        longer._separator = self._separator
        return longer

    def on_gpu(self, model: LanguageModel) -> Prefix:
        """Returns the same prefix, which `model` continues on its GPU.

        Top-k, top-p, min-p, clamps, copy limits, vocabularies with parts of characters and weights of
        eight bits fall back to the CPU.
        """
        prefix = copy(self)
        prefix._cuda_model = model
        return prefix

    def clamped(self, *clamps: Clamp) -> Prefix:
        """Returns the same prefix, after which components of the state are clamped.

        Raises ChargenError for a component that the model does not have.
        """
        prefix = copy(self)
        prefix._decoder = self._decoder.clamped(clamps)
        return prefix

    def limited(self, limit: CharacterConstraint) -> Prefix:
        """Returns the same prefix, continued only by characters that `limit` allows.

        `prefix.limited(Copies.of(corpus).limit(30))` never copies more than 30 characters in a row.
        """
        if not hasattr(limit, "step"):
            raise ChargenError(
                f"{arguments.shown(limit)} is not a limit", "give Copies.of(corpus).limit(30)"
            )
        prefix = copy(self)
        prefix._limit = limit
        return prefix

    def separated(self, separator: str) -> Prefix:
        """Returns the same prefix of a document, which ends where a `separator` of documents begins.

        A vocabulary of characters lacks it, but one of bytes or pieces does not.
        """
        prefix = copy(self)
        prefix._separator = separator
        return prefix

    def expected(self, sampler: Sampler | None = None) -> dict[str, float]:
        """Returns the probabilities with which the next token is drawn, likeliest first.

        Tokens are named as by `Tokenizer.name`; those of probability 0 are left out. Without a
        sampler, the probabilities are those of the model, at a temperature of 1.
        """
        if not isinstance(sampler, Sampler | None):
            raise ChargenError(
                f"{arguments.shown(sampler)} is not a sampler", "give Sampler(temperature=0.5)"
            )
        logits = self._logits.copy()
        for constraint in self._utf8_constraints():
            constraint.mask(logits)
        probabilities = self._decoder.draw.probabilities(sampler or Sampler(1.0), logits)
        by_name: dict[str, float] = {}
        for token in (-probabilities).argsort(kind="stable").tolist():
            if probabilities[token] <= 0:
                break
            name = self._tokenizer.name(token)
            by_name[name] = by_name.get(name, 0.0) + float(probabilities[token])
        return by_name

    def stream(
        self,
        length: int = 500,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
    ) -> Iterator[str]:
        """Continues the prefix, piece by piece.

        Args:
            length: characters of new text, at most; a document may end earlier.
            temperature: 0 or more; 0 takes the likeliest token, below 1 is safer, above 1 wilder.
            top_k: 1 or more; draws among the k likeliest tokens only.
            top_p: above 0, at most 1; draws among the likeliest tokens, as many as together have the
                probability p.
            min_p: from 0 to 1; draws among the tokens at least p times as likely as the likeliest.
            seed: 0 or more; the same seed gives the same text. None gives another one each time.
            stop: a text, or several, before which the new text ends.

        Returns:
            The pieces of the new text, without the prefix; some are empty.

        Raises:
            ChargenError: for a value out of range.
        """
        sampler = Sampler(temperature, top_k, top_p, min_p)
        return (pieces[0] for pieces in self.streams(1, length, sampler, seed, stop))

    def generate(
        self,
        length: int = 500,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
    ) -> str:
        """Returns the new text, without the prefix; the arguments are those of `stream`."""
        sampler = Sampler(temperature, top_k, top_p, min_p)
        return "".join(pieces[0] for pieces in self.streams(1, length, sampler, seed, stop))

    def generate_many(
        self,
        num: int,
        length: int = 500,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
    ) -> list[str]:
        """Returns `num` new texts, drawn together; the other arguments are those of `stream`.

        The first text is the one that `generate` gives with the same seed.
        """
        sampler, num = Sampler(temperature, top_k, top_p, min_p), arguments.count(num, "num", 1)
        steps = list(self.streams(num, length, sampler, seed, stop))
        return ["".join(pieces[stream] for pieces in steps) for stream in range(num)]

    def streams(
        self,
        num: int,
        length: int,
        sampler: Sampler,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
    ) -> Iterator[list[str]]:
        """Continues the prefix in `num` ways at once; yields a piece of each new text per step.

        This is the one loop behind `stream`, `generate` and `generate_many`. A text that has ended
        gets empty pieces until all have ended.

        Raises ChargenError for a value out of range, and later if a limit refuses every token.
        """
        num, length = arguments.count(num, "num", 1), arguments.count(length, "length")
        seed = secrets.randbits(32) if seed is None else arguments.count(seed, "seed")
        stops = [*arguments.texts(stop, "stop"), self._separator]
        return self._streams(num, length, sampler, seed, stops) if length else iter(())

    def _streams(
        self, num: int, length: int, sampler: Sampler, seed: int, stops: list[str]
    ) -> Iterator[list[str]]:
        # 1. What restricts the draw, and what ends a text.
        constraints = self._utf8_constraints(num)
        if self._limit is not None:
            constraints.append(LiftedConstraint(self._limit, self._tokenizer, self.text, num))
        matchers = [StopMatcher(self._tokenizer, length, stops) for _ in range(num)]
        # 2. Where the tokens are drawn.
        begin = self._state, self._logits, sampler, seed, num
        portable = self._decoder.weights == "int8"  # to the last bit, as no GPU is
        restricted = constraints or sampler.narrows or self._decoder.clamps or portable
        if self._cuda_model is not None and not restricted:
            from chargen.generation.cuda import sample_tokens_cuda

            draws = sample_tokens_cuda(self._cuda_model, *begin)
        else:
            draws = sample_tokens(self._decoder, *begin, constraints)
        # 3. Draw until the last text has ended.
        for drawn in draws:
            tokens = [drawn] if num == 1 else drawn
            yield [matcher.push(token) for matcher, token in zip(matchers, tokens, strict=True)]
            if all(matcher.finished for matcher in matchers):
                return

    def _utf8_constraints(self, streams: int = 1) -> list[Constraint]:
        transitions = self._tokenizer.utf8_transitions
        return [] if transitions is None else [Utf8Constraint(transitions, streams)]


def _tokens_to_read(text: str, tokenizer: Tokenizer) -> list[int]:
    """Returns the tokens of a text; for documents after an end symbol, for no text a new line."""
    tokens: list[int] = tokenizer.encode(text).tolist()
    if tokenizer.end_id is not None:
        return [*tokenizer.start_tokens(), *tokens]
    return tokens or tokenizer.start_tokens()
