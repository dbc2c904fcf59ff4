"""Devices and precisions: which there are, and what captures work for a GPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache

import torch

from chargen.errors import ChargenError
from chargen.model import ClassifierConfig, ModelConfig

WIDE = 128  # hidden size from which on bf16 is faster on a CPU


def precision_for(precision: str, device: torch.device, config: ModelConfig) -> str:
    """What "auto" means here, for a model of this shape.

    On a GPU, cuDNN has its fastest kernels, which keep the weights on the chip from step to step, for
    fp16 only (`use_rnn_persist_small_h` in PyTorch's cuDNN/RNN.cpp). A processor that multiplies bf16
    trains an LSTM in about two thirds of the time, and nearly as well (`benchmarks/LOG.md`).
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "fp16"
    # The batches of a classifier are each of another length, and gain nothing.
    steady = config.cell == "lstm" and not isinstance(config, ClassifierConfig)
    wide = config.hidden_size >= WIDE
    if device.type == "cpu" and steady and wide and multiplies_bf16():
        return "bf16"
    return "fp32"


@cache
def multiplies_bf16() -> bool:
    """Whether this processor has instructions for it; elsewhere bf16 would be slower than fp32."""
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def autocast_for(
    precision: str, device: torch.device, config: ModelConfig
) -> torch.autocast | nullcontext[None]:
    """The context of a precision; raises ChargenError where the device lacks it."""
    precision = precision_for(precision, device, config)
    if precision == "fp16" and device.type != "cuda":
        raise ChargenError(f"fp16 trains on a CUDA GPU only, not on {device.type}; take bf16 or fp32")
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.float16 if precision == "fp16" else torch.bfloat16)


def find_device(name: str) -> torch.device:
    """The device of this name; auto is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ChargenError("this machine has no CUDA GPU that torch can use; take --device cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ChargenError("this machine has no Metal GPU that torch can use; take --device cpu")
    return torch.device(name)


Call = Callable[[], None]


def captured(work: Call, rng: torch.Generator | None = None) -> Call:
    """What does the work again, on the same memory, in one launch; capturing computes nothing."""
    graph = torch.cuda.CUDAGraph()
    if rng is not None:
        graph.register_generator_state(rng)
    with torch.cuda.graph(graph):
        work()
    return graph.replay
