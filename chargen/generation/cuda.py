"""Drawing on a GPU: one captured step that draws its own tokens, which come back in blocks.

The noise is that of `draw.GumbelDraw`, so the same seed draws the same text, except where rounding
decides. The CPU waits for the GPU only at the end of a block. Where the step cannot be captured, its
kernels are launched one by one, which takes longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chargen.device import Call, agree, captured
from chargen.errors import device_errors
from chargen.generation.decoder import Array, DecodingState
from chargen.generation.draw import NOISE_STEPS, stream_rngs
from chargen.generation.sampler import Sampler
from chargen.model import LanguageModel

TOLERANCE = 1e-3  # by how much the logits of a captured step may differ from those of the plain one


@torch.no_grad()
def sample_tokens_cuda(
    model: LanguageModel,
    state: DecodingState,
    logits: Array,
    sampler: Sampler,
    seed: int,
    streams: int = 1,
    capture: Callable[[Call], Call] | None = None,
) -> Iterator[Any]:
    """Draws tokens without end, as `loop.sample_tokens` does, on the device of the model.

    Args:
        model: on a CUDA device.
        state: the state of one stream after the prefix; it is not changed.
        logits: (V,) of the token after the prefix; they are not changed.
        sampler: of which only the temperature applies.
        seed: 0 or more; the same seed draws the same tokens.
        streams: how many texts are drawn together.
        capture: makes a step fast to repeat; by default a CUDA graph.

    Yields:
        One token at each step, or an array (streams,).
    """
    with device_errors("{num}"):
        yield from _draw(model, state, logits, sampler, seed, streams, capture or captured)


def _draw(
    model: LanguageModel,
    state: DecodingState,
    logits: Array,
    sampler: Sampler,
    seed: int,
    streams: int,
    capture: Callable[[Call], Call],
) -> Iterator[Any]:
    device, vocab_size = model.head.weight.device, len(logits)
    # 1. All that a step reads and writes lies in fixed memory, as a captured step needs it.
    rngs = stream_rngs(seed, streams)
    carried = [
        tuple(_repeat(part, streams, device) for part in layer.carried) for layer in state.layers
    ]
    next_logits = torch.tensor(logits, device=device).repeat(streams, 1)  # (B, V)
    gumbel_noise = torch.zeros(NOISE_STEPS, streams, vocab_size, device=device)
    drawn = torch.zeros(NOISE_STEPS, streams, dtype=torch.long, device=device)
    index = torch.zeros(1, dtype=torch.long, device=device)  # of the step within a block

    def step() -> None:
        noise_row = gumbel_noise.index_select(0, index)[0]
        tokens = (next_logits + noise_row).argmax(-1)  # (B,), as `Sampler.choose`
        drawn.index_copy_(0, index, tokens[None])
        outputs, states = model(tokens[None], carried)
        next_logits.copy_(outputs[0])
        for layer, values in zip(carried, states, strict=True):
            for tensor, value in zip(layer, values, strict=True):
                tensor.copy_(value)
        index.add_(1)

    def begin_block() -> None:
        blocks = [sampler.gumbel_noise(rng, (NOISE_STEPS, vocab_size)) for rng in rngs]
        if sampler.greedy:
            blocks = [np.zeros_like(block) for block in blocks]
        gumbel_noise.copy_(torch.from_numpy(np.stack(blocks, 1)))
        index.zero_()

    tensors = [next_logits, *(tensor for layer in carried for tensor in layer)]
    saved = [tensor.clone() for tensor in tensors]

    def rewind() -> None:
        for tensor, value in zip(tensors, saved, strict=True):
            tensor.copy_(value)
        index.zero_()

    # 2. Warm up, since libraries choose their kernels in the first steps.
    begin_block()
    for _ in range(3):
        rewind()
        step()
    # 3. Capture the step. The captured one has to give the same from the same state.
    expected, replay = next_logits.clone(), step
    rewind()
    with suppress(Exception):  # the step is sound, whatever a capture raises
        replay_graph = capture(step)
        replay_graph()
        if agree(next_logits, expected, TOLERANCE):
            replay = replay_graph
    rewind()
    # 4. Draw a block, copy it to the CPU, hand it out.
    while True:
        for _ in range(NOISE_STEPS):
            replay()
        for tokens in drawn.clone().cpu().numpy():
            yield tokens[0] if streams == 1 else tokens
        begin_block()


def _repeat(part: Array, streams: int, device: torch.device) -> Tensor:
    """Returns a part of one stream's state, (H,), for each stream: (1, B, H)."""
    return torch.tensor(part, device=device).repeat(1, streams, 1)
