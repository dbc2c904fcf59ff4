"""What keeps a token from being drawn."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from chargen.errors import ChargenError
from chargen.model import ModelConfig, StateComponent
from chargen.tokenizers.base import Tokenizer


class Clamp(NamedTuple):
    """A component of the cell, or of h where there is no cell, that is held at a value."""

    layer: int  # from 1
    component: int  # from 0
    value: float

    def check(self, config: ModelConfig) -> None:
        """Raises ChargenError where a model has no such component."""
        StateComponent(self.layer, self.component).check(config)
        if not math.isfinite(self.value):
            raise ChargenError(f"a component cannot be held at {self.value}")


class Veto(Protocol):
    """What keeps one stream from certain ids."""

    def refuses(self, token: int) -> bool:
        """Whether this id must not come next."""

    def push(self, token: int) -> None:
        """This id has come."""


class Follower(Protocol):
    """What keeps a text from going on in certain ways; see `inspection.limit.Follower`."""

    def refuses(self, more: str) -> bool:
        """Whether the text must not go on with this."""

    def push(self, more: str) -> None:
        """The text has gone on."""


class Limit(Protocol):
    """What makes a follower for a text; see `inspection.limit.Limit`."""

    def follow(self, text: str) -> Follower:
        """For a text that has begun like this."""


class TokenVeto:
    """A follower of a text as one of ids, which may be parts of characters."""

    def __init__(self, tokenizer: Tokenizer, follower: Follower) -> None:
        self._stream, self._follower = tokenizer.stream(), follower

    def refuses(self, token: int) -> bool:
        more = self._stream.fork().push(token)
        return bool(more) and self._follower.refuses(more)

    def push(self, token: int) -> None:
        self._follower.push(self._stream.push(token))
