"""Devices and precisions: which of them this machine has, how a CPU computes, and CUDA graphs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache

import torch
from torch import Tensor

from chargen.errors import ChargenError, DeviceError, first_line
from chargen.model import CELLS
from chargen.shapes import ClassifierConfig, ModelConfig

DEVICES = ("auto", "cpu", "cuda", "mps")
BF16_MIN_HIDDEN = 128  # the hidden size from which bf16 is faster than fp32 on a CPU


def precision_for(precision: str, device: torch.device, config: ModelConfig) -> str:
    """Returns `precision`, or the fastest one for this device and model where it is "auto".

    A GPU multiplies fp16 faster than fp32, and PyTorch runs cuDNN's recurrent layers in fp16 for bf16,
    too. Their kernels that keep the weights on the chip from step to step know fp16 only, and a V100
    or the large GPUs from the A100 on, but not sm_75 and sm_86, such as T4 and RTX 30
    (`use_persist_device_heuristics` in PyTorch's cudnn/RNN.cpp).

    A processor that multiplies bf16 trains an LSTM in about two thirds of the time, and nearly as well
    (`benchmarks/LOG.md`).
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


def scales_gradients(precision: str, device: torch.device) -> bool:
    """Whether a loss is scaled in `precision`, so that small gradients do not vanish in fp16.

    cuDNN's recurrent layers compute in fp16 for bf16, too.
    """
    return precision == "fp16" or (precision == "bf16" and device.type == "cuda")


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


def find_device(name: str, precision: str = "auto") -> torch.device:
    """Returns the device called `name`: auto (the GPU where one works), cpu, cuda or mps.

    A GPU has to pass a small training in `precision`. Raises ChargenError where torch cannot use the
    device on this machine.
    """
    if str(name).partition(":")[0] not in DEVICES:
        raise ChargenError(f"there is no device {name!r}", f"choose one of {', '.join(DEVICES)}")
    has_cuda, has_metal = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if has_cuda and not device_fault("cuda", precision) else "cpu"
    if (name == "cuda" and not has_cuda) or (name == "mps" and not has_metal):
        vendor = "CUDA" if name == "cuda" else "Metal"
        raise ChargenError(f"this machine has no {vendor} GPU that torch can use", "take {device} cpu")
    if name != "cpu" and (fault := device_fault(name, precision)):
        raise DeviceError(f"the GPU cannot be used ({fault})", "take {device} cpu")
    return torch.device(name)


def device_notes(name: str, precision: str = "auto") -> list[str]:
    """Returns what a person should know of the device that `find_device` chooses by itself."""
    fault = device_fault("cuda", precision) if name == "auto" and torch.cuda.is_available() else ""
    return [f"the GPU cannot be used ({fault}): taking the CPU"] if fault else []


@cache
def device_fault(name: str, precision: str) -> str:
    """Returns the error of a small training in `precision` on the device `name`, or "".

    torch may find a GPU for which it has no kernels, or whose driver or libraries do not fit. The
    training also loads the libraries, so that a measurement of speed does not count that.
    """
    size = 128  # for which a GPU has its fastest kernels
    try:
        device = torch.device(name)
        with torch.random.fork_rng(devices=[]):
            layer = CELLS["lstm"](size, size).to(device)
        with autocast_for(precision, device, ModelConfig(size, hidden_size=size)):
            outputs, _ = layer(torch.zeros(2, 8, size, device=device))
        outputs.float().sum().backward()
        basis = torch.eye(size, device="cpu" if name == "mps" else name)
        # Reading a number waits for the device, whose errors come late.
        for tensor in (layer.weight_hh_l0.grad, torch.linalg.qr(basis)[0]):
            if not torch.isfinite(tensor.sum()).item():
                return "its results are not finite"
    except Exception as error:  # whatever a driver raises
        return first_line(error)
    return ""


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Returns a tensor of the CPU on `device`; for a GPU, the copy may still be under way."""
    if device.type == "cuda":
        return tensor.contiguous().pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


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
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        if rng is not None:
            graph.register_generator_state(rng)
        with torch.cuda.graph(graph):
            work()
    except BaseException:
        torch.cuda.set_stream(stream)  # where a capture fails, torch leaves its own one current
        with suppress(RuntimeError):
            graph.reset()
        raise
    return graph.replay


@contextmanager
def side_stream(device: torch.device) -> Iterator[None]:
    """Launches on another stream, as a capture does, so that autograd keeps to no stream of before."""
    if device.type != "cuda":
        yield
        return
    usual = torch.cuda.current_stream(device)
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(usual)
    with torch.cuda.stream(side):
        yield
    usual.wait_stream(side)


def agree(result: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Whether `result` is `expected`, but for a distance of `tolerance` times its norm."""
    same = result.eq(expected) | (result.isnan() & expected.isnan())  # infinite numbers, too
    distance = (result.double() - expected.double()).masked_fill(same, 0.0).norm()
    return bool(distance <= tolerance * expected.double().nan_to_num(0.0, 0.0, 0.0).norm())
