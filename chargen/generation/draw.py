"""Drawing tokens, one step after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chargen.errors import ChargenError
from chargen.generation.constraints import Veto
from chargen.generation.decoder import Array, Decoder, DecodingState
from chargen.generation.sampler import Sampler
from chargen.tokenizers.utf8 import Guide

NOISE_STEPS = 64  # steps for which noise is drawn at once


def draw(
    decoder: Decoder,
    prompt: Sequence[int],
    sampler: Sampler,
    seed: int,
    streams: int = 1,
    guide: Guide | None = None,
) -> Iterator[Any]:
    """Reads the prompt, which must not be empty, then draws ids for ever; see `draw_on`."""
    state = decoder.start()
    logits = decoder.read(prompt, state)
    return draw_on(decoder, state, logits, sampler, seed, streams, guide)


def draw_on(
    decoder: Decoder,
    state: DecodingState,
    logits: Array,
    sampler: Sampler,
    seed: int,
    streams: int = 1,
    guide: Guide | None = None,
    vetoes: Sequence[Veto] = (),
) -> Iterator[Any]:
    """Draws ids for ever from where one stream is, whose next id has these logits (V,).

    Gives one id at a time, or an array of `streams`; neither the state nor the logits are changed.
    Each stream has its own randomness, made of the seed and the stream's number alone, so that it
    draws the same in every company. With a guide, what is drawn goes on as valid UTF-8. With a veto
    for each stream, what it refuses is drawn anew among the rest.
    """
    state = state.fork(streams)
    logits = logits.copy() if streams == 1 else np.repeat(logits[:, None], streams, 1)
    place: Any = 0 if streams == 1 else np.zeros(streams, np.int8)  # the guide's states
    generators = [np.random.default_rng([seed, stream]) for stream in range(streams)]
    while True:
        blocks = [sampler.gumbel_noise(rng, (NOISE_STEPS, decoder.vocab_size)) for rng in generators]
        # (steps, V) for one stream, (steps, V, B) for several
        for row in blocks[0] if streams == 1 else np.stack(blocks, axis=-1):
            if guide is not None:
                logits += guide.penalty[place].T
            ids = sampler.choose(logits, row)
            if vetoes:
                ids = _accepted(ids, logits, row, sampler, vetoes)
            if guide is not None:
                place = guide.after[place, ids]
            yield ids
            logits = decoder.step(ids, state)


def _accepted(ids: Any, logits: Array, noise: Array, sampler: Sampler, vetoes: Sequence[Veto]) -> Any:
    """The ids, each replaced for as long as its stream must not have it.

    The noise stays the same: the next largest sum of logits and Gumbel noise is a draw among the rest
    in proportion to their probabilities.
    """
    several = logits.ndim == 2
    chosen = list(ids) if several else [ids]
    for stream, veto in enumerate(vetoes):
        mine = logits[:, stream] if several else logits
        gumbel = noise[:, stream] if several else noise
        while veto.refuses(int(chosen[stream])):
            mine[chosen[stream]] = -np.inf
            chosen[stream] = sampler.choose(mine, gumbel)
            if np.isneginf(mine[chosen[stream]]):
                raise ChargenError("every way on is refused: allow longer copies, or begin elsewhere")
        veto.push(int(chosen[stream]))
    return np.array(chosen) if several else chosen[0]
