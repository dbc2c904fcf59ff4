"""Sizes of a model and its training, chosen from the corpus, the budget and the device's speed."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from chargen.data.corpus import Corpus
from chargen.device import at_most_threads, precision_for
from chargen.errors import ChargenError
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig
from chargen.training.budget import max_epochs, share_of_time
from chargen.training.config import TrainConfig
from chargen.training.loop import Step
from chargen.training.speed import capture_on, flops_per_token, measure_speed, probe_flops

BATCH, WINDOW = TrainConfig.batch, TrainConfig.window
# On a GPU, cuDNN's persistent kernels need sizes that are multiples of this, and at most 128 lanes, in
# multiples of 8; a step takes as long for 64 lanes as for 16.
PERSISTENT_WIDTH, GPU_BATCH = 128, 64
WIDTHS = (64, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024)  # hidden sizes to choose from
TOKENS_PER_PARAMETER = 2.0  # a model that reads fewer in its budget would be better if it were smaller
SUFFICIENT_EPOCHS = 3.5  # with which a wider stack learns more than a narrower one with more
PARAMETERS_PER_TOKEN = 8.0, 16.0  # larger models overfit; the second figure is for students
LANES_STEPS, WINDOW_STEPS = 64, 8  # steps in an epoch, below which lanes, then windows, get smaller
CLASSIFIER_PASSES = 12.0  # over each labelled text, alone or in crops, if no budget is given …
CLASSIFIER_TOKENS = 8e6  # … or fewer, so as to read at most about this many
CLASSIFIER_EPOCHS = 5.0  # over labelled texts; with a budget for fewer, texts are shown in part
MIN_SHOWN_TOKENS = 100  # of a text that is shown in part
# Memory of a training. Of each parameter: weight, average, gradient, two moments, the best one so far;
# all but the gradient once more, for a rollback; a teacher's, saved and at work. Of each matrix: the
# optimiser's basis and the second moment, twice as well.
COPIES_OF_PARAMETERS, COPIES_OF_BASES = 13, 4
MIN_RATE, MAX_RATE = 1e-3, 6e-3  # of the peak learning rate
PEAK_RATE_STEPS = 1300.0  # with more, the peak learning rate is below MAX_RATE …
RATE_EXPONENT = 0.6  # … by their ratio to this power
MAX_ERROR = 1.4  # times as much, or as little, as was planned, from which on the plan is corrected
TIME_IN_PRODUCTS = 0.85  # of a training; the rest goes to evaluations and the rest of a step


@dataclass(frozen=True)
class Plan:
    """The sizes that were chosen."""

    model: ModelConfig
    training: TrainConfig
    reason: str  # for a person, in one line
    threads: int  # of the CPU, with which the training is fastest
    tokens: float  # that each generation reads, repeats included
    passes: float  # over the training part, of each generation

    def correction(self, step: Step) -> str:
        """Returns what has turned out otherwise, for a person, or "" where the plan holds.

        Only a budget of minutes depends on the speed, which was measured for a moment. `step` is one
        of the first generation.
        """
        done = step.progress * self.training.generations
        tokens = step.ids / max(done, 1e-9)
        if self.training.minutes is None or MAX_ERROR > tokens / self.tokens > 1 / MAX_ERROR:
            return ""
        how = "faster" if tokens > self.tokens else "slower"
        return (
            f"the training is {how} than was measured: it reads about {tokens / 1e6:.2g} M tokens "
            f"instead of {self.tokens / 1e6:.2g} M in this budget"
        )


def plan(
    corpus: Corpus,
    device: torch.device,
    training: TrainConfig,
    sizes: dict[str, Any],
) -> Plan:
    """Chooses the sizes that `sizes` leaves open, by their absence or by None.

    `sizes` may hold cell, num_layers, hidden_size, embedding_size, dropout, batch, window,
    learning_rate and generations. Raises ChargenError where the memory of the device is too small, and
    where it lacks the precision.
    """
    sizes = {name: value for name, value in sizes.items() if value is not None}
    ids = len(corpus.training)
    on_gpu = device.type == "cuda"
    training = replace(training, batch=GPU_BATCH if on_gpu else BATCH, window=WINDOW)
    training = fit_batch(training, ids)
    training_names = ("batch", "window", "learning_rate", "generations")
    requested = {name: sizes.pop(name) for name in training_names if name in sizes}
    training = replace(training, **requested)
    refuse_large_batch(training, ids)
    defaults = {"hidden_size": 256, **({"embedding_size": PERSISTENT_WIDTH} if on_gpu else {})}
    model = ModelConfig(len(corpus.tokenizer), **{**defaults, **sizes})

    _check_memory(model, device)
    # Wider stacks do more operations per second, up to where their matrices leave the caches; so the
    # speed is measured at each width that comes into question.
    widths = [width for width in WIDTHS if not on_gpu or width % PERSISTENT_WIDTH == 0]
    widths = [model.hidden_size] if "hidden_size" in sizes else widths
    capture = capture_on(device)
    measured = measure_speed(device, model, training, capture)
    speeds = {model.hidden_size: measured.flops}

    def fit_width(training: TrainConfig) -> ModelConfig:
        width, tried = model.hidden_size, set()
        while width not in tried:
            tried.add(width)
            if width not in speeds:
                wider = replace(model, hidden_size=width)
                with at_most_threads(measured.threads):
                    speeds[width] = probe_flops(device, wider, training, capture)
            width = choose_width(model, training, speeds[width], ids, widths)
        return replace(model, hidden_size=width)

    if "generations" not in requested and training.minutes is not None:
        two = replace(training, generations=2)
        teacher = fit_width(two)
        if tokens_read(teacher, two, speeds[teacher.hidden_size], ids) >= SUFFICIENT_EPOCHS * ids:
            training = two
    model = fit_width(training)
    flops = speeds[model.hidden_size]
    read = tokens_read(model, training, flops, ids)
    if "dropout" not in sizes:
        model = replace(model, dropout=choose_dropout(model, read, ids))
    if "learning_rate" not in requested:
        rate = choose_rate(read / training.batch / training.window)
        training = replace(training, learning_rate=rate)
    is_short = training.minutes is not None and read < _affordable(model, training, flops)
    reason = _describe(model, training, corpus, flops, read, is_short)
    if (precision := precision_for(training.precision, device, model)) != "fp32":
        reason += f" in {precision}"
    if measured.threads < torch.get_num_threads():
        reason += f", on {measured.threads} of {torch.get_num_threads()} threads: more are slower now"
    if device.type == "cpu" and model.cell != "lstm":
        with at_most_threads(measured.threads):
            reason += _compare_with_lstm(device, model, training, flops)
    return Plan(model, training, reason, measured.threads, read, read / ids)


def _describe(
    model: ModelConfig,
    training: TrainConfig,
    corpus: Corpus,
    flops: float,
    read: float,
    is_short: bool,
) -> str:
    """Describes a plan in one line; `is_short` where the text needs less than the budget."""
    unit = "characters" if corpus.tokenizer.kind == "char" else "tokens"
    passes = f"{read / len(corpus.training):.1f} passes"
    passes += ", enough for this text" if is_short else ""
    if (per_step := training.batch * training.window / len(corpus.training)) > 1:
        passes += f", {per_step:.1f} at each step"
    if training.generations > 1:
        times = f"{training.generations} times" if training.generations > 2 else "twice"
        passes += f"; trained {times}: each network also learns from the one before"
    return (
        f"{model.cell} {model.num_layers} × {model.hidden_size}, {model.parameters / 1e6:.2f} M "
        f"parameters, dropout {model.dropout:g}; {training.batch} lanes × {training.window} {unit}, "
        f"learning rate {training.learning_rate:g}; about {read / 1e6:.2g} M {unit} ({passes}) at the "
        f"measured {flops / flops_per_token(model):,.0f} per second"
    )


def _compare_with_lstm(
    device: torch.device, model: ModelConfig, training: TrainConfig, flops: float
) -> str:
    """Returns how many times as fast an LSTM of this size is, "" where it is not much faster.

    On a CPU it has a kernel of its own, and other cells have none.
    """
    lstm = replace(model, cell="lstm")
    speed = probe_flops(device, lstm, training) / flops_per_token(lstm)
    times = speed * flops_per_token(model) / flops
    return f"; an LSTM of this size would read {times:.1f} times as much" if times > MAX_ERROR else ""


def _check_memory(model: ModelConfig, device: torch.device) -> None:
    """Raises ChargenError where the memory of `device` cannot hold a training of this model."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    elif hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        return
    needed = 4 * (COPIES_OF_PARAMETERS * model.parameters + COPIES_OF_BASES * model.basis_size)
    if needed > memory:
        raise ChargenError(
            f"a model of {model.parameters:,} parameters needs about {needed / 1e9:,.1f} GB to train, "
            f"and there are {memory / 1e9:.1f} GB",
            "take a smaller {hidden_size} or fewer {num_layers}",
        )


