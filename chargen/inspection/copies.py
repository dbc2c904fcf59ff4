"""What of a text is copied from a corpus: verbatim passages with their place, and words that are new.

All suffixes of the corpus in the order of the alphabet are a suffix array (Manber and Myers 1993): any
passage stands at the beginning of some suffixes, which are neighbours there, so that it is found by
bisection, whatever the length of the corpus. libdivsufsort sorts them (Yuta Mori; its Python package
spares us a thousand lines of C). The index takes five bytes for a character of the corpus, six where
its alphabet has more than 256, is made once and kept beside the ids in the cache.

Characters are compared as they are: a copy ends where a single one differs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.data import cache
from chargen.data.text import Text
from chargen.errors import ChargenError, writing
from chargen.generation.copy_limit import LONGEST_WORD, CopyLimit
from chargen.tokenizers.base import Ids
from chargen.tokenizers.characters import UNKNOWN, CharTokenizer

LEAST = 30  # characters from which on a passage counts as copied
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_BLOCK = 1 << 16  # places of a text that are looked up at a time


@dataclass(frozen=True)
class Passage:
    """A piece of a text that stands in the corpus, and that no character can be added to."""

    start: int  # in the text, from 0
    length: int  # characters
    place: int  # in the corpus, from 0, of the first occurrence
    line: int  # of the corpus, from 1
    occurrences: int


@dataclass(frozen=True)
class Report:
    """What of a text is copied."""

    text: str
    least: int  # characters from which on a passage counts
    passages: list[Passage]  # in the order of the text; they may overlap
    new_words: dict[str, int]  # that the corpus does not have, and how often they come
    words: int  # in all

    @property
    def copied(self) -> int:
        """How many characters of the text are inside of copies."""
        total = end = 0
        for passage in self.passages:
            total += max(0, passage.start + passage.length - max(end, passage.start))
            end = max(end, passage.start + passage.length)
        return total

    @property
    def share(self) -> float:
        """Of the characters, from 0 to 1."""
        return self.copied / max(1, len(self.text))

    @property
    def longest(self) -> list[Passage]:
        """The passages, longest first."""
        return sorted(self.passages, key=lambda passage: -passage.length)


class Copies:
    """A corpus in which every passage can be found.

    copies = Copies.of(Text.open(["corpus.txt"]))
    print(copies.report(text).share)
    """

    def __init__(self, ids: Ids, suffixes: npt.NDArray[Any], tokenizer: CharTokenizer) -> None:
        self._ids, self._tokenizer = ids, tokenizer
        # A memoryview gives a single number in a third of the time of an array.
        self._symbols: Any = memoryview(ids)  # type: ignore[arg-type]
        self._suffixes: Any = memoryview(suffixes)  # type: ignore[arg-type]
        self._array = np.asarray(suffixes)

    @classmethod
    def of(cls, text: str | Text) -> Copies:
        """The index of a corpus, made where it is not in the cache yet: seven seconds for 100 MB."""
        source = Text.from_string(text) if isinstance(text, str) else text
        folder = cache.tokenize(source)
        path = folder / "suffixes"
        if not path.exists():
            ids, _ = cache.tokenized(folder)
            draft = folder / f"suffixes.{os.getpid()}"
            with writing(path):
                try:
                    _sorted(ids).tofile(draft)
                    draft.replace(path)
                finally:
                    draft.unlink(missing_ok=True)
        return cls._read(folder)

    @classmethod
    def cached(cls, sha256: str, encoding: str = "utf-8") -> Copies | None:
        """The index of a corpus that was made before, even if the corpus is gone since."""
        folder = cache.cached(sha256, encoding)
        return cls._read(folder) if (folder / "suffixes").exists() else None

    @classmethod
    def _read(cls, folder: Path) -> Copies:
        ids, tokenizer = cache.tokenized(folder)
        assert isinstance(tokenizer, CharTokenizer)
        path = folder / "suffixes"
        wide = path.stat().st_size == 8 * len(ids)
        suffixes = np.memmap(path, np.int64 if wide else np.int32, mode="r")
        if len(suffixes) != len(ids):
            path.unlink()
            raise ChargenError(f"{path} was damaged and has been removed; try again")
        os.utime(folder)
        return cls(ids, suffixes, tokenizer)

    def __len__(self) -> int:
        """Characters of the corpus."""
        return len(self._ids)

    def report(self, text: str, least: int = LEAST) -> Report:
        """All passages of at least so many characters, and the words that the corpus does not have."""
        if least < 1:
            raise ChargenError(f"a copy has at least 1 character, got {least}")
        found = [
            (start + begin, length, *self._first(ids[begin : begin + length]))
            for start, ids in self._runs(text)
            for begin, length in self._passages(ids, least)
        ]
        lines = self._lines(np.array([place for _, _, _, place in found], np.int64))
        passages = [
            Passage(start, length, place, line, count)
            for (start, length, count, place), line in zip(found, lines, strict=True)
        ]
        words: dict[str, int] = {}
        for match in _WORD.finditer(text):
            words[match[0]] = words.get(match[0], 0) + 1
        new = {word: count for word, count in words.items() if not self._knows(word)}
        return Report(text, least, passages, new, sum(words.values()))

    def find(self, passage: str) -> tuple[int, int]:
        """How often a passage stands in the corpus, and the place of its first occurrence or -1."""
        ids = self._tokenizer.look_up(passage)
        if not len(ids) or ids.max() == UNKNOWN:
            return 0, -1
        return self._first(ids)

    def limit(self, most: int) -> CopyLimit:
        """What keeps new text from copying more than so many characters in a row."""
        if most < 1:
            raise ChargenError(f"at least 1 character in a row must be free to copy, got {most}")
        return CopyLimit(self, most)

    def has(self, pattern: bytes) -> bool:
        """Whether characters, each by its bytes of `symbols`, stand in the corpus side by side."""
        place = self._bisect(pattern)
        return place < len(self) and self._at(place, len(pattern)) == pattern

    def word_at_end(self, pattern: bytes) -> int:
        """How long the word is in the corpus that begins with the last character of a pattern."""
        width = self._ids.itemsize
        place = self._suffixes[self._bisect(pattern)] + len(pattern) // width - 1
        letters = self._letters[self._ids[place : place + LONGEST_WORD + 1]]
        return len(letters) if letters.all() else int(letters.argmin())

    @cached_property
    def symbols(self) -> dict[str, bytes]:
        """The characters of the corpus as bytes that come in their order."""
        width = self._ids.itemsize
        characters = self._tokenizer.characters
        return {c: number.to_bytes(width, "big") for number, c in enumerate(characters)}

    def _first(self, ids: Ids) -> tuple[int, int]:
        low, high = self._range(self._pattern(ids))
        return high - low, int(self._array[low:high].min()) if high > low else -1

    def _runs(self, text: str) -> Iterator[tuple[int, Ids]]:
        """Where the parts of a text begin that consist of characters of the corpus, and their ids."""
        ids = self._tokenizer.look_up(text)
        unknown = np.flatnonzero(ids == UNKNOWN)
        edges = zip([0, *(unknown + 1).tolist()], [*unknown.tolist(), len(ids)], strict=True)
        return ((start, ids[start:end]) for start, end in edges if end > start)

    def _lines(self, places: npt.NDArray[np.int64]) -> list[int]:
        """The lines of places in the corpus, from 1, by reading it once."""
        newline = self._tokenizer.look_up("\n")[0]
        lines, line, before = np.ones(len(places), np.int64), 1, 0
        for number in np.argsort(places, kind="stable").tolist():
            place = int(places[number])
            line += int(np.count_nonzero(self._ids[before:place] == newline))
            lines[number], before = line, place
        return lines.tolist()

    def _passages(self, ids: Ids, least: int) -> Iterator[tuple[int, int]]:
        """Where each copy begins in a run of known characters, and its length."""
        hits = self._hits(ids, least)
        place = 0  # among the hits, which are the starts of all copies
        while place < len(hits):
            start = int(hits[place])
            end = start + self._reach(ids[start:], least)
            yield start, end - start
            if end == len(ids):
                return
            # The next one begins at the first place from which also the character behind is copied.
            low, high = start + 1, end + 2 - least
            while low < high:
                middle = (low + high) // 2
                if self._has(ids[middle : end + 1]):
                    high = middle
                else:
                    low = middle + 1
            place = int(np.searchsorted(hits, low))

    def _hits(self, query: Ids, least: int) -> npt.NDArray[np.int64]:
        """The places of a run at which a copy of at least so many characters begins.

        One bisection for all of them at once. What a place has in common with both neighbours is not
        compared again (Manber and Myers 1993).
        """
        ids, suffixes, size = np.asarray(self._ids), self._array, len(self._ids)
        query = query.astype(np.int32)
        found = []
        for block in range(0, max(0, len(query) - least + 1), _BLOCK):
            starts = np.arange(block, min(block + _BLOCK, len(query) - least + 1))
            low, high = np.zeros_like(starts), np.full_like(starts, size)
            low_common, high_common = np.zeros_like(starts), np.zeros_like(starts)
            best = np.zeros_like(starts)
            while (active := np.flatnonzero((low < high) & (best < least))).size:
                middle = (low[active] + high[active]) // 2
                common = np.minimum(low_common[active], high_common[active])
                suffix = suffixes[middle].astype(np.int64)
                below = np.zeros(len(active), bool)  # whether the suffix comes before the query
                rest = np.arange(len(active))
                while rest.size:
                    at = suffix[rest] + common[rest]
                    symbol = np.where(at < size, ids[np.minimum(at, size - 1)].astype(np.int32), -1)
                    wanted = query[starts[active[rest]] + common[rest]]
                    same = symbol == wanted
                    below[rest] = symbol < wanted
                    rest = rest[same]
                    common[rest] += 1
                    rest = rest[common[rest] < least]
                best[active] = np.maximum(best[active], common)
                up, down = active[below], active[~below]
                low[up], low_common[up] = middle[below] + 1, common[below]
                high[down], high_common[down] = middle[~below], common[~below]
            found.append(starts[best >= least])
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _reach(self, ids: Ids, least: int) -> int:
        """How many ids from the first on are copied, of which `least` are known to be."""
        known, step = least, least
        while known + step <= len(ids) and self._has(ids[: known + step]):
            known, step = known + step, 2 * step
        beyond = min(known + step, len(ids) + 1)  # so many are not copied
        while known + 1 < beyond:
            middle = (known + beyond) // 2
            if self._has(ids[:middle]):
                known = middle
            else:
                beyond = middle
        return known

    def _has(self, ids: Ids) -> bool:
        return self.has(self._pattern(ids))

    def _range(self, pattern: bytes) -> tuple[int, int]:
        """The suffixes that begin with a pattern: from the first one to the one behind the last."""
        return self._bisect(pattern), self._bisect(pattern, behind=True)

    def _bisect(self, pattern: bytes, behind: bool = False) -> int:
        low, high, size = 0, len(self), len(pattern)
        while low < high:
            middle = (low + high) // 2
            found = self._at(middle, size)
            if found < pattern or (behind and found == pattern):
                low = middle + 1
            else:
                high = middle
        return low

    def _at(self, number: int, size: int) -> bytes:
        """The first bytes of a suffix."""
        place = self._suffixes[number]
        if self._ids.itemsize == 1:
            return bytes(self._symbols[place : place + size])
        # The higher byte first, so that bytes come in the order of the symbols.
        return self._ids[place : place + size // 2].astype(">u2").tobytes()

    def _pattern(self, ids: Ids) -> bytes:
        """Ids as bytes that come in the order of the ids."""
        return ids.astype(np.uint8 if self._ids.itemsize == 1 else ">u2").tobytes()

    @cached_property
    def _letters(self) -> npt.NDArray[np.bool_]:
        return np.array([character.isalpha() for character in self._tokenizer.characters])

    def _knows(self, word: str) -> bool:
        """Whether the corpus has a word, however it is capitalised."""
        return any(map(self._has_word, {word, word.lower(), word.capitalize(), word.upper()}))

    def _has_word(self, word: str) -> bool:
        """Whether a word stands in the corpus with no letter before and none behind it."""
        symbols = self._tokenizer.look_up(word)
        if symbols.max() == UNKNOWN:
            return False
        low, high = self._range(self._pattern(symbols))
        ids, size = np.asarray(self._ids), len(self._ids)
        for start in range(low, high, _BLOCK):
            places = self._array[start : min(high, start + _BLOCK)].astype(np.int64)
            ends = places + len(word)
            before = (places > 0) & self._letters[ids[np.maximum(places - 1, 0)]]
            behind = (ends < size) & self._letters[ids[np.minimum(ends, size - 1)]]
            if (~before & ~behind).any():
                return True
        return False


def _sorted(ids: Ids) -> npt.NDArray[Any]:
    """The suffixes of a text in order: (N,) places, of 32 bits where they suffice."""
    from pydivsufsort import divsufsort

    if not len(ids):
        return np.zeros(0, np.int32)
    # The higher byte first; of the suffixes of the bytes, those count that begin with a symbol.
    symbols = np.array(ids) if ids.itemsize == 1 else ids.astype(">u2").view(np.uint8)
    suffixes: npt.NDArray[Any] = divsufsort(symbols)
    return suffixes if ids.itemsize == 1 else suffixes[suffixes % 2 == 0] // 2
