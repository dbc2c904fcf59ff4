"""How to train: the settings, checked, and what a precision means on a device."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chargen.errors import ChargenError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
MOST_GENERATIONS = 100


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
