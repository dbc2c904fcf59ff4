"""The state of a training: all that its next step depends on, as tensors and plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from chargen.device import precision_for, scales_gradients
from chargen.errors import SMALLER_TRAINING, device_errors
from chargen.model import State
from chargen.modes import default_modes
from chargen.shapes import ModelConfig
from chargen.training.averages import WeightAverages
from chargen.training.config import TrainConfig
from chargen.training.distributed import ALONE, Ranks
from chargen.training.soap import Soap

Number = TypeVar("Number", bool, int, float)
Snapshot = tuple[dict[str, Tensor], dict[str, Any]]  # what `TrainingState.restore` takes


class Model(Protocol):
    """A torch module whose recurrent state a training may carry from step to step."""

    @property
    def config(self) -> ModelConfig:
        """Its shape."""

    def initial_state(self, batch: int) -> State:
        """Returns the empty state of `batch` lanes; an empty list where nothing is carried."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yields its weights."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yields its weights with their names."""

    def load_state_dict(self, weights: Any) -> Any:
        """Copies `weights`, by name, into its own."""


def _saved(initial: Number) -> Number:
    """A field that is saved as a plain number; its name is its key in the file."""
    number: Number = field(default=initial, metadata={"saved": True})
    return number


@dataclass
class TrainingState:
    """All that changes in a training; with its settings and the data, enough to resume it exactly.

    It belongs to the model that it was begun with.
    """

    optimizer: Soap
    averages: WeightAverages
    scaler: torch.amp.GradScaler
    rng: torch.Generator
    carried: State  # the recurrent state of all lanes, of a teacher's layers behind the model's own
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    teacher: dict[str, Tensor] = field(default_factory=dict)  # the weights of the generation before
    evaluations: list[tuple[int, float]] = field(default_factory=list)  # (step, validation loss)
    threads: int | None = None  # at most, on the CPU; None for as many as torch has
    step: int = _saved(0)  # taken so far
    position: int = _saved(0)  # in the data, as the task counts it
    ids: int = _saved(0)  # tokens read so far
    loss: float = _saved(0.0)  # running mean over about fifty steps, in nats per token
    over: bool = _saved(False)  # whether the budget is spent, or the training stopped early
    seconds: float = _saved(0.0)  # spent so far
    evaluated_at: float = _saved(0.0)  # seconds at the last evaluation
    evaluation_cost: float = _saved(0.0)  # seconds that it took
    breakdowns: int = _saved(0)  # divergences so far, each of which halves the learning rate
    generation: int = _saved(0)  # networks trained before this one
    first_step: int = _saved(0)  # steps before this generation
    first_second: float = _saved(0.0)  # seconds before this generation
    single_precision: bool = _saved(False)  # whether half precision was given up

    @classmethod
    @default_modes()
    @device_errors(SMALLER_TRAINING)
    def begin(
        cls, model: Model, config: TrainConfig, stack_share: float = 1.0, ranks: Ranks = ALONE
    ) -> TrainingState:
        """Returns the state before the first step.

        `stack_share` scales the learning rate of the recurrent stack, for one that is pretrained.
        Raises ChargenError where the batch cannot be divided among `ranks`, and where the memory does
        not suffice.
        """
        device = device_of(model)
        rng = torch.Generator(device).manual_seed(config.seed)
        shares: dict[float, list[nn.Parameter]] = {}
        for name, weight in model.named_parameters():
            share = stack_share if name.startswith("stack.") else 1.0
            shares.setdefault(share, []).append(weight)
        groups = [{"params": weights, "share": share} for share, weights in shares.items()]
        precision = precision_for(config.precision, device, model.config)
        optimizer = Soap(groups, config.learning_rate, rotate_in_bf16=precision == "bf16")
        averages = WeightAverages(model.named_parameters())
        scaler = torch.amp.GradScaler(device.type, enabled=scales_gradients(precision, device))
        lanes = ranks.lanes(config.batch)
        empty = model.initial_state(lanes.stop - lanes.start)
        carried = [tuple(tensor.clone() for tensor in layer) for layer in empty]  # share no memory
        return cls(optimizer, averages, scaler, rng, carried)

    def set_teacher(self, teacher: dict[str, Tensor]) -> None:
        """Adds a teacher of the model's shape, by its weights; its recurrent state is carried, too."""
        self.teacher = teacher
        self.carried = self.carried + [tuple(map(torch.zeros_like, layer)) for layer in self.carried]

    def begin_generation(self, fresh: TrainingState, teacher: dict[str, Tensor]) -> None:
        """Continues with a new network at its first step; the best evaluation so far is kept."""
        self.optimizer, self.averages = fresh.optimizer, fresh.averages
        if not self.single_precision:
            self.scaler = fresh.scaler
        self.carried, self.breakdowns, self.over = fresh.carried, 0, False
        self.generation += 1
        self.first_step, self.first_second = self.step, self.seconds
        self.set_teacher(teacher)

    def use_single_precision(self) -> None:
        """Has every step from the next one on computed in single precision, without a scaler."""
        self.single_precision = True
        self.scaler = torch.amp.GradScaler(self.rng.device.type, enabled=False)

    @property
    def best(self) -> float:
        """The lowest validation loss so far; infinity before the first evaluation."""
        return min((loss for _, loss in self.evaluations), default=math.inf)

    @property
    def best_step(self) -> int:
        """The step with the lowest validation loss; the last one before the first evaluation."""
        return min(self.evaluations, key=lambda evaluation: evaluation[1], default=(self.step, 0))[0]

    @property
    def steps_in_generation(self) -> int:
        """Steps of this generation."""
        return self.step - self.first_step

    @property
    def average_weight(self) -> float:
        """How far the next step moves the averages to the weights, from 0 to 1."""
        return self.averages.weight_of(self.steps_in_generation)

    def add_evaluation(self, model: Model, loss: float) -> None:
        """Records a validation loss, and keeps a copy of the weights where it is the lowest."""
        if loss < self.best:
            self.best_weights = {k: v.detach().clone() for k, v in model.named_parameters()}
        self.evaluations.append((self.step, loss))

    def tensors(self, model: Model) -> dict[str, Tensor]:
        """Returns all tensors by the names that they are saved under; they share memory."""
        tensors = {"rng": self.rng.get_state()}
        pairs = self.averages.tensors()
        for name, weight in model.named_parameters():
            tensors[f"weights.{name}"], tensors[f"soap.average.{name}"] = pairs[name]
            for key, value in self.optimizer.state[weight].items():
                tensors[f"soap.{key}.{name}"] = value
        for depth, layer in enumerate(self.carried):
            tensors |= {f"state.{depth}.{i}": tensor for i, tensor in enumerate(layer)}
        between_generations = self.teacher and not self.steps_in_generation
        if between_generations or self.best_step != self.step:  # else the averages are the best ones
            tensors |= {f"best.{name}": weight for name, weight in self.best_weights.items()}
        return tensors | {f"teacher.{name}": weight for name, weight in self.teacher.items()}

    def numbers(self) -> dict[str, Any]:
        """Returns all else, as JSON can hold it."""
        numbers = {name: getattr(self, name) for name in number_schema()}
        return numbers | {"evaluations": list(self.evaluations), "scaler": self.scaler.state_dict()}

    def snapshot(self, model: Model) -> Snapshot:
        """Returns `tensors`, copied, and `numbers`, for a later `restore`."""
        # The best weights and a teacher's are replaced, never changed.
        constant = ("best.", "teacher.")
        tensors = self.tensors(model).items()
        return {k: t if k.startswith(constant) else t.clone() for k, t in tensors}, self.numbers()

    def restore(self, model: Model, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Puts back what `tensors` and `numbers` returned.

        A generator of another kind of device cannot take the saved randomness; it is seeded anew. A
        scaler that there was not begins with its usual scale.
        """
        for name in number_schema():
            setattr(self, name, numbers[name])
        self.evaluations = [(step, loss) for step, loss in numbers["evaluations"]]
        if self.single_precision:
            self.use_single_precision()
        if numbers["scaler"]:
            self.scaler.load_state_dict(numbers["scaler"])
        self.best_weights = {
            name: tensors.get(f"best.{name}", tensors[f"soap.average.{name}"]).to(weight, copy=True)
            for name, weight in model.named_parameters()
        }
        self.carried = [tuple(tensor.clone() for tensor in layer) for layer in self.carried]
        own = self.tensors(model)
        if own.pop("rng").shape == tensors["rng"].shape:
            self.rng.set_state(tensors["rng"])
        else:
            self.rng.manual_seed(self.step)
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def number_schema() -> dict[str, Any]:
    """Returns the names and JSON types of the plain numbers that a saved state holds."""
    saved = [number for number in fields(TrainingState) if "saved" in number.metadata]
    return {f.name: int | float if type(f.default) is float else type(f.default) for f in saved}


def device_of(model: Model) -> torch.device:
    """Returns the device of the model's weights."""
    return next(model.parameters()).device
