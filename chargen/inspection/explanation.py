"""How much each piece of a text counts for the class that a classifier predicts."""

from __future__ import annotations

import numpy as np
import torch

from chargen.data.batches import Texts
from chargen.model import Classifier
from chargen.modes import default_modes
from chargen.tokenizers.base import Ids, Tokenizer


@default_modes()
def explain(model: Classifier, tokenizer: Tokenizer, ids: Ids) -> list[tuple[str, float]]:
    """Returns (piece, weight) for each piece of the text `ids` (T,) behind its first token.

    With attention pooling the weight is the attention; all weights, with that of the beginning of the
    text, sum to 1. Otherwise it is gradient times input (Shrikumar et al. 2016,
    https://arxiv.org/abs/1605.01713): about what the piece added to the logit of the likeliest class.
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
        likeliest = model.classify(outputs, lengths)[0].max()
        (gradient,) = torch.autograd.grad(likeliest, embedded)
        weights = (gradient * embedded).sum(-1)[:, 0]
    pieces, pending = [], 0.0
    stream = tokenizer.detokenizer()
    for token, weight in zip(ids[1:].tolist(), weights[1:].tolist(), strict=True):
        pending += weight  # a character of several bytes has the sum of their weights
        if piece := stream.push(token):
            pieces.append((piece, pending))
            pending = 0.0
    return pieces
