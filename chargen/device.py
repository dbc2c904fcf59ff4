"""Devices and precisions: which of them this machine has, how a CPU computes, and CUDA graphs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache

import torch

from chargen.errors import ChargenError
from chargen.model import CELLS, ClassifierConfig, ModelConfig

BF16_MIN_HIDDEN = 128  # the hidden size from which bf16 is faster than fp32 on a CPU


def precision_for(precision: str, device: torch.device, config: ModelConfig) -> str:
    """Returns `precision`, or the fastest one for this device and model where it is "auto".

    On a GPU, cuDNN has its fastest kernels, which keep the weights on the chip from step to step, for
    fp16 only (`use_rnn_persist_small_h` in PyTorch's cuDNN/RNN.cpp). A processor that multiplies bf16
    trains an LSTM in about two thirds of the time, and nearly as well (`benchmarks/LOG.md`).
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "fp16"
    # A classifier gains nothing: nearly every batch has another length, for which kernels are set up.
    steady = config.cell == "lstm" and not isinstance(config, ClassifierConfig)
    wide = config.hidden_size >= BF16_MIN_HIDDEN
    if device.type == "cpu" and steady and wide and multiplies_bf16() and trains_in_bf16(config.cell):
        return "bf16"
    return "fp32"


@cache
def multiplies_bf16() -> bool:
    """Whether this processor has bf16 instructions; without them bf16 is slower than fp32."""
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


@cache
def trains_in_bf16(cell: str) -> bool:
    """Whether this processor can train `cell` under autocast to bf16, found by one tiny step.

    No capability flag tells: with AVX2 alone, oneDNN lacks the LSTM but torch has the GRU.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.autocast("cpu", torch.bfloat16):
            outputs, _ = CELLS[cell](4, 8)(torch.zeros(2, 2, 4))
        outputs.float().sum().backward()
    except RuntimeError:
        return False
    return True


def autocast_for(
    precision: str, device: torch.device, config: ModelConfig
) -> torch.autocast | nullcontext[None]:
    """Returns the context in which to compute a loss.

    Raises ChargenError where the device cannot train this cell in this precision.
    """
    precision = precision_for(precision, device, config)
    if precision == "fp16" and device.type != "cuda":
        raise ChargenError(
            f"fp16 trains on a CUDA GPU only, not on {device.type}", "take {precision} bf16 or fp32"
        )
    if precision == "bf16" and device.type == "cpu" and not trains_in_bf16(config.cell):
        raise ChargenError(
            f"this processor cannot train the cell {config.cell!r} in bf16", "take {precision} fp32"
        )
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.float16 if precision == "fp16" else torch.bfloat16)


def find_device(name: str) -> torch.device:
    """Returns the device called `name`: auto (the GPU where there is one), cpu, cuda or mps.

    Raises ChargenError where torch cannot use it on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    has_cuda, has_metal = torch.cuda.is_available(), torch.backends.mps.is_available()
    if (name == "cuda" and not has_cuda) or (name == "mps" and not has_metal):
        vendor = "CUDA" if name == "cuda" else "Metal"
        raise ChargenError(f"this machine has no {vendor} GPU that torch can use", "take {device} cpu")
    return torch.device(name)


@contextmanager
def at_most_threads(count: int | None) -> Iterator[None]:
    """Has torch compute with at most `count` CPU threads inside the `with` block; None is no limit."""
    before = torch.get_num_threads()
    if count is None or count >= before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Rounds denormal numbers to zero inside the `with` block.

    On a CPU they take twenty times as long as others, and mean nothing to a network.
    """
    before = flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def flushes_denormals() -> bool:
    """Whether this thread rounds denormal numbers to zero, which torch can set but not say."""
    return sys.float_info.min / 2 == 0.0


Call = Callable[[], None]


def captured(work: Call, rng: torch.Generator | None = None) -> Call:
    """Captures the kernels that `work` launches as a CUDA graph; returns the call that replays them.

    A replay reads and writes the same memory. Capturing computes nothing. A generator that `work`
    draws from must be given as `rng`, so that each replay draws anew.
    """
    graph = torch.cuda.CUDAGraph()
    if rng is not None:
        graph.register_generator_state(rng)
    with torch.cuda.graph(graph):
        work()
    return graph.replay
