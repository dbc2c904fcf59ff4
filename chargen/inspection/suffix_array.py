"""A suffix array: finds where any pattern occurs in a sequence of symbols, by bisection.

All suffixes of the sequence in lexicographic order (Manber and Myers 1993). The suffixes that begin
with a pattern are neighbours in that order, so a pattern is found in time that grows with the
logarithm of the sequence's length:

    position      0 1 2 3 4 5      suffixes, sorted    5    3     1       0        4    2
    sequence      b a n a n a                          a    ana   anana   banana   na   nana

The pattern "an" begins the suffixes of ranks 1 and 2: it occurs at the positions 3 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.tokenizers.base import Ids

BLOCK = 1 << 16  # positions that are looked up at a time
Positions = npt.NDArray[np.int64]


class SuffixArray:
    """An index of a sequence of symbols, in which patterns are bytes as `pattern` makes them.

    Arguments:
        ids: (N,) the sequence, of one or two bytes per symbol.
        suffixes: (N,) the start of each suffix, in lexicographic order, as `sort_suffixes` returns.
    """

    def __init__(self, ids: Ids, suffixes: npt.NDArray[Any]) -> None:
        self.ids, self.suffixes = ids, np.asarray(suffixes)
        # Reading a single element of a memoryview takes a third of the time of an array's.
        self._symbols: Any = memoryview(ids)  # type: ignore[arg-type]
        self._starts: Any = memoryview(suffixes)  # type: ignore[arg-type]

    def __reduce__(self) -> Any:
        """Pickles the arrays; the views of them are made anew."""
        return SuffixArray, (np.asarray(self.ids), np.asarray(self.suffixes))

    def __len__(self) -> int:
        """The length N of the sequence."""
        return len(self.ids)

    def pattern(self, ids: Ids) -> bytes:
        """Returns symbols as bytes whose lexicographic order is that of the symbols."""
        return ids.astype(np.uint8 if self.ids.itemsize == 1 else ">u2").tobytes()

    def contains(self, pattern: bytes) -> bool:
        """Returns whether the pattern occurs in the sequence."""
        rank = self._bisect(pattern)
        return rank < len(self) and self._prefix(rank, len(pattern)) == pattern

    def ranks(self, pattern: bytes) -> tuple[int, int]:
        """Returns the slice of `suffixes` that begin with the pattern, as (first, last + 1)."""
        return self._bisect(pattern), self._bisect(pattern, right=True)

    def find(self, pattern: bytes) -> tuple[int, int]:
        """Returns the number of occurrences and the position of the first one, or (0, -1)."""
        low, high = self.ranks(pattern)
        return high - low, int(self.suffixes[low:high].min()) if high > low else -1

    def any_occurrence(self, pattern: bytes) -> int:
        """Returns the position of one occurrence of a pattern that the sequence contains."""
        position: int = self._starts[self._bisect(pattern)]
        return position

    def matches(self, query: Ids, min_length: int) -> Iterator[tuple[int, int]]:
        """Yields start and length of each maximal match of at least `min_length` symbols.

        A match is a run of the query that occurs in the sequence; it is maximal where no symbol can be
        added on either side. Matches are yielded in the order of the query and may overlap.
        """
        starts = self.match_starts(query, min_length)
        index = 0
        while index < len(starts):
            start = int(starts[index])
            end = start + self.match_length(query[start:], min_length)
            yield start, end - start
            if end == len(query):
                return
            # The next maximal match is the first one that also covers the symbol at `end`.
            low, high = start + 1, end + 2 - min_length
            while low < high:
                middle = (low + high) // 2
                if self.contains(self.pattern(query[middle : end + 1])):
                    high = middle
                else:
                    low = middle + 1
            index = int(np.searchsorted(starts, low))

    def match_starts(self, query: Ids, min_length: int) -> Positions:
        """Returns the positions of the query at which `min_length` symbols match the sequence.

        Bisects for all positions at once. The prefix that a position shares with both ends of its
        interval is not compared again (Manber and Myers 1993, section 3).
        """
        ids, suffixes, size = np.asarray(self.ids), self.suffixes, len(self)
        query = query.astype(np.int32)
        matching = []
        for block in range(0, max(0, len(query) - min_length + 1), BLOCK):
            starts = np.arange(block, min(block + BLOCK, len(query) - min_length + 1))
            low, high = np.zeros_like(starts), np.full_like(starts, size)
            low_common, high_common = np.zeros_like(starts), np.zeros_like(starts)
            best = np.zeros_like(starts)
            while (active := np.flatnonzero((low < high) & (best < min_length))).size:
                middle = (low[active] + high[active]) // 2
                common = np.minimum(low_common[active], high_common[active])
                suffix = suffixes[middle].astype(np.int64)
                below = np.zeros(len(active), bool)  # whether the suffix sorts before the query
                rest = np.arange(len(active))
                while rest.size:
                    position = suffix[rest] + common[rest]
                    # The end of the sequence sorts before every symbol.
                    symbol = np.where(
                        position < size, ids[np.minimum(position, size - 1)].astype(np.int32), -1
                    )
                    target = query[starts[active[rest]] + common[rest]]
                    same = symbol == target
                    below[rest] = symbol < target
                    rest = rest[same]
                    common[rest] += 1
                    rest = rest[common[rest] < min_length]
                best[active] = np.maximum(best[active], common)
                up, down = active[below], active[~below]
                low[up], low_common[up] = middle[below] + 1, common[below]
                high[down], high_common[down] = middle[~below], common[~below]
            matching.append(starts[best >= min_length])
        return np.concatenate(matching) if matching else np.zeros(0, np.int64)

    def match_length(self, query: Ids, min_length: int) -> int:
        """Returns the length of the longest prefix of the query that occurs in the sequence.

        The first `min_length` symbols must be known to occur. The search doubles its step, then
        bisects.
        """
        matched, step = min_length, min_length
        while matched + step <= len(query) and self.contains(self.pattern(query[: matched + step])):
            matched, step = matched + step, 2 * step
        unmatched = min(matched + step, len(query) + 1)
        while matched + 1 < unmatched:
            middle = (matched + unmatched) // 2
            if self.contains(self.pattern(query[:middle])):
                matched = middle
            else:
                unmatched = middle
        return matched

    def _bisect(self, pattern: bytes, right: bool = False) -> int:
        """Returns the rank of the first suffix that begins with the pattern or sorts behind it.

        With `right`, that of the first suffix that sorts behind all suffixes with this beginning.
        """
        low, high, size = 0, len(self), len(pattern)
        while low < high:
            middle = (low + high) // 2
            prefix = self._prefix(middle, size)
            if prefix < pattern or (right and prefix == pattern):
                low = middle + 1
            else:
                high = middle
        return low

    def _prefix(self, rank: int, size: int) -> bytes:
        """Returns the first `size` bytes of a suffix, as `pattern` would make them."""
        start = self._starts[rank]
        if self.ids.itemsize == 1:
            return bytes(self._symbols[start : start + size])
        # Big-endian, so that the order of the bytes is that of the symbols.
        return self.ids[start : start + size // 2].astype(">u2").tobytes()


def sort_suffixes(ids: Ids) -> npt.NDArray[Any]:
    """Returns the starts (N,) of all suffixes in lexicographic order.

    libdivsufsort sorts them (Yuta Mori; pydivsufsort spares us a thousand lines of C). The positions
    take 32 bits where those suffice, else 64.
    """
    from pydivsufsort import divsufsort

    if not len(ids):
        return np.zeros(0, np.int32)
    # Wide symbols are sorted as their bytes, big-endian; only suffixes that begin with a whole
    # symbol, at an even byte, are kept.
    symbols = np.array(ids) if ids.itemsize == 1 else ids.astype(">u2").view(np.uint8)
    suffixes: npt.NDArray[Any] = divsufsort(symbols)
    # The dtype of the result comes from ctypes; a memoryview reads only numpy's own.
    suffixes = suffixes.view(np.int32 if suffixes.itemsize == 4 else np.int64)
    return suffixes if ids.itemsize == 1 else suffixes[suffixes % 2 == 0] // 2
