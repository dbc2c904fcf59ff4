"""Constraints, which keep tokens from being drawn: one protocol for tokens, one for characters.

`loop.sample_tokens` knows only `Constraint`. A constraint on the text, whatever its tokens, is written
as an automaton over characters and lifted:

    LiftedConstraint(CopyLimit(index, most=30), tokenizer, prefix="ROMEO:", streams=1)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from chargen.tokenizers.base import IncrementalDetokenizer, Tokenizer
from chargen.tokenizers.utf8 import Transitions


class Constraint(ABC):
    """Keeps tokens from being drawn, in one stream of text or in several that are drawn together.

    A constraint that knows at once which tokens are forbidden masks their logits before the draw. A
    `lazy` one, to which each token is a search, is asked only for the token that was drawn. In both
    cases the draw follows the probabilities of the model among the tokens that are allowed.
    """

    lazy: ClassVar[bool] = False  # whether `allows` is to be asked

    def mask(self, logits: npt.NDArray[np.float32]) -> None:
        """Sets the logits of forbidden tokens to minus infinity, in place: (V,) or (V, streams)."""
        return

    def allows(self, stream: int, token: int) -> bool:
        """Returns whether a token may come next in a stream, numbered from 0."""
        return True

    @abstractmethod
    def advance(self, tokens: Any) -> None:
        """Reads the drawn tokens: one number, or an array (streams,).

        A lazy constraint has accepted each of them, as the last token of its stream that `allows` was
        asked about.
        """


class Utf8Constraint(Constraint):
    """Keeps the bytes of a text valid UTF-8 where tokens can be parts of characters.

    Args:
        transitions: (8, V), see `tokenizers.utf8.transitions`.
        streams: how many texts are drawn together, each beginning between two characters.
    """

    def __init__(self, transitions: Transitions, streams: int = 1) -> None:
        self._transitions = transitions
        self._penalty = np.where(transitions < 0, np.float32(-np.inf), np.float32(0))  # (8, V)
        self._states: Any = 0 if streams == 1 else np.zeros(streams, np.int8)

    def mask(self, logits: npt.NDArray[np.float32]) -> None:
        logits += self._penalty[self._states].T

    def advance(self, tokens: Any) -> None:
        self._states = self._transitions[self._states, tokens]


class CharacterConstraint(Protocol):
    """An automaton that reads a text and says which characters may follow.

    Its states are values of any kind but None, and no method changes one.
    """

    def start(self, prefix: str) -> Any:
        """Returns the state after a prefix, which is not itself constrained."""

    def step(self, state: Any, character: str) -> Any | None:
        """Returns the state after one more character, or None if the character must not follow."""


class LiftedConstraint(Constraint):
    """Lifts a constraint over characters to tokens, which can be several characters or parts of one.

    subtle: a token that leaves a character incomplete is allowed, as the character is not known yet.
    So in a vocabulary of bytes, a constraint that allows few characters can refuse every next token.

    Args:
        constraint: the automaton over characters.
        tokenizer: turns the drawn tokens into characters.
        prefix: the text that comes before the drawn one.
        streams: how many texts are drawn together.
    """

    lazy = True

    def __init__(
        self, constraint: CharacterConstraint, tokenizer: Tokenizer, prefix: str, streams: int = 1
    ) -> None:
        self._constraint = constraint
        start: tuple[IncrementalDetokenizer, Any] = tokenizer.detokenizer(), constraint.start(prefix)
        self._states = [start] * streams
        self._accepted = [start] * streams  # the states after the tokens that were accepted last

    def allows(self, stream: int, token: int) -> bool:
        detokenizer, state = self._states[stream]
        detokenizer = detokenizer.fork()
        for character in detokenizer.push(token):
            state = self._constraint.step(state, character)
            if state is None:
                return False
        self._accepted[stream] = detokenizer, state
        return True

    def advance(self, tokens: Any) -> None:
        self._states = self._accepted.copy()
