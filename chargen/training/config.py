"""How to train: the settings, checked, and what a precision means on a device."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache

import torch

from chargen.errors import ChargenError
from chargen.model import ClassifierConfig, ModelConfig

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
MOST_GENERATIONS = 100
WIDE = 128  # hidden size from which on bf16 is faster on a CPU


@dataclass(frozen=True)
class TrainConfig:
    """How to train; raises ChargenError where a value makes no sense."""

    minutes: float | None = None  # exactly one of the three budgets is given
    epochs: float | None = None  # passes over the training part
    steps: int | None = None
    batch: int = 16  # B, lanes read in parallel
    window: int = 96  # T, ids from which the gradient is taken at a time
    learning_rate: float = 4e-3  # at its highest
    seed: int = 0
    precision: str = "auto"  # fp16 on a GPU, bf16 on a CPU that has it, else fp32
    generations: int = 1  # networks that share the budget, each taught by the one before it as well

    def __post_init__(self) -> None:
        budgets = [self.minutes, self.epochs, self.steps]
        if sum(budget is not None for budget in budgets) != 1:
            raise ChargenError("give one budget: --minutes, --epochs or --steps")
        for name in ("minutes", "epochs", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
                raise ChargenError(f"{name} must be above 0 and finite, got {value!r}")
        counts = ("steps", "batch", "window", "generations")
        for name, least in (*((count, 1) for count in counts), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and least <= value < 1 << 63):
                raise ChargenError(f"{name} must be a whole number from {least}, got {value!r}")
        if self.generations > MOST_GENERATIONS:
            raise ChargenError(
                f"generations must be {MOST_GENERATIONS} at most, got {self.generations}"
            )
        if self.precision not in PRECISIONS:
            raise ChargenError(
                f"there is no precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}"
            )

    @property
    def budget(self) -> tuple[str, float]:
        """Which budget it is, and how much."""
        budgets = {"minutes": self.minutes, "epochs": self.epochs, "steps": self.steps}
        return next((name, value) for name, value in budgets.items() if value is not None)


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
