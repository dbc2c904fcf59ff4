"""The generation loop: mask, choose, step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chargen.errors import ChargenError
from chargen.generation.constraints import Constraint
from chargen.generation.decoder import Array, Decoder, DecodingState
from chargen.generation.sampler import Sampler

NOISE_STEPS = 64  # steps whose random numbers are drawn at once


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
    rngs = stream_rngs(seed, streams)
    lazy = [constraint for constraint in constraints if constraint.lazy]
    while True:
        # 2. The noise of the next steps: (steps, V) for one stream, (steps, V, B) for several.
        blocks = [sampler.gumbel_noise(rng, (NOISE_STEPS, decoder.vocab_size)) for rng in rngs]
        for gumbel_noise in blocks[0] if streams == 1 else np.stack(blocks, axis=-1):
            # 3. Choose among the allowed tokens.
            for constraint in constraints:
                constraint.mask(logits)
            tokens = sampler.choose(logits, gumbel_noise)
            if lazy:
                tokens = _replace_refused(tokens, logits, gumbel_noise, sampler, lazy)
            for constraint in constraints:
                constraint.advance(tokens)
            yield tokens
            # 4. The model reads them.
            logits = decoder.step(tokens, state)


def stream_rngs(seed: int, streams: int) -> list[np.random.Generator]:
    """Returns a random number generator per stream.

    Each is seeded with its own number, so its output does not depend on how many streams are drawn
    together.
    """
    return [np.random.default_rng([seed, stream]) for stream in range(streams)]


def _replace_refused(
    tokens: Any, logits: Array, gumbel_noise: Array, sampler: Sampler, constraints: list[Constraint]
) -> Any:
    """Returns the tokens, each replaced until the constraints of its stream allow it.

    The noise stays the same: the next largest sum of logits and Gumbel noise is a draw among the rest,
    in proportion to their probabilities.
    """
    several = logits.ndim == 2
    chosen = list(tokens) if several else [tokens]
    for stream in range(len(chosen)):
        stream_logits = logits[:, stream] if several else logits
        stream_noise = gumbel_noise[:, stream] if several else gumbel_noise
        while not all(constraint.allows(stream, int(chosen[stream])) for constraint in constraints):
            stream_logits[chosen[stream]] = -np.inf
            chosen[stream] = sampler.choose(stream_logits, stream_noise)
            if np.isneginf(stream_logits[chosen[stream]]):
                raise ChargenError(
                    "no token may come next: the constraints refuse every one",
                    "allow longer copies with {max_copy}, or begin with another prompt",
                )
    return np.array(chosen) if several else chosen[0]
