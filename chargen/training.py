"""The training loop, visible: a generator of one record per step, for whatever is to be learned.

    for step in train(model, task, TrainConfig(minutes=3)):
        ...                                    # look at it, plot it, stop whenever you like

What is learned is a `Task`: it knows the data and gives losses and scores. All that the next step
depends on is in `Progress`, which goes in, can be kept, and comes back as tensors and plain numbers.
This file knows neither texts nor checkpoints nor screens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from chargen.errors import ChargenError
from chargen.model import State, detach
from chargen.ranks import ALONE, Ranks
from chargen.soap import Soap

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
CLIP = 1.0  # the largest norm of the gradient (Pascanu et al. 2013)
WARM_UP = 0.02  # share of the budget in which the learning rate rises
FINAL_RATE = 0.1  # of the learning rate, at the end of the cosine
AVERAGED = 0.1  # about this share of the steps, the last ones, is in the average of the weights
EVALUATIONS = 12  # at most, over the budget
EVALUATION_SHARE = 1 / 12  # of the time, at most
FINAL_SHARE = 0.1  # of a budget of minutes, at most, for the last and exact score
EXPLODED = 10  # times the loss of blind guessing, and more, is as good as infinite
BREAKDOWNS = 3  # at the last of them a training gives up


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
    precision: str = "auto"  # fp32 on a CPU, fp16 on a GPU

    def __post_init__(self) -> None:
        budgets = [self.minutes, self.epochs, self.steps]
        if sum(budget is not None for budget in budgets) != 1:
            raise ChargenError("give one budget: --minutes, --epochs or --steps")
        for name in ("minutes", "epochs", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
                raise ChargenError(f"{name} must be above 0 and finite, got {value!r}")
        for name, least in (("steps", 1), ("batch", 1), ("window", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and least <= value < 1 << 63):
                raise ChargenError(f"{name} must be a whole number from {least}, got {value!r}")
        if self.precision not in PRECISIONS:
            raise ChargenError(
                f"there is no precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}"
            )

    @property
    def budget(self) -> tuple[str, float]:
        """Which budget it is, and how much."""
        budgets = {"minutes": self.minutes, "epochs": self.epochs, "steps": self.steps}
        return next((name, value) for name, value in budgets.items() if value is not None)


class Learner(Protocol):
    """A network with a state that a training may carry on; modules of torch have all else."""

    def initial_state(self, batch: int) -> State:
        """The empty state; an empty list where nothing is carried."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Its weights."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Its weights by name."""

    def load_state_dict(self, weights: Any) -> Any:
        """Takes weights by name."""


class Read(NamedTuple):
    """What a task made of the next batch."""

    loss: Tensor  # scalar, in nats
    state: State  # carried on; empty where nothing is
    position: int  # by how much the place in the data moved
    ids: int  # read


class Measured(Protocol):
    """How well a model does."""

    @property
    def watched(self) -> float:
        """What training minimises, on what it never saw, in nats."""


class Task(Protocol):
    """What is learned: data that give losses and scores."""

    ids_per_step: float  # about
    steps_per_epoch: int
    characters_per_id: float
    blind: float  # the loss of blind guessing, in nats
    quick_ids: int  # read by an evaluation on the way; 0 where there is nothing to measure by
    final_ids: int  # read by the last one, if the budget affords it
    exactness: float  # how much longer the last one takes, per id
    turns: bool  # whether to end early where validation has turned for good

    def loss(self, model: Any, now: Progress) -> Read:
        """The loss on the batch at `now.position`."""

    def score(self, model: Any, ids: int, quick: bool) -> Measured:
        """How well the model does on the first so many of the ids kept apart."""


@dataclass
class Progress:
    """Where a training is: with this, its settings and the corpus, it goes on as if never stopped."""

    optimizer: Soap
    scaler: torch.amp.GradScaler
    rng: torch.Generator
    state: State
    best_weights: dict[str, Tensor] = field(default_factory=dict)
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
    swapped: bool = False  # whether the model has the averages of its weights just now

    @classmethod
    def begin(
        cls, model: Learner, config: TrainConfig, stack_share: float = 1.0, ranks: Ranks = ALONE
    ) -> Progress:
        """Before the first step. A stack that has learned before may get a share of the rate only."""
        device = _device(model)
        rng = torch.Generator(device).manual_seed(config.seed)
        shares: dict[float, list[nn.Parameter]] = {}
        for name, weight in model.named_parameters():
            share = stack_share if name.startswith("stack.") else 1.0
            shares.setdefault(share, []).append(weight)
        groups = [{"params": weights, "share": share} for share, weights in shares.items()]
        optimizer = Soap(groups, config.learning_rate)
        for weight in model.parameters():
            optimizer.state[weight]["average"] = weight.detach().clone()  # which SOAP leaves alone
        halved = precision_for(config.precision, device) == "fp16"
        scaler = torch.amp.GradScaler(device.type, enabled=halved)
        mine = ranks.lanes(config.batch)
        state = model.initial_state(mine.stop - mine.start)
        own = [tuple(tensor.clone() for tensor in layer) for layer in state]  # no memory shared
        return cls(optimizer, scaler, rng, own)

    @property
    def best(self) -> float:
        """The lowest validation score so far, in nats per id."""
        return min((nats for _, nats in self.evaluations), default=math.inf)

    @property
    def best_step(self) -> int:
        """The step with the best score; the last one where nothing was measured yet."""
        return min(self.evaluations, key=lambda evaluation: evaluation[1], default=(self.step, 0))[0]

    @property
    def pace(self) -> float:
        """How far the averages go to the weights of the next step."""
        return 1 / (1 + AVERAGED * self.step)

    def average(self, model: Learner, pace: Any) -> None:
        """Moves the averages on to the weights of one more step (Shamir and Zhang 2013)."""
        for weight in model.parameters():
            self.optimizer.state[weight]["average"].lerp_(weight.detach(), pace)

    @contextmanager
    def averaged(self, model: Learner) -> Iterator[None]:
        """The averages in place of the weights, for as long as the `with` block lasts."""
        self.swap(model)
        try:
            yield
        finally:
            self.swap(model)

    def swap(self, model: Learner) -> None:
        """Exchanges the weights and their averages."""
        self.swapped = not self.swapped
        for weight in model.parameters():
            kept = self.optimizer.state[weight]
            weight.data, kept["average"] = kept["average"], weight.data

    def tensors(self, model: Learner) -> dict[str, Tensor]:
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
        if self.best_step != self.step:  # else the averages are the best ones
            found |= {f"best.{name}": weight for name, weight in self.best_weights.items()}
        return found

    def numbers(self) -> dict[str, Any]:
        """All else, as JSON can hold it."""
        kept = {name: getattr(self, name) for name in _NUMBERS}
        return kept | {"evaluations": list(self.evaluations), "scaler": self.scaler.state_dict()}

    def restore(self, model: Learner, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
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
)


@dataclass(frozen=True)
class Step:
    """What one step of training did."""

    number: int  # from 1
    loss: float  # nats per id on the window just read; NaN in the last record
    mean_loss: float  # its running mean over about the last fifty steps
    progress: float  # of the budget, from 0 to 1
    seconds: float  # since the beginning, evaluations included
    ids: int  # read so far
    characters_per_second: float  # on average so far, evaluations included
    best_step: int  # with the best validation score so far
    score: Any = None  # what the task measured on the validation part, after some of the steps
    remark: str = ""  # what happened that a person should know
    sample: str = ""  # what the model writes now, where someone had it write
    finished: bool = False  # the last record: the exact score of the best weights, now the model's

    def summary(self) -> dict[str, Any]:
        """When it was and how fast, as config.json keeps it beside the scores."""
        return {
            "step": self.best_step if self.finished else self.number,
            "steps": self.number,
            "seconds": round(self.seconds, 1),
            "characters_per_second": round(self.characters_per_second),
        }

    @property
    def evaluated(self) -> bool:
        """Whether there is a validation score."""
        return self.score is not None

    @property
    def val_bits_per_character(self) -> float:
        """Of the validation score; NaN at a step without one."""
        return float(getattr(self.score, "bits_per_character", math.nan))


def train(
    model: Learner,
    task: Task,
    config: TrainConfig,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
    stepper: Stepper | None = None,
) -> Iterator[Step]:
    """Trains until the budget is spent or validation has turned for good; ends with the best weights.

    The learning rate rises, then falls along a cosine that ends with the budget. Where the loss or
    its gradient is not finite, or beyond all measure, the training goes back to its last evaluation
    with half the learning rate, and the third time raises ChargenError. Of several processes, each is
    given the same and takes the same steps; the task knows its share. How a step is computed can be
    given as well.
    """
    # Numbers too small for the normal format cost twenty times the time of others on a CPU.
    torch.set_flush_denormal(True)
    try:
        progress = progress or Progress.begin(model, config, ranks=ranks)
        yield from _steps(model, task, config, progress, ranks, stepper)
    finally:
        torch.set_flush_denormal(False)


def _steps(
    model: Learner,
    task: Task,
    config: TrainConfig,
    now: Progress,
    ranks: Ranks,
    stepper: Stepper | None,
) -> Iterator[Step]:
    take = stepper or Stepper(model, task, config.precision, ranks)
    clock = _Clock(config, task, now)

    def record(loss: float, **more: Any) -> Step:
        return Step(
            number=now.step,
            loss=loss,
            mean_loss=now.loss,
            progress=1.0 if now.over else clock.done(),
            seconds=now.seconds,
            ids=now.ids,
            characters_per_second=now.ids * task.characters_per_id / max(1e-9, now.seconds),
            best_step=now.best_step,
            **more,
        )

    limit = EXPLODED * (1 + task.blind)
    good, turned = _copy(model, now), ""
    late: list[Tensor] = []  # (loss, norm) of steps, of which the device has not been asked yet
    last = now.loss
    while not now.over:
        rate = config.learning_rate * 0.5**now.breakdowns
        (done,) = ranks.told(clock.done())
        for group in now.optimizer.param_groups:
            scheduled = rate * group["share"] * _schedule(done)
            if isinstance(group["lr"], Tensor):  # in memory that a graph reads
                group["lr"].fill_(scheduled)
            else:
                group["lr"] = scheduled

        nats, length, position, ids = take(now)
        now.step += 1
        now.position += position
        now.ids += ids
        over, due = ranks.told(clock.over(), clock.evaluation_due())
        now.over = bool(over)
        late.append(torch.stack([nats, length]))
        if due or now.over or len(late) >= take.late:
            known = torch.stack(late).tolist()
            late.clear()
            faults = [_fault(value, norm, now.scaler, limit) for value, norm in known]
            if fault := next(filter(None, faults), ""):
                yield record(math.nan, remark=_go_back(fault, model, now, good, clock, rate))
                continue
            for value, _ in known:
                now.loss += (value - now.loss) * max(0.02, 1 / now.step)
            last = known[-1][0]
        score = None
        if due or now.over:
            began = time.perf_counter()
            if task.quick_ids:
                with now.averaged(model):
                    score = ranks.shared(lambda: task.score(model, task.quick_ids, quick=True))
                    best = {k: v.detach().clone() for k, v in model.named_parameters()}
                if fault := _fault(score.watched, 0.0, now.scaler, limit):
                    yield record(last, remark=_go_back(fault, model, now, good, clock, rate))
                    continue
                _remember(best, now, score.watched)
                turned = _turned(now.evaluations, clock.done()) if task.turns else ""
                now.over = now.over or bool(turned)
            good = _copy(model, now)
            clock.evaluated(time.perf_counter() - began)
        now.seconds = clock.seconds()
        # Whoever looks at a score finds the weights that were scored.
        with now.averaged(model) if score else nullcontext():
            yield record(last, score=score, remark=turned)

    final = None
    if not task.quick_ids:
        now.swap(model)
    else:
        model.load_state_dict(now.best_weights)
        final = ranks.shared(lambda: task.score(model, clock.final_ids(), quick=False))
        now.seconds = clock.seconds()
    yield record(math.nan, score=final, remark=turned, finished=True)


class Taken(NamedTuple):
    """What a step gave."""

    nats: Tensor  # scalar, the loss
    norm: Tensor  # scalar, of the gradient before it was clipped
    position: int  # by how much the place in the data moved
    ids: int  # read


class Stepper:
    """Takes a step of training: loss, gradient, and all weights moved."""

    late = 1  # steps after which it is asked for what they gave

    def __init__(self, model: Learner, task: Task, precision: str, ranks: Ranks = ALONE) -> None:
        self._model, self._task, self._ranks = model, task, ranks
        self._autocast = autocast_for(precision, _device(model))

    def __call__(self, now: Progress) -> Taken:
        """The step; what the weights were before it is not kept."""
        model = self._model
        with self._autocast:
            loss, state, position, ids = self._task.loss(model, now)
        nats, norm = self.move(loss, now, now.pace)
        now.optimizer.observe()
        # The state goes on as a value. If its history came along, the gradient would reach back
        # through all windows, and memory with it: this cut is the truncation in "truncated BPTT".
        now.state = detach(state)
        return Taken(nats, norm, position, ids)

    def move(self, loss: Tensor, now: Progress, pace: Any) -> tuple[Tensor, Tensor]:
        """Moves the weights down the gradient; the loss, and the norm of the gradient."""
        now.optimizer.zero_grad()
        now.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        nats = loss.detach().float()
        gradients = [w.grad for w in self._model.parameters() if w.grad is not None]
        self._ranks.average([nats, *gradients])
        now.scaler.unscale_(now.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), CLIP)
        for gradient in gradients:  # what is not finite moves nothing, and teaches nothing
            gradient.nan_to_num_(0.0, 0.0, 0.0)
        now.scaler.step(now.optimizer)
        now.scaler.update()
        now.average(self._model, pace)
        return nats, norm


class _Clock:
    """How much of the budget is spent, and when to evaluate.

    Budgets of steps and epochs count steps, so that a run can be repeated exactly. A budget of
    minutes counts everything from the first step to the last score, whose time is kept in reserve.
    """

    def __init__(self, config: TrainConfig, task: Task, now: Progress) -> None:
        self._now = now
        self._task = task
        self._began = time.perf_counter() - now.seconds
        self._budget = None if config.minutes is None else 60 * config.minutes
        self._steps = config.steps or 0
        if config.epochs is not None:
            self._steps = max(1, round(config.epochs * task.steps_per_epoch))

    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def done(self) -> float:
        """The share of the budget that is spent, from 0 to 1."""
        if self._budget is None:
            return min(1.0, self._now.step / self._steps)
        final = 0.0
        if self._now.step:
            quick, exact = self._costs()
            # The first step is slow and makes a bad estimate: it must not end the training.
            final = min(quick + exact * self.final_ids(), 2 * FINAL_SHARE * self._budget)
        return min(1.0, self.seconds() / max(1e-9, self._budget - final))

    def final_ids(self) -> int:
        """How much of the validation part the last and exact score can afford to read."""
        if self._budget is None:
            return self._task.final_ids
        affordable = int(FINAL_SHARE * self._budget / max(self._costs()[1], 1e-9))
        return min(self._task.final_ids, max(self._task.quick_ids, affordable))

    def _costs(self) -> tuple[float, float]:
        """Seconds of a quick evaluation and, per id, of an exact one."""
        task = self._task
        speed = self._now.step * task.ids_per_step / self.seconds()
        quick = self._now.evaluation_cost or task.quick_ids / (2 * speed)  # a forward pass alone
        return quick, task.exactness * quick / max(1, task.quick_ids)

    def over(self) -> bool:
        return self.done() >= 1

    def evaluation_due(self) -> bool:
        if self._budget is None:
            return self._now.step % max(1, self._steps // EVALUATIONS) == 0
        wait = max(self._budget / EVALUATIONS, self._now.evaluation_cost / EVALUATION_SHARE)
        return self.seconds() - self._now.evaluated_at >= wait

    def evaluated(self, cost: float) -> None:
        self._now.evaluated_at, self._now.evaluation_cost = self.seconds(), cost


def _schedule(done: float) -> float:
    """The learning rate as a share of its highest value: a ramp, then a cosine."""
    cosine = FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * done)) / 2
    return min(1.0, (done + 1e-3) / WARM_UP) * cosine


def _remember(weights: dict[str, Tensor], now: Progress, nats: float) -> None:
    """Notes a score, and the weights if they are the best yet."""
    if nats < now.best:
        now.best_weights = weights
    now.evaluations.append((now.step, nats))


def _turned(evaluations: list[tuple[int, float]], done: float) -> str:
    """Says so when validation got worse for good, and training on can only memorise.

    For good means: worse by a twentieth, after a quarter of the budget without a new best.
    """
    step, nats = evaluations[-1]
    best_step, best = min(evaluations, key=lambda evaluation: evaluation[1])
    if nats > 1.05 * best and done * (step - best_step) / step > 0.25:
        return f"validation has turned for good: {best:.3f} nats at its best, {nats:.3f} now"
    return ""


def _copy(model: Learner, now: Progress) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors = now.tensors(model).items()
    # The best weights are replaced, never changed.
    return {k: t if k.startswith("best.") else t.clone() for k, t in tensors}, now.numbers()


def _fault(nats: float, norm: float, scaler: torch.amp.GradScaler, limit: float) -> str:
    """Names what is not as it should be, if anything; infinite gradients are a scaler's business."""
    if not nats < limit:  # NaN is not
        return f"the loss was {nats:.4g}"
    if not scaler.is_enabled() and not math.isfinite(norm):
        return f"the gradient was {norm}"
    return ""


