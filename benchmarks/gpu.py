"""`python -m benchmarks.gpu`: training and writing on a GPU, beside bare cuDNN and a plain loop.

Bare cuDNN is the recurrent layers alone, forward and backward, in the same precision and with all
inputs in place: what a step cannot be faster than. The plain loop is what everyone writes first: one
`nn.LSTM` of all layers under autocast, its loss read at every step, AdamW. Writing is compared with a
loop of one-character steps through `nn.LSTM` and `torch.multinomial`. `bases` is the share of a step
that SOAP's moments and bases take, which are computed outside of the graph.
"""

from __future__ import annotations

import argparse
import itertools
import string
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import report
from chargen import Sampler, Text
from chargen.data.corpus import prepare
from chargen.generation.cuda import sample_tokens_cuda
from chargen.generation.decoder import Decoder
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig
from chargen.training.config import TrainConfig
from chargen.training.language_modeling import train
from chargen.training.soap import BASIS_EVERY, Soap

EMBEDDING = 128
HALF = torch.float16


def per_call(call: Callable[[], Any], times: int) -> float:
    """Seconds per call, the GPU waited for at the end."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / times


def our_step(config: ModelConfig, batch: int, window: int) -> float:
    """Seconds per step of `chargen train`, everything counted."""
    letters = np.random.default_rng(0).choice(list(string.printable[:65]), 2_000_000)
    corpus = prepare(Text.from_string("".join(letters)), val_fraction=0.0)
    model = LanguageModel.new(config, seed=0).cuda()
    steps = train(model, corpus, TrainConfig(steps=10**7, batch=batch, window=window))
    return per_call(lambda: next(steps), 400)


def bases(config: ModelConfig) -> float:
    """Seconds of the moments and bases of SOAP, per step."""
    model = LanguageModel.new(config, seed=0).cuda()
    optimizer = Soap([{"params": list(model.parameters())}], TrainConfig.learning_rate)
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)
    return per_call(optimizer.observe, 25 * BASIS_EVERY)


def bare_cudnn(config: ModelConfig, batch: int, window: int) -> float:
    """Seconds of the layers alone, forward and backward."""
    sizes = [config.embedding_size, *[config.hidden_size] * (config.num_layers - 1)]
    layers = [nn.LSTM(size, config.hidden_size).cuda().to(HALF) for size in sizes]
    for layer in layers:
        layer.flatten_parameters()
    inputs = [
        torch.randn(window, batch, size, device="cuda", dtype=HALF, requires_grad=True)
        for size in sizes
    ]
    gradient = torch.randn(window, batch, config.hidden_size, device="cuda", dtype=HALF)

    def call() -> None:
        for layer, sequence in zip(layers, inputs, strict=True):
            outputs: torch.Tensor = layer(sequence)[0]
            outputs.backward(gradient)  # type: ignore[no-untyped-call]

    return per_call(call, 100)


def plain_step(config: ModelConfig, batch: int, window: int) -> float:
    """Seconds per step of a plain loop."""
    embedding = nn.Embedding(config.vocab_size, config.embedding_size).cuda()
    lstm = nn.LSTM(config.embedding_size, config.hidden_size, config.num_layers).cuda()
    head = nn.Linear(config.hidden_size, config.vocab_size).cuda()
    weights = [*embedding.parameters(), *lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights)
    ids = torch.randint(config.vocab_size, (window, batch), device="cuda")
    state = None

    def call() -> None:
        nonlocal state
        with torch.autocast("cuda", torch.bfloat16):
            outputs, after = lstm(embedding(ids), state)
            loss = F.cross_entropy(head(outputs).flatten(0, 1), ids.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        state = tuple(tensor.detach() for tensor in after)
        loss.item()

    return per_call(call, 50)


def our_writing(config: ModelConfig, streams: int) -> float:
    """Characters per second of `chargen sample --device cuda`."""
    model = LanguageModel.new(config, seed=0)
    decoder = Decoder(model)
    state = decoder.initial_state()
    logits = decoder.read([0], state)
    draws = sample_tokens_cuda(model.cuda(), state, logits, Sampler(0.8), 0, streams)
    steps = 640
    return streams * steps / per_call(lambda: list(itertools.islice(draws, steps)), 3)


@torch.no_grad()
def plain_writing(config: ModelConfig) -> float:
    """Characters per second of a plain loop."""
    embedding = nn.Embedding(config.vocab_size, config.embedding_size).cuda()
    lstm = nn.LSTM(config.embedding_size, config.hidden_size, config.num_layers).cuda()
    head = nn.Linear(config.hidden_size, config.vocab_size).cuda()
    token, state = torch.zeros(1, 1, dtype=torch.long, device="cuda"), None

    def call() -> None:
        nonlocal token, state
        outputs, state = lstm(embedding(token), state)
        token = torch.multinomial((head(outputs[-1]) / 0.8).softmax(-1), 1)
        token.item()

    return 1 / per_call(call, 200)


def measure(hidden: int, batch: int, window: int) -> dict[str, object]:
    """One row of the table."""
    config = ModelConfig(65, hidden_size=hidden, embedding_size=EMBEDDING)
    ours, bare = our_step(config, batch, window), bare_cudnn(config, batch, window)
    plain = plain_step(config, batch, window)
    one, many, loop = our_writing(config, 1), our_writing(config, 1024), plain_writing(config)
    return {
        "shape": f"2x{hidden}",
        "lanes": f"{batch}x{window}",
        "characters_per_second": batch * window / ours,
        "ms_per_step": 1000 * ours,
        "of_bare_cudnn": bare / ours,
        "bases": bases(config) / ours,
        "to_plain_loop": plain / ours,
        "writing": one,
        "writing_to_loop": one / loop,
        "1024_streams": many,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this machine has no CUDA GPU that torch can use")
    print(torch.cuda.get_device_name(), file=sys.stderr)
    sizes = ((128, 64, 96), (256, 64, 96), (512, 64, 96), (1024, 128, 96))
    report([measure(*size) for size in sizes], arguments.json)


if __name__ == "__main__":
    main()
