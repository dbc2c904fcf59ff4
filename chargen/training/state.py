"""Where a training is: all that its next step depends on, as tensors and plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from chargen.device import precision_for
from chargen.model import ModelConfig, State
from chargen.training.config import TrainConfig
from chargen.training.distributed import ALONE, Ranks
from chargen.training.soap import Soap

AVERAGED = 0.15  # about this share of the steps, the last ones, is in the average of the weights


class Model(Protocol):
    """A network with a state that a training may carry on; modules of torch have all else."""

    @property
    def config(self) -> ModelConfig:
        """Its shape."""

    def initial_state(self, batch: int) -> State:
        """The empty state; an empty list where nothing is carried."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Its weights."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Its weights by name."""

    def load_state_dict(self, weights: Any) -> Any:
        """Takes weights by name."""


@dataclass
class TrainingState:
    """Where a training is: with this, its settings and the corpus, it goes on as if never stopped."""

    optimizer: Soap
    scaler: torch.amp.GradScaler
    rng: torch.Generator
    state: State
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    teacher: dict[str, Tensor] = field(default_factory=dict)  # weights of the generation before
    evaluations: list[tuple[int, float]] = field(default_factory=list)  # (step, nats per id)
    step: int = 0
    position: int = 0  # in the data, as the task counts it
    ids: int = 0  # read
    loss: float = 0.0  # running mean over about the last fifty steps, nats per id
    over: bool = False  # the budget is spent, or validation has turned
    seconds: float = 0.0  # spent
    evaluated_at: float = 0.0  # seconds
    evaluation_cost: float = 0.0  # seconds that the last one took
    breakdowns: int = 0  # losses or gradients that were not finite; each halves the learning rate
    generation: int = 0  # networks that were trained before this one
    first_step: int = 0  # of this generation: how many there were before it
    first_second: float = 0.0  # and how long they took
    swapped: bool = False  # whether the model has the averages of its weights just now

    @classmethod
    def begin(
        cls, model: Model, config: TrainConfig, stack_share: float = 1.0, ranks: Ranks = ALONE
    ) -> TrainingState:
        """Before the first step. A stack that has learned before may get a share of the rate only."""
        device = device_of(model)
        rng = torch.Generator(device).manual_seed(config.seed)
        shares: dict[float, list[nn.Parameter]] = {}
        for name, weight in model.named_parameters():
            share = stack_share if name.startswith("stack.") else 1.0
            shares.setdefault(share, []).append(weight)
        groups = [{"params": weights, "share": share} for share, weights in shares.items()]
        precision = precision_for(config.precision, device, model.config)
        optimizer = Soap(groups, config.learning_rate, turned_in_bf16=precision == "bf16")
        for weight in model.parameters():
            optimizer.state[weight]["average"] = weight.detach().clone()  # which SOAP leaves alone
        scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        mine = ranks.lanes(config.batch)
        state = model.initial_state(mine.stop - mine.start)
        own = [tuple(tensor.clone() for tensor in layer) for layer in state]  # no memory shared
        return cls(optimizer, scaler, rng, own)

    def set_teacher(self, teacher: dict[str, Tensor]) -> None:
        """Has a teacher of the same shape from now on, which carries a state of its own."""
        self.teacher = teacher
        self.state = self.state + [tuple(map(torch.zeros_like, layer)) for layer in self.state]

    def begin_generation(self, fresh: TrainingState, teacher: dict[str, Tensor]) -> None:
        """Goes on with a new network at its first step; what was best so far stays the best."""
        self.optimizer, self.scaler = fresh.optimizer, fresh.scaler
        self.state, self.breakdowns, self.over, self.swapped = fresh.state, 0, False, False
        self.generation += 1
        self.first_step, self.first_second = self.step, self.seconds
        self.set_teacher(teacher)

    @property
    def best(self) -> float:
        """The lowest validation score so far, in nats per id."""
        return min((nats for _, nats in self.evaluations), default=math.inf)

    @property
    def best_step(self) -> int:
        """The step with the best score; the last one where nothing was measured yet."""
        return min(self.evaluations, key=lambda evaluation: evaluation[1], default=(self.step, 0))[0]

    @property
    def steps_in_generation(self) -> int:
        """Steps of this generation."""
        return self.step - self.first_step

    @property
    def average_weight(self) -> float:
        """How far the averages go to the weights of the next step."""
        return 1 / (1 + AVERAGED * self.steps_in_generation)

    def average(self, model: Model, average_weight: Any) -> None:
        """Moves the averages on to the weights of one more step (Shamir and Zhang 2013)."""
        for weight in model.parameters():
            self.optimizer.state[weight]["average"].lerp_(weight.detach(), average_weight)

    @contextmanager
    def averaged(self, model: Model) -> Iterator[None]:
        """The averages in place of the weights, for as long as the `with` block lasts."""
        self.swap(model)
        try:
            yield
        finally:
            self.swap(model)

    def swap(self, model: Model) -> None:
        """Exchanges the weights and their averages."""
        self.swapped = not self.swapped
        for weight in model.parameters():
            kept = self.optimizer.state[weight]
            weight.data, kept["average"] = kept["average"], weight.data

    def tensors(self, model: Model) -> dict[str, Tensor]:
        """All that a training changes and that is no plain number, by name; not copied."""
        found = {"rng": self.rng.get_state()}
        for name, weight in model.named_parameters():
            found[f"weights.{name}"] = weight.data
            for key, value in self.optimizer.state[weight].items():
                found[f"soap.{key}.{name}"] = value
            if self.swapped:  # a look at the averages changes nothing of what is kept
                found[f"weights.{name}"] = self.optimizer.state[weight]["average"]
                found[f"soap.average.{name}"] = weight.data
        for depth, layer in enumerate(self.state):
            found |= {f"state.{depth}.{i}": tensor for i, tensor in enumerate(layer)}
        between = self.teacher and not self.steps_in_generation  # two generations
        if between or self.best_step != self.step:  # else the averages are the best ones
            found |= {f"best.{name}": weight for name, weight in self.best_weights.items()}
        return found | {f"teacher.{name}": weight for name, weight in self.teacher.items()}

    def copied(self, model: Model) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors, copied, and the numbers: to go back to by `restore`."""
        tensors = self.tensors(model).items()
        # The best weights and a teacher's are replaced, never changed.
        constant = ("best.", "teacher.")
        return {k: t if k.startswith(constant) else t.clone() for k, t in tensors}, self.numbers()

    def remember(self, model: Model, nats: float) -> None:
        """Notes a score, and the weights that the model has now if they are the best yet."""
        if nats < self.best:
            self.best_weights = {k: v.detach().clone() for k, v in model.named_parameters()}
        self.evaluations.append((self.step, nats))

    def numbers(self) -> dict[str, Any]:
        """All else, as JSON can hold it."""
        kept = {name: getattr(self, name) for name in _NUMBERS}
        return kept | {"evaluations": list(self.evaluations), "scaler": self.scaler.state_dict()}

    def restore(self, model: Model, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Puts back what `tensors` and `numbers` gave; for another device, the randomness is new."""
        for name in _NUMBERS:
            setattr(self, name, numbers[name])
        self.evaluations = [(step, nats) for step, nats in numbers["evaluations"]]
        self.scaler.load_state_dict(numbers["scaler"])
        self.best_weights = {
            name: tensors.get(f"best.{name}", tensors[f"soap.average.{name}"]).to(weight, copy=True)
            for name, weight in model.named_parameters()
        }
        self.state = [tuple(tensor.clone() for tensor in layer) for layer in self.state]
        mine = self.tensors(model)
        if mine.pop("rng").shape == tensors["rng"].shape:
            self.rng.set_state(tensors["rng"])
        else:
            self.rng.manual_seed(self.step)
        for name, tensor in mine.items():
            tensor.copy_(tensors[name])


# The fields of Progress that are plain numbers.
_NUMBERS = (
    *("step", "position", "ids", "loss", "over"),
    *("seconds", "evaluated_at", "evaluation_cost", "breakdowns"),
    *("generation", "first_step", "first_second"),
)


def device_of(model: Model) -> torch.device:
    """Where its weights are."""
    return next(model.parameters()).device
