"""The n-grams and words of texts, as hashes: what a linear classifier counts.

An n-gram has up to `LONGEST` characters of one word, with the space before and behind it; so a word
that stands alone has the n-grams that it has in a sentence. Beside them there are the words themselves
and pairs of neighbouring words (after fastText: Bojanowski et al. 2017, Joulin et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LONGEST = 5  # characters of an n-gram, the spaces around a word included
_SPACE = ord(" ")
# An odd factor, so that it has an inverse modulo 2^64, which all of this arithmetic is.
_FACTOR = 0x9E3779B97F4A7C15
_INVERSE = pow(_FACTOR, -1, 1 << 64)
_WORD, _PAIR = LONGEST + 1, LONGEST + 2  # in place of the number of characters

Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]


class NGrams(NamedTuple):
    """The N occurrences of n-grams in some texts, in no certain order."""

    hashes: Hashes  # (N,)
    texts: Positions  # (N,) the index of the text of each
    starts: Positions  # (N,) the position of its first character in its text; -1 for the space before
    ends: Positions  # (N,) the position behind its last character


def hash_ngrams(texts: Sequence[str]) -> NGrams:
    """Hashes the n-grams, words and pairs of words of `texts`; capital letters count as small ones."""
    joined = [f" {_folded(text)} " for text in texts]
    lengths = np.array([len(text) for text in joined], np.int64)
    codes = np.frombuffer("".join(joined).encode("utf-32-le", "surrogatepass"), np.uint32)
    owners = np.repeat(np.arange(len(texts)), lengths)
    starts_of_texts = np.cumsum(lengths) - lengths
    is_space = codes == _SPACE
    symbols = _mixed(codes.astype(np.uint64) + np.uint64(1))
    parts = [
        *_ngrams(symbols, is_space, owners),
        *_words(symbols, is_space, owners),
    ]
    hashes, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
    owner = owners[first]
    begin = starts_of_texts[owner] + 1  # the first character, behind the space before the text
    return NGrams(hashes, owner, first - begin, last - begin + 1)


def _ngrams(
    symbols: Hashes, is_space: npt.NDArray[np.bool_], owners: Positions
) -> list[tuple[Hashes, Positions, Positions]]:
    """Returns hashes with their first and last positions, for each number of characters."""
    spaces = np.cumsum(is_space)  # up to and with each position
    rolling, parts = symbols, []
    for size in range(1, LONGEST + 1):
        if size > 1:
            rolling = rolling[:-1] * np.uint64(_FACTOR) + symbols[size - 1 :]
        first = np.arange(len(rolling))
        last = first + size - 1
        inner: Positions = spaces[last] - is_space[last] - spaces[first]
        blank = is_space[first] & is_space[last]
        inside = (owners[first] == owners[last]) & (inner <= 0) & ~blank
        chosen = np.flatnonzero(inside)
        parts.append((_mixed(rolling[chosen] + np.uint64(size)), chosen, chosen + size - 1))
    return parts


def _words(
    symbols: Hashes, is_space: npt.NDArray[np.bool_], owners: Positions
) -> list[tuple[Hashes, Positions, Positions]]:
    """Returns hashes with their first and last positions, for words and for pairs of words."""
    powers = _powers(_FACTOR, len(symbols))
    sums = np.cumsum(symbols * powers, dtype=np.uint64)
    bounds = np.flatnonzero(is_space)
    before, behind = bounds[:-1], bounds[1:]
    full = (behind - before > 1) & (owners[before] == owners[behind])
    before, behind = before[full], behind[full]
    # The same word has the same polynomial wherever it begins.
    words = (sums[behind - 1] - sums[before]) * _powers(_INVERSE, len(symbols))[before]
    first, last = before + 1, behind - 1
    followed = np.flatnonzero(owners[first][1:] == owners[first][:-1])
    pairs = _mixed(words[followed]) * np.uint64(_FACTOR) + _mixed(words[followed + 1])
    return [
        (_mixed(words + np.uint64(_WORD)), first, last),
        (_mixed(pairs + np.uint64(_PAIR)), first[followed], last[followed + 1]),
    ]


def _folded(text: str) -> str:
    """Returns a text of the same length in small letters, with all white space as spaces."""
    small = text.lower()
    if len(small) != len(text):  # some letters have two small ones
        small = "".join(one if len(one.lower()) != 1 else one.lower() for one in text)
    if small.isprintable():
        return small  # of all white space, it has nothing but spaces
    return "".join(" " if one.isspace() else one for one in small)


def _powers(factor: int, count: int) -> Hashes:
    """Returns the powers 0 to `count` - 1 of a factor, (count,)."""
    factors = np.full(count, factor, np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _mixed(values: Hashes) -> Hashes:
    """Spreads values over all 64 bits (the finaliser of MurmurHash3)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    mixed: Hashes = values ^ (values >> np.uint64(33))
    return mixed