def refuse_large_batch(training: TrainConfig, ids: int) -> None:
    """Raises ChargenError for more sequences, or longer windows, than the text of `ids` tokens has."""
    for count, term in ((training.batch, "batch"), (training.window, "window")):
        if count > ids:
            raise ChargenError(
                f"the {term} of {count:,} is larger than the training part, which has {ids:,} tokens",
                f"take a smaller {{{term}}}, or leave it out",
            )


def fit_batch(training: TrainConfig, ids: int) -> TrainConfig:
    """Returns `training` with a batch and a window that are small enough for `ids` tokens of text.

    An epoch of a short text has many steps with fewer lanes, and at least some with shorter windows.
    Measured: from 30,000 characters, four lanes learn more than eight, and those more than sixteen.
    """
    batch, window = training.batch, training.window
    while batch > 4 and batch * window * LANES_STEPS > ids:
        batch //= 2
    while window > 16 and batch * window * WINDOW_STEPS > ids:
        window //= 2
    while batch > 1 and batch * window * WINDOW_STEPS > ids:
        batch //= 2
    return replace(training, batch=batch, window=window)


def choose_dropout(model: ModelConfig, read: float, ids: int) -> float:
    """Returns a dropout for `read` tokens of training on a text of `ids` tokens, from 0 to 0.4.

    It grows with the epochs and with the parameters that could overfit. Measured
    (`benchmarks/LOG.md`), for epochs times parameters per token: 0.05 or less for 5, 0.15 for 16, 0.2
    to 0.3 for 47.
    """
    overfitting = (read / ids) * (model.parameters / ids)
    return round(0.4 * (1 - math.exp(-overfitting / 36)), 2)


