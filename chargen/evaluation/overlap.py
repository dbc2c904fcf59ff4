"""How much of the held-out text also occurs in the training part, where a score flatters a model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from chargen.data.corpus import Corpus
from chargen.tokenizers.base import Ids

CHARACTERS = 32  # from which on a passage counts as the same
TRAINING_TOKENS = 1 << 24  # the last ones of the training part, at most, that are searched
NOTABLE = 0.05  # of the held-out text, from which on it is worth a note
_BLOCK = 1 << 20  # tokens that are hashed at a time
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, with bits all over


def repeated_share(corpus: Corpus) -> float:
    """Returns the share of `corpus.scored` that is part of a passage of the training part, 0 to 1.

    A passage has `CHARACTERS` or more, in tokens of the corpus.
    """
    scored, training = corpus.scored, corpus.training[-TRAINING_TOKENS:]
    characters, _ = corpus.tokenizer.measure(scored)
    # A power of two, by which passages are hashed.
    doublings = max(1, round(np.log2(CHARACTERS * max(1, len(scored)) / max(1, characters))))
    length = 1 << doublings
    if len(scored) < length:
        return 0.0
    hashes, inverse = np.unique(_hashes(scored, doublings), return_inverse=True)
    known = np.zeros(len(hashes), bool)
    for start in range(0, len(training) - length + 1, _BLOCK):
        block = _hashes(training[start : start + _BLOCK + length - 1], doublings)
        nearest = np.searchsorted(hashes, block).clip(0, len(hashes) - 1)
        known[nearest[hashes[nearest] == block]] = True
    inside = np.zeros(len(scored) + 1, np.int64)  # +1 where a passage begins, -1 behind its end
    starts = np.flatnonzero(known[inverse])
    np.add.at(inside, starts, 1)
    np.add.at(inside, starts + length, -1)
    return float((np.cumsum(inside)[:-1] > 0).mean())


def repetition_note(share: float) -> str:
    """Returns what a person should know of a `repeated_share`, "" where it is small."""
    if share <= NOTABLE:
        return ""
    return (
        f"{share:.0%} of the held-out text also occurs in the training part, word for word: on a new "
        "text, the score will be worse"
    )


def _hashes(ids: Ids, doublings: int) -> npt.NDArray[np.uint64]:
    """Returns a hash of each passage of 2**doublings tokens, (N - 2**doublings + 1,).

    The hash of a passage is that of its first half times a power of `_BASE`, plus that of the second.
    """
    hashes, factor = ids.astype(np.uint64) + np.uint64(1), _BASE
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64
        for doubling in range(doublings):
            half = 1 << doubling
            hashes = hashes[:-half] * factor + hashes[half:]
            factor = factor * factor
    return hashes
