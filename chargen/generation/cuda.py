"""Drawing on a GPU: a captured step that reads its own draws, and ids that come back in blocks.

The noise is that of `decoding.draw_on`, so the same seed writes the same text, but for what rounding
decides. Nobody waits for the GPU but at the end of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chargen.device import Call, captured
from chargen.generation.decoder import Array, DecodingState
from chargen.generation.draw import NOISE_STEPS
from chargen.generation.sampler import Sampler
from chargen.model import LanguageModel


@torch.no_grad()
def draw_on_gpu(
    model: LanguageModel,
    state: DecodingState,
    logits: Array,
    sampler: Sampler,
    seed: int,
    streams: int = 1,
    capture: Callable[[Call], Call] | None = None,
) -> Iterator[Any]:
    """Draws ids for ever, as `decoding.draw_on`, on the device of the model.

    Here the sampler has nothing but a temperature.
    """
    device, vocab_size = model.head.weight.device, len(logits)
    generators = [np.random.default_rng([seed, stream]) for stream in range(streams)]
    carried = [
        tuple(_lanes(part, streams, device) for part in layer.carried) for layer in state.layers
    ]
    expected = torch.tensor(logits, device=device).repeat(streams, 1)  # (B, V)
    noise = torch.zeros(NOISE_STEPS, streams, vocab_size, device=device)
    drawn = torch.zeros(NOISE_STEPS, streams, dtype=torch.long, device=device)
    at = torch.zeros(1, dtype=torch.long, device=device)

    def step() -> None:
        ids = (expected + noise.index_select(0, at)[0]).argmax(-1)  # (B,), as `Sampler.choose`
        drawn.index_copy_(0, at, ids[None])
        after, states = model(ids[None], carried)
        expected.copy_(after[0])
        for layer, values in zip(carried, states, strict=True):
            for tensor, value in zip(layer, values, strict=True):
                tensor.copy_(value)
        at.add_(1)

    def block() -> None:
        blocks = [sampler.gumbel_noise(rng, (NOISE_STEPS, vocab_size)) for rng in generators]
        if sampler.greedy:
            blocks = [np.zeros_like(some) for some in blocks]
        noise.copy_(torch.from_numpy(np.stack(blocks, 1)))
        at.zero_()

    block()
    kept = [tensor.clone() for tensor in (expected, *(t for layer in carried for t in layer))]
    for _ in range(3):  # libraries choose their kernels; then all is put back
        step()
    for tensor, value in zip((expected, *(t for layer in carried for t in layer)), kept, strict=True):
        tensor.copy_(value)
    at.zero_()
    replay = (capture or captured)(step)
    while True:
        for _ in range(NOISE_STEPS):
            replay()
        for ids in drawn.clone().cpu().numpy():
            yield ids[0] if streams == 1 else ids
        block()


def _lanes(part: Array, streams: int, device: torch.device) -> Tensor:
    """A part of one stream's state (H,) for so many: (1, B, H)."""
    return torch.tensor(part, device=device).repeat(1, streams, 1)