def choose_rate(steps: float) -> float:
    """Returns the peak learning rate of a training of `steps`, the lower the longer.

    Measured, at 2 × 320: 0.006 was best for 1,300 steps, 0.004 for 2,300 (`benchmarks/LOG.md`).
    """
    rate = MAX_RATE * float((PEAK_RATE_STEPS / max(1.0, steps)) ** RATE_EXPONENT)
    return round(min(MAX_RATE, max(MIN_RATE, rate)), 5)


def fit_settings(
    model: LanguageModel, training: TrainConfig, ids: int, sizes: dict[str, Any]
) -> tuple[TrainConfig, int | None]:
    """Returns `training` with what suits a model and a text of `ids` tokens, and CPU threads.

    That is the batch, the window and the learning rate, unless `sizes` has them. Raises
    ChargenError for a batch that is too large for the text.
    """
    fitting = fit_batch(training, ids)
    chosen = {name: value for name, value in sizes.items() if value is not None}
    training = replace(training, batch=fitting.batch, window=fitting.window)
    training, threads = replace(training, **chosen), None
    refuse_large_batch(training, ids)
    if "learning_rate" not in chosen:
        rate, threads = measured_rate(model, training, ids)
        training = replace(training, learning_rate=rate)
    return training, threads


def measured_rate(model: LanguageModel, training: TrainConfig, ids: int) -> tuple[float, int | None]:
    """Returns the peak learning rate for a model on a text of `ids` tokens, and CPU threads.

    For a budget of minutes, the speed of the model is measured, and the threads are those with which
    it was reached; for other budgets they are None.
    """
    flops, threads = 0.0, None
    if training.minutes is not None:
        device = model.head.weight.device
        flops, threads = measure_speed(device, model.config, training, capture_on(device))
    read = tokens_read(model.config, training, flops, ids)
    return choose_rate(read / training.batch / training.window), threads


