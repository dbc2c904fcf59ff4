"""Passages of a text that are copied from a corpus, and words that the corpus does not contain.

The corpus is indexed by a suffix array over its characters (`suffix_array`), so that a passage is
found by bisection, however long the corpus. The index takes five bytes per character, six where the
alphabet has more than 256. It is built once and stored beside the tokens in the cache.

Characters are compared exactly: a copy ends at the first one that differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen import arguments
from chargen.data import cache
from chargen.data.sources import Source, open_text
from chargen.generation.copy_limit import LONGEST_WORD, CopyLimit
from chargen.inspection.suffix_array import BLOCK, SuffixArray, sort_suffixes
from chargen.suggestions import suggests
from chargen.tokenizers.base import Ids, Tokenizer
from chargen.tokenizers.characters import UNKNOWN, CharTokenizer

LEAST = 30  # characters from which on a passage counts as copied
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Passage:
    """A part of a text that occurs in the corpus and cannot be extended on either side."""

    start: int  # in the text, from 0
    length: int  # characters
    position: int  # of the first occurrence in the corpus, from 0
    line: int  # of the corpus, from 1
    occurrences: int


@dataclass(frozen=True, repr=False)
class Report:
    """The copied passages and the new words of a text."""

    text: str
    least: int  # characters from which on a passage counts
    passages: list[Passage]  # in the order of the text; they may overlap
    new_words: dict[str, int]  # words that the corpus does not contain, with their frequencies
    words: int  # of the text, new or not

    def __repr__(self) -> str:
        return (
            f"Report({self.share:.1%} of {len(self.text):,} characters copied, "
            f"{len(self.passages):,} passages, {len(self.new_words):,} new words)"
        )

    @property
    def copied(self) -> int:
        """The number of characters of the text that are part of a copied passage."""
        total = end = 0
        for passage in self.passages:
            total += max(0, passage.start + passage.length - max(end, passage.start))
            end = max(end, passage.start + passage.length)
        return total

    @property
    def share(self) -> float:
        """The share of the characters that are part of a copied passage, from 0 to 1."""
        return self.copied / max(1, len(self.text))

    @property
    def longest(self) -> list[Passage]:
        """The passages, longest first."""
        return sorted(self.passages, key=lambda passage: -passage.length)


@suggests
class Copies:
    """An indexed corpus in which every passage can be found.

    copies = Copies.of(Text.open(["corpus.txt"]))
    print(copies.report(text).share)
    """

    def __init__(self, ids: Ids, suffixes: npt.NDArray[Any], tokenizer: Tokenizer) -> None:
        assert isinstance(tokenizer, CharTokenizer)
        self._index, self._tokenizer = SuffixArray(ids, suffixes), tokenizer

    @classmethod
    def of(cls, text: Source) -> Copies:
        """Returns the index of a corpus, and builds it first where the cache does not have it.

        Building takes seven seconds for 100 MB. Raises ChargenError where the text cannot be read or
        the cache cannot be written.
        """
        ids, tokenizer, folder = cache.tokenize(open_text(text))
        with suppress(cache.DamagedEntry):  # none yet, or not what was written
            return cls._read(folder, ids, tokenizer)
        suffixes = sort_suffixes(ids)
        cache.add_file(folder, "suffixes", suffixes.data)
        return cls(ids, suffixes, tokenizer)

    @classmethod
    def cached(cls, sha256: str, encoding: str = "utf-8") -> Copies | None:
        """Returns the index of a corpus that was built earlier, even if the corpus itself is gone."""
        folder = cache.entry_folder(sha256, encoding)
        try:
            return cls._read(folder, *cache.open_entry(folder))
        except cache.DamagedEntry:
            return None

    @classmethod
    def _read(cls, folder: Path, ids: Ids, tokenizer: Tokenizer) -> Copies:
        """Reads the suffix array of an entry; raises DamagedEntry where there is no sound one."""
        path = folder / "suffixes"
        is_wide = path.exists() and path.stat().st_size == 8 * len(ids)
        suffixes = cache.load_array(path, np.int64 if is_wide else np.int32)
        if len(suffixes) != len(ids) or (len(ids) and int(suffixes.max()) >= len(ids)):
            raise cache.DamagedEntry("suffixes are not those of the tokens")
        return cls(ids, suffixes, tokenizer)

    def __repr__(self) -> str:
        return f"Copies({len(self):,} characters indexed)"

    def __len__(self) -> int:
        """The number of characters of the corpus."""
        return len(self._index)

    def report(self, text: str, least: int = LEAST) -> Report:
        """Finds all copied passages of at least `least` characters, and all new words.

        Raises ChargenError for a `least` below 1.
        """
        text, least = arguments.text(text, "text"), arguments.count(least, "least", 1)
        matches = [
            (start + begin, length, *self._find(ids[begin : begin + length]))
            for start, ids in self._known_runs(text)
            for begin, length in self._index.matches(ids, least)
        ]
        lines = self._lines(np.array([position for _, _, _, position in matches], np.int64))
        passages = [
            Passage(start, length, position, line, count)
            for (start, length, count, position), line in zip(matches, lines, strict=True)
        ]
        words: dict[str, int] = {}
        for match in _WORD.finditer(text):
            words[match[0]] = words.get(match[0], 0) + 1
        new = {word: count for word, count in words.items() if not self._knows(word)}
        return Report(text, least, passages, new, sum(words.values()))

    def find(self, passage: str) -> tuple[int, int]:
        """Returns how often a passage occurs in the corpus, and its first position, or (0, -1)."""
        ids = self._tokenizer.look_up(arguments.text(passage, "passage"))
        if not len(ids) or ids.max() == UNKNOWN:
            return 0, -1
        return self._find(ids)

    def limit(self, most: int) -> CopyLimit:
        """Returns a limit for new text: at most `most` characters in a row are copied.

        Raises ChargenError for a `most` below 1.
        """
        return CopyLimit(self, arguments.count(most, "most", 1))

    def has(self, pattern: bytes) -> bool:
        """Returns whether the corpus contains a pattern: the joined bytes of `symbols`."""
        return self._index.contains(pattern)

    def word_at_end(self, pattern: bytes) -> int:
        """Returns the length of the word that begins with the last character of a pattern.

        The word is that of one occurrence of the pattern in the corpus, which must contain it; at most
        `LONGEST_WORD` letters behind its first are counted.
        """
        ids = self._index.ids
        position = self._index.any_occurrence(pattern) + len(pattern) // ids.itemsize - 1
        letters = self._letters[ids[position : position + LONGEST_WORD + 1]]
        return len(letters) if letters.all() else int(letters.argmin())

    @cached_property
    def symbols(self) -> dict[str, bytes]:
        """The bytes that stand for each character of the corpus in a pattern."""
        width = self._index.ids.itemsize
        characters = self._tokenizer.characters
        return {c: number.to_bytes(width, "big") for number, c in enumerate(characters)}

    def _find(self, ids: Ids) -> tuple[int, int]:
        return self._index.find(self._index.pattern(ids))

    def _known_runs(self, text: str) -> Iterator[tuple[int, Ids]]:
        """Yields start and ids of each run of characters that the corpus has."""
        ids = self._tokenizer.look_up(text)
        unknown = np.flatnonzero(ids == UNKNOWN)
        edges = zip([0, *(unknown + 1).tolist()], [*unknown.tolist(), len(ids)], strict=True)
        return ((start, ids[start:end]) for start, end in edges if end > start)

    def _lines(self, positions: npt.NDArray[np.int64]) -> list[int]:
        """Returns the line of each position, from 1, in one pass over the corpus."""
        newline = self._tokenizer.look_up("\n")[0]
        lines, line, previous = np.ones(len(positions), np.int64), 1, 0
        for index in np.argsort(positions, kind="stable").tolist():
            position = int(positions[index])
            line += int(np.count_nonzero(self._index.ids[previous:position] == newline))
            lines[index], previous = line, position
        return lines.tolist()

    @cached_property
    def _letters(self) -> npt.NDArray[np.bool_]:
        return np.array([character.isalpha() for character in self._tokenizer.characters])

    def _knows(self, word: str) -> bool:
        """Returns whether the corpus contains a word, however it is capitalised."""
        return any(map(self._has_word, {word, word.lower(), word.capitalize(), word.upper()}))

    def _has_word(self, word: str) -> bool:
        """Returns whether a word occurs in the corpus without a letter on either side."""
        symbols = self._tokenizer.look_up(word)
        if symbols.max() == UNKNOWN:
            return False
        low, high = self._index.ranks(self._index.pattern(symbols))
        ids, size = np.asarray(self._index.ids), len(self)
        for start in range(low, high, BLOCK):
            positions = self._index.suffixes[start : min(high, start + BLOCK)].astype(np.int64)
            ends = positions + len(word)
            letter_before = (positions > 0) & self._letters[ids[np.maximum(positions - 1, 0)]]
            letter_after = (ends < size) & self._letters[ids[np.minimum(ends, size - 1)]]
            if (~letter_before & ~letter_after).any():
                return True
        return False
