"""Two scores that anyone can judge a model by: an n-gram model and xz, on the same text.

The n-gram model interpolates orders 1 to n (Witten and Bell 1991): what was seen after a context is
trusted the more, the more often the context was seen and the fewer things followed it.
"""

from __future__ import annotations

import lzma

import numpy as np
import numpy.typing as npt

from chargen.data.corpus import Corpus

Ids = npt.NDArray[np.unsignedinteger]

TRAINING_IDS = 2_000_000  # the n-gram model counts the last so many; more takes longer than it helps


def ngram_bits(training: Ids, validation: Ids, vocab_size: int, order: int) -> float:
    """The surprise in bits, in all, at `validation[1:]` of an n-gram model of the training ids.

    The order is lowered where so many ids would not fit a 64-bit code.
    """
    while vocab_size**order >= 2**62:
        order -= 1
    training = training[-TRAINING_IDS:]
    probability = np.full(len(validation) - 1, 1 / vocab_size)  # of an order-0 model
    for n in range(1, order + 1):
        grams, counts = np.unique(_codes(training, n, vocab_size), return_counts=True)
        contexts, first = np.unique(grams // vocab_size, return_index=True)
        seen = np.add.reduceat(counts, first)  # how often each context was seen
        followers = np.diff(np.append(first, len(grams)))  # how many different ids came after it
        # The first targets have shorter contexts than n - 1 ids: they keep the lower order.
        targets = _codes(validation, n, vocab_size)[1 if n == 1 else 0 :]
        count = _look_up(grams, counts, targets)
        total = _look_up(contexts, seen, targets // vocab_size)
        distinct = _look_up(contexts, followers, targets // vocab_size)
        lower = probability[len(probability) - len(targets) :]
        lower[:] = np.where(
            total > 0, (count + distinct * lower) / np.maximum(1, total + distinct), lower
        )
    return float(-np.log2(probability).sum())


def xz_bits(text: str) -> int:
    """The size of a text compressed by xz, in bits."""
    return 8 * len(lzma.compress(text.encode(), format=lzma.FORMAT_XZ, preset=6))


def _codes(ids: Ids, n: int, vocab_size: int) -> npt.NDArray[np.int64]:
    """One number for each run of n ids; divided by V, it is the number of the run less its last."""
    codes = np.zeros(max(0, len(ids) - n + 1), np.int64)
    for k in range(n):
        codes = codes * vocab_size + ids[k : k + len(codes)]
    return codes


def _look_up(
    keys: npt.NDArray[np.int64], values: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The values at the wanted keys, 0 where a key is missing; the keys are in order."""
    at = np.searchsorted(keys, wanted).clip(0, len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)


BASELINE_IDS = 1 << 17  # by which simpler models are measured


def baseline_bits(corpus: Corpus) -> dict[str, float]:
    """What a model has to be better than, in bits per character of the validation part."""
    ids = corpus.validation[:BASELINE_IDS]
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
