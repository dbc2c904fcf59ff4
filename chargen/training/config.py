"""The settings of a training, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass

from chargen.arguments import count, number
from chargen.errors import ChargenError
from chargen.suggestions import suggests

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
MAX_GENERATIONS = 100


@suggests
@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training; raises ChargenError for a value outside its range.

    Exactly one of `minutes`, `epochs` and `steps` is the budget.
    """

    minutes: float | None = None  # of time, evaluations included
    epochs: float | None = None  # passes over the training data
    steps: int | None = None  # updates of the weights
    batch: int = 16  # B, lanes read in parallel; of a classifier, texts
    window: int = 96  # T, tokens over which the gradient is computed at a time
    learning_rate: float = 4e-3  # at its peak
    seed: int = 0
    precision: str = "auto"  # fp16 on a GPU, bf16 on a CPU that has it, else fp32
    generations: int = 1  # networks that share the budget, each distilled from the one before it

    def __post_init__(self) -> None:
        budgets = sum(budget is not None for budget in (self.minutes, self.epochs, self.steps))
        if budgets != 1:
            raise ChargenError(
                f"a training has one budget, got {budgets}",
                "give one budget: {minutes}, {epochs} or {steps}",
            )
        for name in ("minutes", "epochs", "learning_rate"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, number(value, name, above=0))
        counts = ("steps", "batch", "window", "generations")
        for name, least in (*((field, 1) for field in counts), ("seed", 0)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, count(value, name, least))
        if self.generations > MAX_GENERATIONS:
            raise ChargenError(
                f"generations must be {MAX_GENERATIONS} at most, got {self.generations}"
            )
        if self.precision not in PRECISIONS:
            raise ChargenError(
                f"there is no precision {self.precision!r}", f"choose one of {', '.join(PRECISIONS)}"
            )

    @property
    def budget(self) -> tuple[str, float]:
        """The name of the budget and its amount."""
        budgets = {"minutes": self.minutes, "epochs": self.epochs, "steps": self.steps}
        return next((name, value) for name, value in budgets.items() if value is not None)
