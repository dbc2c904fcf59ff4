"""What a visitor may ask of a generator, checked: a request need not come from the page."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import chargen
from chargen.errors import ChargenError
from chargen.generation.prefix import Prefix
from chargen.web.model_store import ModelStore

LONGEST_PROMPT = 20_000  # characters
LONGEST = 20_000  # characters written at once
MOST_TEXTS = 6  # side by side
LARGEST_SEED = 2**53  # what a browser's numbers can count to
TEMPERATURES = (0.3, 0.6, 0.8, 1.0, 1.3)  # side by side
_PAUSE = 0.05  # seconds between two looks at a text in the making
_MARKS = 64  # places in texts that are remembered, a few kilobytes each


@dataclass(frozen=True)
class GenerationRequest:
    """How to write; 0 stands for no narrowing by top-k and min-p, and 1 by top-p."""

    length: int = 500
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.length <= LONGEST:
            raise ChargenError(f"{self.length:,} characters: at most {LONGEST:,} are written at once")
        self.sampler  # noqa: B018 - checks the rest

    @property
    def sampler(self) -> chargen.Sampler:
        """As the library wants it."""
        return chargen.Sampler(
            self.temperature,
            self.top_k or None,
            self.top_p if self.top_p != 1 else None,
            self.min_p or None,
        )


def seed_for(wanted: int | None) -> int:
    """The seed asked for, or a new one; raises ChargenError for one that is none."""
    if wanted is None:
        return secrets.randbits(32)
    if not 0 <= wanted < LARGEST_SEED or wanted != int(wanted):
        raise ChargenError(f"the seed must be a whole number from 0 to {LARGEST_SEED - 1:,}")
    return int(wanted)


class Writers:
    """Writes with the models of a shelf, and remembers places in texts."""

    def __init__(self, store: ModelStore) -> None:
        self.store = store
        self._marks: OrderedDict[tuple[int, str], tuple[chargen.TextGenerator, Prefix]] = OrderedDict()

    def read(self, model: str, text: str) -> tuple[Prefix, list[str]]:
        """The place after a text, and a sentence for each character that another one stands in for."""
        if len(text) > LONGEST_PROMPT:
            raise ChargenError(
                f"the text has {len(text):,} characters; at most {LONGEST_PROMPT:,} are read"
            )
        writer = self.store.writer(model)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        try:
            text, notes = writer.tokenizer.adapt(text)
        except ChargenError as error:
            raise ChargenError(str(error).partition(", or drop all")[0]) from error
        key = id(writer), text
        kept = self._marks.get(key) or self._marks.get((id(writer), text[:-1]))
        if kept and kept[0] is writer:
            mark = kept[1].read(text[len(kept[1].text) :])
        else:
            mark = writer.read(text)
        self._marks[key] = writer, mark  # the writer is held, so that no other gets its id
        while len(self._marks) > _MARKS:
            self._marks.popitem(last=False)
        return mark, notes

    def write(
        self, model: str, prompt: str, wish: GenerationRequest, seed: int, num: int = 1
    ) -> Iterator[list[str]]:
        """What stands behind the prompt so far in each of `num` texts, some twenty times a second."""
        if not 1 <= num <= MOST_TEXTS:
            raise ChargenError(f"{num:,} texts: between 1 and {MOST_TEXTS} are written side by side")
        mark, _ = self.read(model, prompt)
        texts, told = [""] * num, 0.0
        for pieces in mark.streams(num, wish.length, wish.sampler, seed):
            texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
            if time.monotonic() - told > _PAUSE:
                yield texts
                told = time.monotonic()
        yield texts

    def compare(self, model: str, prompt: str, wish: GenerationRequest, seed: int) -> list[str]:
        """What is written at each of the `TEMPERATURES`, with the same luck."""
        mark, _ = self.read(model, prompt)
        return [
            "".join(
                pieces[0]
                for pieces in mark.streams(
                    1, wish.length, replace(wish, temperature=temperature).sampler, seed
                )
            )
            for temperature in TEMPERATURES
        ]
