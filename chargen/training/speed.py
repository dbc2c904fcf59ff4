"""The speed at which a device trains a model, measured by a few steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import torch

from chargen.device import Call, at_most_threads, autocast_for, captured, precision_for, side_stream
from chargen.errors import SMALLER_TRAINING, device_errors
from chargen.model import LanguageModel
from chargen.modes import default_modes
from chargen.shapes import ModelConfig
from chargen.training.config import TrainConfig
from chargen.training.soap import Soap

Capture = Callable[[Call], Call]

# Fewer threads round differently, and the same seed should give the same weights, so they are taken
# only where they are this many times faster.
MIN_SPEEDUP = 1.5
WARM_UP_STEPS = 3  # load libraries, allocate and plan; not counted
PROBE_STEPS, PROBE_SECONDS = 5, 0.3  # at least …
MAX_CPU_SECONDS = 0.9  # … but fewer steps on a CPU that takes this long for them


class Speed(NamedTuple):
    """A measured speed of training."""

    flops: float  # floating-point operations per second
    threads: int  # of the CPU, with which it was reached


def flops_per_token(model: ModelConfig) -> float:
    """Returns the floating-point operations per token, in matrix products, forward and backward."""
    matrices = model.parameters - model.vocab_size * model.embedding_size
    return 6.0 * matrices


def measure_speed(
    device: torch.device,
    model: ModelConfig,
    training: TrainConfig,
    capture: Capture | None = None,
) -> Speed:
    """Measures how fast `device` trains such a model, and with how many CPU threads it should.

    The threads of the process stay as they are. On a CPU, fewer of them can be faster: at each of the
    many small products all wait for the slowest, so one busy core makes two threads far slower than
    one. See `probe_flops`.
    """
    threads = torch.get_num_threads()
    fastest = probe_flops(device, model, training, capture)
    while device.type == "cpu" and threads > 1:
        with at_most_threads(threads // 2):
            flops = probe_flops(device, model, training, capture)
        if flops < MIN_SPEEDUP * fastest:
            break
        threads, fastest = threads // 2, flops
    return Speed(fastest, threads)


def capture_on(device: torch.device) -> Capture | None:
    """Returns what captures the steps of a language model on `device`; None where nothing does."""
    return captured if device.type == "cuda" else None


@default_modes()
def probe_flops(
    device: torch.device,
    model: ModelConfig,
    training: TrainConfig,
    capture: Capture | None = None,
) -> float:
    """Returns the floating-point operations per second of a few steps, with the threads there are.

    With `capture`, replayed steps are measured where they can be captured. Raises ChargenError where
    the device lacks the precision or the memory, or has failed.
    """
    with device_errors(SMALLER_TRAINING):
        times = _step_seconds(device, model, training, capture)
    return len(times) * training.window * training.batch * flops_per_token(model) / sum(times)


def _step_seconds(
    device: torch.device,
    model: ModelConfig,
    training: TrainConfig,
    capture: Capture | None,
) -> list[float]:
    """Returns the times of steps, without those of the first ones."""
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

    def compute() -> None:
        optimizer.zero_grad()
        with autocast:
            logits, _ = network(ids, state)
        logits.float().square().mean().backward()
        optimizer.step()

    def seconds(launch: Call) -> float:
        began = time.perf_counter()
        launch()
        if capture:
            optimizer.observe()  # outside of the graph; a GPU may take long for it
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    launch, spent = compute, 0.0
    most = MAX_CPU_SECONDS if device.type == "cpu" else math.inf
    with side_stream(device):
        for _ in range(WARM_UP_STEPS):
            if spent < most:
                spent += seconds(compute)
    if capture:
        with suppress(Exception):  # a training does without a graph, too
            launch = capture(compute)
        seconds(launch)
    times: list[float] = []
    while sum(times) < most and (len(times) < PROBE_STEPS or sum(times) < PROBE_SECONDS):
        times.append(seconds(launch))
    return times
