"""How much each piece of a text counts for the class that a classifier predicts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from chargen.data.batches import Texts
from chargen.linear import LinearClassifier
from chargen.model import Classifier
from chargen.modes import default_modes
from chargen.tokenizers.base import Ids, Tokenizer


class Explanation(NamedTuple):
    """A prediction, and (piece, weight) for each piece of its text."""

    prediction: dict[str, float]  # probability by class, likeliest first
    weights: list[tuple[str, float]]  # of both parts together; with attention, of the network alone
    network: list[tuple[str, float]]
    ngrams: list[tuple[str, float]]  # empty without a linear classifier


@default_modes()
def explain(model: Classifier, tokenizer: Tokenizer, ids: Ids, index: int) -> list[tuple[str, float]]:
    """Returns (piece, weight) for each piece of the text `ids` (T,) behind its first token.

    With attention pooling the weight is the attention; all weights, with that of the beginning of the
    text, sum to 1. Otherwise it is gradient times input (Shrikumar et al. 2016,
    https://arxiv.org/abs/1605.01713): about what the piece added to the logit of the class `index`.
    """
    batch, lengths = (
        tensor.to(model.head.weight.device)
        for tensor in Texts.concatenate([ids], [0]).batch(np.array([0]))
    )
    stack = model.stack
    embedded = stack.embedding(batch).detach().requires_grad_()
    outputs, _ = stack.read(embedded, stack.initial_state(1), lengths=lengths)
    if model.config.pooling == "attention":
        weights = model.attention_weights(outputs, lengths)[:, 0]
    else:
        logit = model.classify(outputs, lengths)[0, index]
        (gradient,) = torch.autograd.grad(logit, embedded)
        weights = (gradient * embedded).sum(-1)[:, 0]
    pieces, pending = [], 0.0
    stream = tokenizer.detokenizer()
    for token, weight in zip(ids[1:].tolist(), weights[1:].tolist(), strict=True):
        pending += weight  # a character of several bytes has the sum of their weights
        if piece := stream.push(token):
            pieces.append((piece, pending))
            pending = 0.0
    return pieces


def explain_linear(linear: LinearClassifier, pieces: list[str], index: int) -> list[tuple[str, float]]:
    """Returns (piece, weight) for each of a text's `pieces`: see `LinearClassifier.contributions`."""
    of_characters = linear.contributions("".join(pieces), index)
    ends = np.cumsum([len(piece) for piece in pieces])
    sums = np.diff(np.concatenate([[0.0], np.cumsum(of_characters)[ends - 1]]))
    return list(zip(pieces, sums.tolist(), strict=True))
