"""Writing for visitors: requests are checked here, since not all of them come from the page."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import chargen
from chargen.errors import ChargenError
from chargen.generation.prefix import Prefix
from chargen.web.model_store import ModelStore
from chargen.web.numbers import integer

MAX_PROMPT = 20_000  # characters
MAX_LENGTH = 20_000  # characters written at once
MAX_TEXTS = 6  # written side by side
MAX_SEED = 2**53 - 1  # a browser's numbers are exact up to here
TEMPERATURES = (0.3, 0.6, 0.8, 1.0, 1.3)  # compared side by side
_INTERVAL = 0.05  # seconds between two updates of a text that is being written
_CACHED = 64  # prefixes; each takes a few kilobytes


@dataclass(frozen=True)
class GenerationRequest:
    """How to write a text; 0 turns top-k and min-p off, and 1 turns top-p off.

    Raises ChargenError for a value out of its range.
    """

    length: int = 500  # characters
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.length <= MAX_LENGTH:
            raise ChargenError(
                f"the length is {self.length:,} characters; at most {MAX_LENGTH:,} are written at once"
            )
        self.sampler  # noqa: B018 - checks the other values

    @property
    def sampler(self) -> chargen.Sampler:
        """The library's sampler for this request."""
        return chargen.Sampler(
            self.temperature,
            self.top_k or None,
            self.top_p if self.top_p != 1 else None,
            self.min_p or None,
        )


def seed_or_new(seed: Any, label: str = "the seed") -> int:
    """Returns `seed`, or a random one for None.

    Raises ChargenError, which names it by `label`, for anything but a whole number up to `MAX_SEED`.
    """
    return secrets.randbits(32) if seed is None else integer(seed, label, 0, MAX_SEED)


class Engine:
    """Writes with the models of a store, and caches the prefixes that they have read."""

    def __init__(self, store: ModelStore) -> None:
        self.store = store
        # A prefix stands beside its generator: while that is referenced, no other gets its id.
        self._cache: OrderedDict[tuple[int, str], tuple[chargen.TextGenerator, Prefix]] = OrderedDict()

    def read(self, model: str, text: str) -> tuple[Prefix, list[str]]:
        """Returns the prefix of a text, and a sentence for each character that was substituted.

        Raises ChargenError for an unknown model, and for a text that is too long or that has a
        character which the model does not know.
        """
        if len(text) > MAX_PROMPT:
            raise ChargenError(
                f"the text has {len(text):,} characters; at most {MAX_PROMPT:,} are read"
            )
        generator = self.store.generator(model)
        text, notes = generator.tokenizer.adapt(text.replace("\r\n", "\n").replace("\r", "\n"))
        key = id(generator), text
        # A visitor who types adds one character at a time.
        cached = self._cache.get(key) or self._cache.get((id(generator), text[:-1]))
        if cached and cached[0] is generator:
            prefix = cached[1].read(text[len(cached[1].text) :])
        else:
            prefix = generator.read(text)
        self._cache[key] = generator, prefix
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return prefix, notes

    def stream(
        self, model: str, prompt: str, request: GenerationRequest, seed: int, num: int = 1
    ) -> Iterator[list[str]]:
        """Yields the new text so far of each of `num` texts, about twenty times a second."""
        if not 1 <= num <= MAX_TEXTS:
            raise ChargenError(f"{num:,} texts: between 1 and {MAX_TEXTS} are written side by side")
        prefix, _ = self.read(model, prompt)
        texts, updated = [""] * num, 0.0
        for pieces in prefix.streams(num, request.length, request.sampler, seed):
            texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
            if time.monotonic() - updated > _INTERVAL:
                yield texts
                updated = time.monotonic()
        yield texts

    def compare(self, model: str, prompt: str, request: GenerationRequest, seed: int) -> list[str]:
        """Returns the new text at each of `TEMPERATURES`, drawn with the same random numbers."""
        prefix, _ = self.read(model, prompt)
        return [
            "".join(
                pieces[0]
                for pieces in prefix.streams(
                    1, request.length, replace(request, temperature=temperature).sampler, seed
                )
            )
            for temperature in TEMPERATURES
        ]
