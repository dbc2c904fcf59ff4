"""Two baselines for a language model on the same text: an n-gram model and the compressor xz.

The n-gram model interpolates the orders 1 to n (Witten and Bell 1991). The counts after a context have
the more weight against the lower order, the more often the context occurred and the fewer different
tokens followed it:

    p(w | context) = (count(context, w) + distinct(context) * lower(w)) / (total + distinct)
"""

from __future__ import annotations

import lzma

import numpy as np
import numpy.typing as npt

from chargen.data.corpus import Corpus
from chargen.tokenizers.base import Ids

TRAINING_IDS = 2_000_000  # the n-gram model counts this many tokens at most, the last ones


def baseline_bits(corpus: Corpus) -> dict[str, float]:
    """Returns the bits per character of each baseline on `corpus.scored`, by its name.

    Empty where that has fewer than two tokens.
    """
    ids = corpus.scored
    if len(ids) < 2:
        return {}
    characters, _ = corpus.tokenizer.measure(ids[1:])
    vocab_size = len(corpus.tokenizer)
    bits = {
        f"{name} model": ngram_bits(corpus.training, ids, vocab_size, order)
        for name, order in (("unigram", 1), ("5-gram", 5))
    }
    bits["xz"] = xz_bits(corpus.tokenizer.decode(ids))
    return {name: value / characters for name, value in bits.items()}


def better_note(baselines: dict[str, float], bits: float) -> str:
    """Returns what a person should know of baselines that are better than a network, "" for none.

    `baselines` and `bits` are in bits per character, on the same text.
    """
    better = [name for name, value in baselines.items() if value < bits]
    if not better:
        return ""
    return (
        f"on this text {' and '.join(better)} predict better than the network; what helps it is more "
        "time, then more text"
    )


def ngram_bits(training: Ids, validation: Ids, vocab_size: int, order: int) -> float:
    """Returns the total surprise in bits of an n-gram model at `validation[1:]`.

    The model counts the last `TRAINING_IDS` tokens of `training` (N,). The order is lowered where the
    code of an n-gram would not fit into 62 bits.
    """
    while vocab_size**order >= 2**62:
        order -= 1
    training = training[-TRAINING_IDS:]
    probability = np.full(len(validation) - 1, 1 / vocab_size)  # of the uniform model, order 0
    for n in range(1, order + 1):
        grams, counts = np.unique(_codes(training, n, vocab_size), return_counts=True)
        contexts, first = np.unique(grams // vocab_size, return_index=True)
        totals = np.add.reduceat(counts, first)  # occurrences of each context
        followers = np.diff(np.append(first, len(grams)))  # distinct tokens after each context
        # The first targets have fewer than n - 1 tokens before them: they keep the lower order.
        targets = _codes(validation, n, vocab_size)[1 if n == 1 else 0 :]
        count = _look_up(grams, counts, targets)
        total = _look_up(contexts, totals, targets // vocab_size)
        distinct = _look_up(contexts, followers, targets // vocab_size)
        lower = probability[len(probability) - len(targets) :]
        lower[:] = np.where(
            total > 0, (count + distinct * lower) / np.maximum(1, total + distinct), lower
        )
    return float(-np.log2(probability).sum())


def xz_bits(text: str) -> int:
    """Returns the size in bits of a text that xz has compressed, at its default level."""
    return 8 * len(lzma.compress(text.encode(), format=lzma.FORMAT_XZ, preset=6))


def _codes(ids: Ids, n: int, vocab_size: int) -> npt.NDArray[np.int64]:
    """Returns one number for each n-gram (N - n + 1,); divided by V, it is that of its context."""
    codes = np.zeros(max(0, len(ids) - n + 1), np.int64)
    for k in range(n):
        codes = codes * vocab_size + ids[k : k + len(codes)]
    return codes


def _look_up(
    keys: npt.NDArray[np.int64], values: npt.NDArray[np.int64], queries: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Returns the value of each query, 0 where it is not among the sorted keys."""
    index = np.searchsorted(keys, queries).clip(0, len(keys) - 1)
    return np.where(keys[index] == queries, values[index], 0)