def _go_back(
    fault: str,
    model: Learner,
    now: Progress,
    good: tuple[dict[str, Tensor], dict[str, Any]],
    clock: _Clock,
    rate: float,
) -> str:
    """To where all was well; the time is spent all the same, and the fault is not forgotten."""
    step, breakdowns = now.step, now.breakdowns + 1
    now.restore(model, *good)
    now.breakdowns, now.over, now.seconds = breakdowns, False, clock.seconds()
    fault = f"{fault} at step {step:,}, with a learning rate of {rate:.2g}"
    if breakdowns == BREAKDOWNS:
        raise ChargenError(
            f"training broke down for the third time: {fault}; start again with a lower one, for "
            f"example --lr {min(rate / 10, TrainConfig.learning_rate):.1g}"
        )
    return f"{fault}: back to step {now.step:,}, with half the learning rate"


def precision_for(precision: str, device: torch.device) -> str:
    """What "auto" means here. cuDNN has its fastest kernels, which keep the weights on the chip from
    step to step, for fp16 only (`use_rnn_persist_small_h` in PyTorch's cuDNN/RNN.cpp).
    """
    if precision == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    return precision


def autocast_for(precision: str, device: torch.device) -> torch.autocast | nullcontext[None]:
    """The context of a precision; raises ChargenError where the device lacks it."""
    precision = precision_for(precision, device)
    if precision == "fp16" and device.type != "cuda":
        raise ChargenError(f"fp16 trains on a CUDA GPU only, not on {device.type}; take bf16 or fp32")
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.float16 if precision == "fp16" else torch.bfloat16)


def _device(model: Learner) -> torch.device:
    return next(model.parameters()).device
