"""Documents: a text as a collection of names, poems or jokes, and the order in which they are kept.

A collection has no order of its own: a list may be sorted, and its end is then unlike its beginning.
So documents are kept in the order of a hash of their text. It is as good as a shuffled order, the same
on every machine, and puts equal documents side by side, so that a cut between two that differ
leaves no document on both of its sides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from chargen.errors import ChargenError
from chargen.tokenizers.base import Ids, Tokenizer

SPLIT_SEED = 0  # of the order in which new trainings keep their documents
LONGEST = 20_000_000  # characters of a document
_BLOCK = 10_000  # documents that are joined at a time
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")

Keys = npt.NDArray[np.uint64]  # (N,) a hash of each document


def documents(pieces: Iterable[str], split_on: str) -> Iterator[str]:
    """Yields the documents of a text, without the blank lines around them; empty ones are left out.

    `split_on` is "line", "blank-line" (one or more lines of nothing but white space), or any other
    separator. Raises ChargenError where no separator comes for `LONGEST` characters.
    """
    if split_on == "blank-line":
        split = partial(_BLANK_LINES.split)
    else:
        split = partial(_split, separator(split_on))
    rest = ""
    for piece in pieces:
        *complete, rest = split(rest + piece)
        yield from filter(None, map(_strip, complete))
        if len(rest) > LONGEST:
            raise ChargenError(
                f"the separator {split_on!r} does not occur in {len(rest):,} characters, too long for "
                "one document",
                "set {split_on} to another one, or leave it out for one continuous text",
            )
    yield from filter(None, [_strip(rest)])


def adapt(
    text: str, tokenizer: Tokenizer, split_on: str | None, skip: bool = False
) -> tuple[str, list[str]]:
    """Replaces characters that a vocabulary lacks, document by document; see `Tokenizer.adapt`.

    What separates the documents stays, although no document contains it.
    """
    if split_on is None:
        return tokenizer.adapt(text, skip)
    adapted, notes = [], []
    for document in documents([text], split_on):
        replaced, more = tokenizer.adapt(document, skip)
        adapted.append(replaced)
        notes += more
    return separator(split_on).join(adapted), list(dict.fromkeys(notes))


def separator(split_on: str) -> str:
    """Returns the text that stands between two documents."""
    return {"line": "\n", "blank-line": "\n\n"}.get(split_on, split_on)


def key(document: str, seed: int) -> int:
    """Returns the hash by which a document is ordered, from 0 to 2**64 - 1."""
    salt = seed.to_bytes(8, "little")
    return int.from_bytes(hashlib.blake2b(document.encode(), digest_size=8, key=salt).digest(), "big")


def last_training_key(collection: Iterable[str], fraction: float, seed: int) -> int:
    """Returns the key of the last document of a collection that is for training, -1 for none.

    These are the documents with the smallest keys, up to `fraction` of the characters, in which the
    end of a document counts as one.
    """
    keys: list[int] = []
    lengths: list[int] = []
    for document in collection:
        keys.append(key(document, seed))
        lengths.append(len(document) + 1)
    order = np.argsort(np.array(keys, np.uint64), kind="stable").tolist()
    ends = np.cumsum([lengths[index] for index in order])
    ordered = [keys[index] for index in order]
    count = training_count(ends, int(fraction * sum(lengths)), lambda i: ordered[i - 1] != ordered[i])
    return ordered[count - 1] if count else -1


def training_count(ends: npt.NDArray[np.int64], target: int, differs: Callable[[int], bool]) -> int:
    """Returns how many of D documents in order are for training: those up to about `target`.

    `ends` (D,) are the ends of the documents. `differs(i)` says whether document i differs from that
    before it. Between two that are equal there is no cut: the nearest place with one is taken.
    """
    count = int(np.searchsorted(ends, target, side="right"))
    below = next((i for i in range(count, 0, -1) if i == len(ends) or differs(i)), 0)
    above = next((i for i in range(count + 1, len(ends)) if differs(i)), len(ends))
    if below and target - ends[below - 1] <= ends[above - 1] - target:
        return below
    return below if below == count else above


def in_order(ids: Ids, lengths: npt.NDArray[np.int64], keys: Keys) -> Iterator[Ids]:
    """Yields the tokens `ids` (N,) of D documents in the order of their `keys` (D,), in pieces.

    `lengths` (D,) are those of the documents in tokens.
    """
    ends = np.cumsum(lengths)
    order = np.argsort(keys, kind="stable")
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK].tolist()
        yield np.concatenate([ids[ends[index] - lengths[index] : ends[index]] for index in block])


def _split(between: str, text: str) -> list[str]:
    return text.split(between)


def _strip(document: str) -> str:
    """Returns a document without the blank lines around it; "" for one of nothing but white space."""
    first, end = len(document) - len(document.lstrip()), document.find("\n", len(document.rstrip()))
    if first == len(document):
        return ""
    return document[document.rfind("\n", 0, first) + 1 : None if end < 0 else end]
