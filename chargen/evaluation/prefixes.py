"""Logits of many texts: a prefix with which several of them begin is read once.

For the texts "anna", "anne" and "ann", a stack takes a step for "a", "an", "ann", "anna" and "anne":
five steps instead of eleven. All prefixes of one length take their step together, each from the state
of the prefix that is shorter by a token.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from chargen.data.batches import Texts
from chargen.model import Classifier, State

Indices = npt.NDArray[np.int64]  # (N,)

LANES = 512  # prefixes that take a step together, so that their states stay in the processor's cache
LEVEL_NUMBERS = 1 << 22  # of the states of all prefixes of one length, at most: 16 MB
STEP_TOKENS = 64  # what a step costs before its first prefix, in tokens of texts in a batch
OUTLIER = 4  # times the median length: a longer text would need many steps of its own
BATCH_TOKENS = 1 << 14  # of a batch, the padding included, unless it has the fewest texts
FEWEST, MOST = 64, 256  # texts of a batch


class _Level(NamedTuple):
    """The P distinct prefixes of one length, in a group of texts."""

    parents: Indices  # (P,) indices into the prefixes that are shorter by a token
    tokens: Indices  # (P,) the last token of each
    ended: Indices  # (n,) the texts of this length, as positions in the group
    prefixes: Indices  # (n,) which prefix each of them is


# What the outputs of a prefix are pooled to so far, each tensor of shape (P, any).
_Pooled = tuple[Tensor, ...]


def class_logits(model: Classifier, texts: Texts, indices: Indices) -> npt.NDArray[np.float64]:
    """Returns the logits (N, C) of the texts at `indices` (N,).

    Texts are read prefix by prefix where that saves work, else in padded batches of similar length.
    The logits are the same but for rounding. Call it without gradients.
    """
    device = model.head.weight.device
    logits = np.zeros((len(indices), model.config.classes))
    remaining = np.ones(len(indices), bool)
    # On a GPU the number of steps counts more than that of the tokens. Backward, texts have no prefix
    # in common.
    if device.type == "cpu" and not model.config.bidirectional:
        for group in _groups(model, texts, indices):
            if levels := _levels(texts, indices[group]):
                logits[group] = _read_levels(model, levels, len(group)).numpy()
                remaining[group] = False
    others = np.flatnonzero(remaining)
    for part in _batches(texts.lengths[indices[others]]):
        batch = others[part]
        ids, lengths = (tensor.to(device) for tensor in texts.batch(indices[batch]))
        logits[batch] = model(ids, lengths)[0].cpu().numpy()
    return logits


def _groups(model: Classifier, texts: Texts, indices: Indices) -> Iterator[Indices]:
    """Yields positions in `indices` (N,), texts with the same first tokens together.

    Outliers of length are in groups of their own.
    """
    shape = model.config
    numbers = shape.hidden_size * (shape.num_layers * (2 if shape.cell == "lstm" else 1) + 1)
    size = max(1, LEVEL_NUMBERS // numbers)
    lengths = texts.lengths[indices]
    starts = texts.ends[indices] - lengths
    keys = np.zeros(len(indices), np.uint64)
    for time in range(4):  # 16 bits each
        tokens = np.where(lengths > time, texts.ids[np.minimum(starts + time, len(texts.ids) - 1)], 0)
        keys = keys << np.uint64(16) | tokens.astype(np.uint64)
    outliers = lengths > OUTLIER * np.median(lengths) if len(lengths) else np.zeros(0, bool)
    order = np.lexsort((keys, outliers))
    common = len(order) - int(outliers.sum())
    for part in (order[:common], order[common:]):
        for start in range(0, len(part), size):
            yield part[start : start + size]


def _levels(texts: Texts, indices: Indices) -> list[_Level]:
    """Returns the distinct prefixes of the texts at `indices` (N,), from length 1 on.

    An empty list where batches of whole texts are read as fast.
    """
    lengths = texts.lengths[indices]
    longest, saved, levels = int(lengths.max()), 0, list[_Level]()
    reading, prefixes = np.arange(len(indices)), np.zeros(len(indices), np.int64)
    starts = texts.ends[indices] - lengths
    for length in range(1, longest + 1):
        tokens = texts.ids[starts[reading] + length - 1].astype(np.int64)
        distinct, prefixes = np.unique(prefixes << 16 | tokens, return_inverse=True)
        repeated = len(reading) - len(distinct)
        saved += repeated
        # Of longer prefixes, no more are repeated.
        if saved + repeated * (longest - length) < STEP_TOKENS * longest:
            return []
        ends = lengths[reading] == length
        levels.append(_Level(distinct >> 16, distinct & 0xFFFF, reading[ends], prefixes[ends]))
        reading, prefixes = reading[~ends], prefixes[~ends]
    return levels


def _read_levels(model: Classifier, levels: list[_Level], count: int) -> Tensor:
    """Returns the logits (count, C) of the texts whose prefixes are `levels`."""
    pooled_texts = torch.empty(count, model.config.width)
    state, pooled = model.stack.initial_state(1), _pool_nothing(model)
    for length, level in enumerate(levels, start=1):
        parents = torch.split(torch.from_numpy(level.parents), LANES)
        tokens = torch.split(torch.from_numpy(level.tokens), LANES)
        states, pools = list[State](), list[_Pooled]()
        for parent, token in zip(parents, tokens, strict=True):
            before = [tuple(part.index_select(1, parent) for part in layer) for layer in state]
            outputs, after = model.stack(token[None], before)  # (1, P, H)
            states.append(after)
            pools.append(
                _pool(model, tuple(part.index_select(0, parent) for part in pooled), outputs[0])
            )
        state = [
            tuple(torch.cat(parts, 1) for parts in zip(*layer, strict=True))
            for layer in zip(*states, strict=True)
        ]
        pooled = tuple(torch.cat(parts) for parts in zip(*pools, strict=True))
        ended, prefixes = map(torch.from_numpy, level[2:])
        done = pooled[0].index_select(0, prefixes)
        if model.config.pooling == "mean":
            done /= length
        elif model.config.pooling == "attention":
            done /= pooled[1].index_select(0, prefixes)
        pooled_texts[ended] = done
    logits: Tensor = model.head(pooled_texts)
    return logits


def _pool_nothing(model: Classifier) -> _Pooled:
    """Returns what the outputs of the empty prefix are pooled to."""
    zeros = model.head.weight.new_zeros(1, model.config.width)
    if model.config.pooling == "attention":
        return zeros, zeros[:, :1], torch.full_like(zeros[:, :1], -torch.inf)
    return (torch.full_like(zeros, -torch.inf) if model.config.pooling == "max" else zeros,)


def _pool(model: Classifier, pooled: _Pooled, outputs: Tensor) -> _Pooled:
    """Adds the outputs (P, H) of one more token to what the ones before were pooled to."""
    if model.config.pooling == "last":
        return (outputs,)
    if model.config.pooling == "mean":
        return (pooled[0] + outputs,)
    if model.config.pooling == "max":
        return (torch.maximum(pooled[0], outputs),)
    # The softmax over a growing text: a sum of outputs, a sum of weights, the largest score. Where
    # that grows, both sums are scaled down (Milakov and Gimelshein 2018).
    total, weights, largest = pooled
    scores = model.attention(outputs)  # (P, 1)
    peak = torch.maximum(largest, scores)
    decay, weight = (largest - peak).exp(), (scores - peak).exp()
    return total * decay + outputs * weight, weights * decay + weight, peak


def _batches(lengths: npt.NDArray[np.int64]) -> Iterator[Indices]:
    """Yields positions in `lengths` (N,), similar lengths together."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[min(start + MOST, len(order)) - 1]])
        size = min(max(BATCH_TOKENS // longest, FEWEST), MOST)
        yield order[start : start + size]
        start += size
