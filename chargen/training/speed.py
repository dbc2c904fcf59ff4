"""The speed at which a device trains a model, measured by a few steps."""

from __future__ import annotations

import time
from typing import NamedTuple

import torch

from chargen.device import at_most_threads, autocast_for, precision_for
from chargen.model import LanguageModel, ModelConfig
from chargen.modes import default_modes
from chargen.training.config import TrainConfig
from chargen.training.soap import Soap

# Fewer threads round differently, and the same seed should give the same weights, so they are taken
# only where they are this many times faster.
MIN_SPEEDUP = 1.5
PROBE_SECONDS = 0.3
WARM_UP_STEPS = 2  # allocate and plan; counted only where steps are long


class Speed(NamedTuple):
    """A measured speed of training."""

    flops: float  # floating-point operations per second
    threads: int  # of the CPU, with which it was reached


def flops_per_token(model: ModelConfig) -> float:
    """Returns the floating-point operations per token, in matrix products, forward and backward."""
    matrices = model.parameters - model.vocab_size * model.embedding_size
    return 6.0 * matrices


def measure_speed(device: torch.device, model: ModelConfig, training: TrainConfig) -> Speed:
    """Measures how fast `device` trains such a model, and with how many CPU threads it should.

    The threads of the process stay as they are. On a CPU, fewer of them can be faster: at each of the
    many small products all wait for the slowest, so one busy core makes two threads far slower than
    one. Raises ChargenError where the device lacks the precision.
    """
    threads, fastest = torch.get_num_threads(), probe_flops(device, model, training)
    while device.type == "cpu" and threads > 1:
        with at_most_threads(threads // 2):
            flops = probe_flops(device, model, training)
        if flops < MIN_SPEEDUP * fastest:
            break
        threads, fastest = threads // 2, flops
    return Speed(fastest, threads)


@default_modes()
def probe_flops(device: torch.device, model: ModelConfig, training: TrainConfig) -> float:
    """Returns the floating-point operations per second of a few steps, with the threads there are.

    Raises ChargenError where the device lacks the precision.
    """
    network = LanguageModel.new(model, seed=0).to(device)
    precision = precision_for(training.precision, device, model)
    autocast = autocast_for(precision, device, model)
    optimizer = Soap(
        [{"params": list(network.parameters())}],
        TrainConfig.learning_rate,
        rotate_in_bf16=precision == "bf16",
    )
    ids = torch.zeros(training.window, training.batch, dtype=torch.long, device=device)
    state = network.initial_state(training.batch)
    times: list[float] = []
    while sum(times[WARM_UP_STEPS:]) < PROBE_SECONDS and sum(times) < 3 * PROBE_SECONDS:
        began = time.perf_counter()
        with autocast:
            logits, _ = network(ids, state)
        logits.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    counted = times[WARM_UP_STEPS:] or times
    return len(counted) * ids.numel() * flops_per_token(model) / sum(counted)
