"""The generation loop: mask, choose, step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chargen.errors import ChargenError
from chargen.generation.constraints import Constraint
from chargen.generation.decoder import Array, Decoder, DecodingState
from chargen.generation.draw import Draw
from chargen.generation.sampler import Sampler


def sample_tokens(
    decoder: Decoder,
    state: DecodingState,
    logits: Array,
    sampler: Sampler,
    seed: int,
    streams: int = 1,
    constraints: Sequence[Constraint] = (),
) -> Iterator[Any]:
    """Draws tokens without end, for one or several texts that continue the same prefix.

    Args:
        decoder: the model.
        state: the state of one stream after the prefix; it is not changed.
        logits: (V,) of the token after the prefix; they are not changed.
        sampler: how a token is chosen.
        seed: 0 or more; the same seed draws the same tokens.
        streams: how many texts are drawn together.
        constraints: made for as many streams.

    Yields:
        One token at each step, or an array (streams,).

    Raises:
        ChargenError: if the constraints refuse every token.
    """
    # 1. Each stream begins with a copy of the prefix's state.
    state = state.fork(streams)
    logits = logits.copy() if streams == 1 else np.repeat(logits[:, None], streams, 1)
    draw = decoder.draw(sampler, seed, streams, decoder.vocab_size)
    lazy = [constraint for constraint in constraints if constraint.lazy]
    while True:
        # 2. Choose among the allowed tokens.
        for constraint in constraints:
            constraint.mask(logits)
        tokens = draw.next(logits)
        if lazy:
            tokens = _replace_refused(tokens, logits, draw, lazy)
        for constraint in constraints:
            constraint.advance(tokens)
        yield tokens
        # 3. The model reads them.
        logits = decoder.step(tokens, state)


def _replace_refused(tokens: Any, logits: Array, draw: Draw, constraints: list[Constraint]) -> Any:
    """Returns the tokens, each replaced until the constraints of its stream allow it."""
    several = logits.ndim == 2
    chosen = list(tokens) if several else [tokens]
    for stream in range(len(chosen)):
        stream_logits = logits[:, stream] if several else logits
        while not all(constraint.allows(stream, int(chosen[stream])) for constraint in constraints):
            stream_logits[chosen[stream]] = -np.inf
            chosen[stream] = draw.again(stream_logits, stream)
            if np.isneginf(stream_logits[chosen[stream]]):
                raise ChargenError(
                    "no token may come next: the constraints refuse every one",
                    "allow longer copies with {max_copy}, or begin with another prompt",
                )
    return np.array(chosen) if several else chosen[0]
