"""How fast a device trains a model, measured."""

from __future__ import annotations

import time

import torch

from chargen.device import autocast_for, precision_for
from chargen.model import LanguageModel, ModelConfig
from chargen.training.config import TrainConfig
from chargen.training.soap import Soap

MIN_SPEEDUP = 1.5  # times faster: fewer threads round otherwise, and a seed should give the same again


_PROBE_SECONDS = 0.3


def flops_per_id(model: ModelConfig) -> float:
    """Floating-point operations of forward and backward pass, per id, in matrix products."""
    matrices = model.parameters - model.vocab_size * model.embedding_size
    return 6.0 * matrices


def measured_flops(device: torch.device, model: ModelConfig, training: TrainConfig) -> float:
    """What this device gives in training such a model, in floating-point operations per second.

    Raises ChargenError where it lacks the precision.

    On a CPU, also settles for fewer threads where those are faster: all wait for the slowest at each
    of the many small products, and one busy core makes two threads far slower than one.
    """
    best = probe_flops(device, model, training)
    while device.type == "cpu" and (threads := torch.get_num_threads()) > 1:
        torch.set_num_threads(threads // 2)
        fewer = probe_flops(device, model, training)
        if fewer < MIN_SPEEDUP * best:
            torch.set_num_threads(threads)
            break
        best = fewer
    return best


def probe_flops(device: torch.device, config: ModelConfig, training: TrainConfig) -> float:
    model = LanguageModel.new(config, seed=0).to(device)
    precision = precision_for(training.precision, device, config)
    autocast = autocast_for(precision, device, config)
    rate, in_bf16 = TrainConfig.learning_rate, precision == "bf16"
    optimizer = Soap([{"params": list(model.parameters())}], rate, turned_in_bf16=in_bf16)
    ids = torch.zeros(training.window, training.batch, dtype=torch.long, device=device)
    state = model.initial_state(training.batch)
    times: list[float] = []  # the first two allocate and plan; they count only where steps are long
    while sum(times[2:]) < _PROBE_SECONDS and sum(times) < 3 * _PROBE_SECONDS:
        began = time.perf_counter()
        with autocast:
            logits, _ = model(ids, state)
        logits.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    settled = times[2:] or times
    return len(settled) * ids.numel() * flops_per_id(config) / sum(settled)