def tokens_read(model: ModelConfig, training: TrainConfig, flops: float, ids: int) -> float:
    """Returns how many tokens each generation reads of a text of `ids` tokens, repeats included.

    `flops` are the floating-point operations per second, which a budget of minutes depends on.
    """
    if training.minutes is not None:
        return min(_affordable(model, training, flops), max_epochs(model.parameters, ids) * ids)
    if training.epochs is not None:
        return training.epochs * ids / training.generations
    return (training.steps or 0) * training.batch * training.window / training.generations


def _affordable(model: ModelConfig, training: TrainConfig, flops: float) -> float:
    """Returns how many tokens the first generation can read in a budget of minutes."""
    minutes = (training.minutes or 0) * share_of_time(training, 0)
    return TIME_IN_PRODUCTS * 60 * minutes * flops / flops_per_token(model)


def choose_width(
    model: ModelConfig,
    training: TrainConfig,
    flops: float,
    ids: int,
    widths: Sequence[int] = WIDTHS,
) -> int:
    """Returns the largest hidden size that reads enough in its budget and hardly overfits.

    `flops` are the floating-point operations per second, `ids` the tokens of the text; `widths` are
    the hidden sizes to choose from, ascending.
    """
    width = widths[0]
    for wider in widths[1:]:
        model = replace(model, hidden_size=wider)
        read = tokens_read(model, training, flops, ids)
        needed = min(TOKENS_PER_PARAMETER * model.parameters, SUFFICIENT_EPOCHS * ids)
        most = PARAMETERS_PER_TOKEN[training.generations > 1] * ids
        if read < needed or model.parameters > most:
            break
        width = wider
    return width


def choose_epochs(tokens: int, with_crops: int) -> float:
    """Returns the epochs over labelled texts of `tokens` tokens, or `with_crops` with their crops.

    It depends on no speed, so that the result is the same on every machine.
    """
    epochs = min(CLASSIFIER_PASSES * tokens, CLASSIFIER_TOKENS) / with_crops
    return round(max(1.0, epochs), 2)


def fit_length(
    lengths: npt.NDArray[np.int64], model: ModelConfig, training: TrainConfig, flops: float
) -> int:
    """Returns how many tokens to show of each text, given the `lengths` (N,) of all in tokens.

    A budget of minutes may be short; `flops` are the floating-point operations per second. Measured:
    a part of each text several times teaches more than all texts in full once or twice.
    """
    longest = int(lengths.max())
    if training.minutes is None:
        return longest
    per_epoch = _affordable(model, training, flops) / CLASSIFIER_EPOCHS
    ordered = np.sort(lengths)
    # The tokens of an epoch in which no text is shown further than the length of the k-th.
    totals = np.cumsum(ordered) + ordered * np.arange(len(ordered) - 1, -1, -1)
    complete = int(np.searchsorted(totals, per_epoch, side="right"))  # texts shown in full
    if complete == len(ordered):
        return longest
    share = (per_epoch - ordered[:complete].sum()) / (len(ordered) - complete)
    return max(MIN_SHOWN_TOKENS, int(share))
