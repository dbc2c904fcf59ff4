"""Truncated back-propagation through time as a visible loop: a generator of one record per step.

    for step in train(model, corpus, TrainConfig(minutes=3)):
        ...                                    # look at it, plot it, stop whenever you like

All that the next step depends on is in `Progress`, which goes in and can be kept; this file knows
neither checkpoints nor screens. Scores are in nats per id and in bits per character, which are
comparable between tokenizers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from chargen.corpus import Corpus, Lanes
from chargen.errors import ChargenError
from chargen.model import LanguageModel, State, detach
from chargen.tokenizer import Ids, Tokenizer

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
BETAS = (0.9, 0.99)  # of AdamW (Loshchilov and Hutter 2019); few ids per step want a long memory
WEIGHT_DECAY = 0.01
CLIP = 1.0  # the largest norm of the gradient (Pascanu et al. 2013)
WARM_UP = 0.02  # share of the budget in which the learning rate rises
FINAL_RATE = 0.02  # of the learning rate, at the end of the cosine
FORGET = 0.01  # chance of a lane to begin a window with an empty state, as every reader does once
EVALUATIONS = 12  # at most, over the budget
EVALUATION_SHARE = 1 / 12  # of the time, at most
QUICK_IDS = 1 << 17  # scored at each evaluation on the way
FINAL_SHARE = 0.1  # of a budget of minutes, at most, for the last and exact score
FINAL_IDS = 1 << 20  # scored at most at the end of a budget of steps or epochs
_QUICK_LANES, _LEAD = 32, 256  # lanes of a quick evaluation, and what each reads before it counts


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
    precision: str = "auto"  # fp32 on a CPU, bf16 on a GPU

    def __post_init__(self) -> None:
        budgets = [self.minutes, self.epochs, self.steps]
        if sum(budget is not None for budget in budgets) != 1:
            raise ChargenError("give one budget: --minutes, --epochs or --steps")
        for name in ("minutes", "epochs", "steps", "batch", "window", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ChargenError(f"{name} must be above 0 and finite, got {value!r}")
        if self.precision not in PRECISIONS:
            raise ChargenError(
                f"there is no precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}"
            )


@dataclass
class Progress:
    """Where a training is: with this, its settings and the corpus, it goes on as if never stopped."""

    optimizer: torch.optim.AdamW
    rng: torch.Generator
    state: State
    step: int = 0
    position: int = 0  # ids that each lane has read
    seconds: float = 0.0  # spent
    evaluations: list[tuple[float, float]] = field(default_factory=list)  # (progress, nats per id)
    best_step: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def begin(cls, model: LanguageModel, config: TrainConfig) -> Progress:
        """Before the first step."""
        device = _device(model)
        rng = torch.Generator(device).manual_seed(config.seed)
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            betas=BETAS,
            weight_decay=WEIGHT_DECAY,
            fused=device.type in ("cpu", "cuda"),
        )
        return cls(optimizer, rng, model.initial_state(config.batch))

    @property
    def best(self) -> float:
        """The lowest validation score so far, in nats per id."""
        return min((nats for _, nats in self.evaluations), default=math.inf)


@dataclass(frozen=True)
class Score:
    """How well a model predicts a text: the first id has no context and is not scored."""

    nats: float  # in all
    tokens: int
    characters: int
    bytes: int

    @property
    def nats_per_token(self) -> float:
        """The cross entropy, which training minimises."""
        return self.nats / max(1, self.tokens)

    @property
    def bits_per_character(self) -> float:
        """Comparable between tokenizers."""
        return self.nats / math.log(2) / max(1, self.characters)

    @property
    def bits_per_byte(self) -> float:
        """Comparable between tokenizers and with compressors, bytes being those of UTF-8."""
        return self.nats / math.log(2) / max(1, self.bytes)

    @property
    def perplexity(self) -> float:
        """Among how many equally likely ids the model feels to choose."""
        return math.exp(self.nats_per_token)


@dataclass(frozen=True)
class Step:
    """What one step of training did."""

    number: int  # from 1
    loss: float  # nats per id on the window just read; NaN in the last record
    progress: float  # of the budget, from 0 to 1
    seconds: float  # since the beginning, evaluations included
    ids: int  # read so far
    characters_per_second: float  # on average so far, evaluations included
    best_step: int  # with the best validation score so far
    score: Score | None = None  # on the validation part, after some of the steps
    remark: str = ""  # why it stopped before its time
    finished: bool = False  # the last record: the exact score of the best weights, now the model's

    @property
    def evaluated(self) -> bool:
        """Whether there is a validation score."""
        return self.score is not None

    @property
    def val_bits_per_character(self) -> float:
        """Of the validation score; NaN at a step without one."""
        return self.score.bits_per_character if self.score else math.nan


def train(
    model: LanguageModel, corpus: Corpus, config: TrainConfig, progress: Progress | None = None
) -> Iterator[Step]:
    """Trains until the budget is spent or validation has turned for good; ends with the best weights.

    The learning rate rises, then falls along a cosine that ends with the budget.
    """
    # Numbers too small for the normal format cost twenty times the time of others on a CPU.
    torch.set_flush_denormal(True)
    try:
        yield from _steps(model, corpus, config, progress or Progress.begin(model, config))
    finally:
        torch.set_flush_denormal(False)


def _steps(model: LanguageModel, corpus: Corpus, config: TrainConfig, now: Progress) -> Iterator[Step]:
    lanes = Lanes(corpus, config.batch, config.window, config.seed)
    autocast, scaler = autocast_for(config.precision, _device(model))
    clock = _Clock(config, lanes, corpus, now)
    validation, tokenizer = corpus.validation, corpus.tokenizer
    measured = min(len(corpus.training), QUICK_IDS)
    characters_per_id = tokenizer.measure(corpus.training[:measured])[0] / measured
    remark = ""

    def record(loss: float, score: Score | None = None, **more: Any) -> Step:
        ids = now.position * config.batch
        return Step(
            number=now.step,
            loss=loss,
            progress=1.0 if more else clock.done(),  # only the last record has more
            seconds=now.seconds,
            ids=ids,
            characters_per_second=ids * characters_per_id / now.seconds,
            best_step=now.best_step or now.step,
            score=score,
            remark=remark,
            **more,
        )

    while not remark and not clock.over():
        inputs, targets, fresh = lanes.read(now.position)
        x = torch.from_numpy(inputs).to(_device(model))  # (T, B)
        y = torch.from_numpy(targets).to(_device(model))
        state = model.initial_state(config.batch) if fresh else _forget(now.state, now.rng)
        for group in now.optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(clock.done())

        with autocast:
            logits, state = model(x, state, dropout=now.rng)  # (T, B, V)
            loss = F.cross_entropy(logits.flatten(0, 1).float(), y.flatten())
        now.optimizer.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(now.optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        scaler.step(now.optimizer)
        scaler.update()

        # The state goes on as a value. If its history came along, the gradient would reach back
        # through all windows, and memory with it: this cut is the truncation in "truncated BPTT".
        now.state = detach(state)
        now.step += 1
        now.position += len(inputs)
        score = None
        if len(validation) > 1 and clock.evaluation_due():
            score = _look(model, corpus, now, clock)
            remark = _turned(now.evaluations)
        now.seconds = clock.seconds()
        yield record(loss.item(), score)

    if len(validation) > 1:
        if now.best_step < now.step:
            _look(model, corpus, now, clock)
        model.load_state_dict(now.best_weights)
        final = evaluate(model, validation[: clock.final_ids], tokenizer)
        now.seconds = clock.seconds()
        yield record(math.nan, final, finished=True)
    else:
        yield record(math.nan, finished=True)


@torch.no_grad()
def evaluate(
    model: LanguageModel,
    ids: Ids,
    tokenizer: Tokenizer,
    window: int | None = None,
    quick: bool = False,
) -> Score:
    """Scores ids under a model, the state carried through the whole text.

    With a `window`, every so many ids begin with an empty state. `quick` reads in parallel lanes,
    each led in by the ids before it: a tenth of the time, and the same score within 0.0005 nats.
    """
    if len(ids) < 2:
        raise ChargenError(f"a text of {len(ids)} ids has none to score: the first has no context")
    scored = len(ids) - 1
    length, lead = scored, 0
    if window is not None:
        length = min(window, scored)
    elif quick and scored > 4 * _QUICK_LANES * _LEAD:
        length, lead = -(-scored // _QUICK_LANES), _LEAD
    nats = 0.0
    starts = np.arange(0, scored, length)
    for some in np.split(starts, range(64, len(starts), 64)):
        nats += _nats(model, ids, some, length, lead)
    return Score(nats, scored, *tokenizer.measure(ids[1:]))


def _nats(model: LanguageModel, ids: Ids, starts: Ids, length: int, lead: int) -> float:
    """The surprise, in all, at the ids that follow each start, read side by side."""
    device, total = _device(model), 0.0
    state = model.initial_state(len(starts))
    span = max(16, 4096 // len(starts))
    for offset in range(-lead, length, span):
        times = np.arange(offset, min(offset + span, length))[:, None]  # (T, 1)
        where = starts + times  # (T, B)
        counts = torch.as_tensor((times >= 0) & (where < len(ids) - 1))
        where = where.clip(0, len(ids) - 2)
        inputs, targets = (
            torch.as_tensor(ids[at].astype(np.int64)).to(device) for at in (where, where + 1)
        )
        logits, state = model(inputs, state)
        surprise = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        total += float(surprise[counts.flatten().to(device)].double().sum())
    return total


class _Clock:
    """How much of the budget is spent, and when to evaluate.

    Budgets of steps and epochs count steps, so that a run can be repeated exactly. A budget of
    minutes counts everything from the first step to the last score, whose time is kept in reserve.
    """

    def __init__(self, config: TrainConfig, lanes: Lanes, corpus: Corpus, now: Progress) -> None:
        self._now = now
        self._began = time.perf_counter() - now.seconds
        self._ids_per_step = config.batch * config.window
        self._validation_ids = len(corpus.validation)
        self._quick_ids = min(self._validation_ids, QUICK_IDS)
        self._last_evaluation, self._cost = now.seconds, 0.0
        self._budget = None if config.minutes is None else 60 * config.minutes
        self._steps = config.steps or 0
        if config.epochs is not None:
            self._steps = max(1, round(config.epochs * -(-lanes.epoch_length // config.window)))
        self.final_ids = min(self._validation_ids, FINAL_IDS)

    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def done(self) -> float:
        """The share of the budget that is spent, from 0 to 1."""
        if self._budget is None:
            return min(1.0, self._now.step / self._steps)
        final = 0.0
        if self._now.step:
            speed = self._now.step * self._ids_per_step / self.seconds()
            quick = self._cost or self._quick_ids / (2 * speed)  # a forward pass alone
            # A single stream takes about three times as long per id as the lanes.
            exact = 3 * quick / max(1, self._quick_ids)
            affordable = max(self._quick_ids, int(FINAL_SHARE * self._budget / max(exact, 1e-9)))
            self.final_ids = min(self._validation_ids, affordable)
            # The first step is slow and makes a bad estimate: it must not end the training.
            final = min(quick + exact * self.final_ids, 2 * FINAL_SHARE * self._budget)
        return min(1.0, self.seconds() / max(1e-9, self._budget - final))

    def over(self) -> bool:
        return self._now.step > 0 and self.done() >= 1

    def evaluation_due(self) -> bool:
        if self._budget is None:
            return self._now.step % max(1, self._steps // EVALUATIONS) == 0
        wait = max(self._budget / EVALUATIONS, self._cost / EVALUATION_SHARE)
        return self.seconds() - self._last_evaluation >= wait

    def evaluated(self, cost: float) -> None:
        self._last_evaluation, self._cost = self.seconds(), cost


def _schedule(done: float) -> float:
    """The learning rate as a share of its highest value: a ramp, then a cosine."""
    cosine = FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * done)) / 2
    return min(1.0, (done + 1e-3) / WARM_UP) * cosine


def _forget(state: State, rng: torch.Generator) -> State:
    """Empties the state of a lane now and then, so that the model learns to begin, too."""
    h = state[0][0]  # (1, B, H)
    kept = h.new_empty(1, h.shape[1], 1).bernoulli_(1 - FORGET, generator=rng)
    return [tuple(tensor * kept for tensor in layer) for layer in state]


def _look(model: LanguageModel, corpus: Corpus, now: Progress, clock: _Clock) -> Score:
    """A quick evaluation; remembers the weights if they are the best yet."""
    began = time.perf_counter()
    score = evaluate(model, corpus.validation[:QUICK_IDS], corpus.tokenizer, quick=True)
    if score.nats_per_token < now.best:
        now.best_step = now.step
        now.best_weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
    now.evaluations.append((clock.done(), score.nats_per_token))
    clock.evaluated(time.perf_counter() - began)
    return score


def _turned(evaluations: list[tuple[float, float]]) -> str:
    """Says so when validation got worse for good, and training on can only memorise.

    For good means: worse by a twentieth, after a quarter of the budget without a new best.
    """
    done, nats = evaluations[-1]
    best_done, best = min(evaluations, key=lambda evaluation: evaluation[1])
    if nats > 1.05 * best and done - best_done > 0.25:
        return f"validation has turned for good: {best:.3f} nats at its best, {nats:.3f} now"
    return ""


def autocast_for(
    precision: str, device: torch.device
) -> tuple[torch.autocast | nullcontext[None], torch.amp.GradScaler]:
    """The context and the scaler of a precision; raises ChargenError where the device lacks it."""
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" else "fp32"
    if precision == "fp16" and device.type != "cuda":
        raise ChargenError(f"fp16 trains on a CUDA GPU only, not on {device.type}; take bf16 or fp32")
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    if precision == "fp32":
        return nullcontext(), scaler
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype), scaler


def _device(model: LanguageModel) -> torch.device:
    return model.head.weight.device
