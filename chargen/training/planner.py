"""Sizes for a model and its training, chosen from the corpus, the budget and the device's speed."""

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
from chargen.errors import ChargenError
from chargen.model import LanguageModel, ModelConfig
from chargen.training.budget import max_epochs, share_of_time
from chargen.training.config import TrainConfig
from chargen.training.speed import flops_per_id, measured_flops, probe_flops

BATCH, WINDOW = TrainConfig.batch, TrainConfig.window
# On a GPU: cuDNN's persistent kernels want sizes that are multiples of that, and of lanes a multiple
# of 8, at most 128; a step takes as long for 64 of them as for 16.
PERSISTENT, GPU_BATCH = 128, 64
WIDTHS = (64, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024)  # hidden sizes to choose from
IDS_PER_PARAMETER = 2.0  # a model that reads fewer in its budget would be better if it were smaller
ENOUGH = 3.5  # passes over a text; a wider stack learns more in so many than a narrower one in more
PARAMETERS_PER_ID = 8.0, 16.0  # larger models only learn a text by heart; with a teacher, larger ones
MANY_STEPS, SOME_STEPS = 64, 8  # in a pass; with fewer, lanes, then windows, are made smaller
PASSES = 5.0  # over labelled texts; where a budget is for fewer, less of each text is read
SHORTEST = 100  # ids; so much of a text is always read
# Of each parameter, in training: weight, average, gradient, two moments, the best one so far; all but
# the gradient once more, to go back to; a teacher's, which is kept and at work. Of each matrix, the
# optimizer's basis and what it comes from, twice as well.
COPIES, SQUARES = 13, 4
RATE_RANGE = 1e-3, 6e-3  # of learning, the lowest and the highest
PEAK_RATE_STEPS, RATE_DECAY = (
    1300.0,
    0.6,
)  # steps up to which it is the highest, and how it falls from there


@dataclass(frozen=True)
class Plan:
    """What was chosen, and why in one line."""

    model: ModelConfig
    training: TrainConfig
    reason: str


def plan(
    corpus: Corpus,
    device: torch.device,
    training: TrainConfig,
    given: dict[str, Any],
) -> Plan:
    """Fills in what was not given: None stands for a choice that is left to us.

    `given` may hold cell, num_layers, hidden_size, embedding_size, dropout, batch, window,
    learning_rate and generations.
    """
    given = {name: value for name, value in given.items() if value is not None}
    ids = len(corpus.training)
    on_gpu = device.type == "cuda"
    training = replace(training, batch=GPU_BATCH if on_gpu else BATCH, window=WINDOW)
    training = fit_batch(training, ids)
    fixed = {
        n: given.pop(n) for n in ("batch", "window", "learning_rate", "generations") if n in given
    }
    training = replace(training, **fixed)
    usual = {"hidden_size": 256, **({"embedding_size": PERSISTENT} if on_gpu else {})}
    model = ModelConfig(len(corpus.tokenizer), **{**usual, **given})

    _refuse_giants(model, device)
    # Wider stacks do more per second, up to where their matrices leave the caches.
    widths = [width for width in WIDTHS if not on_gpu or width % PERSISTENT == 0]
    widths = [model.hidden_size] if "hidden_size" in given else widths
    speeds = {model.hidden_size: measured_flops(device, model, training)}

    def sized(training: TrainConfig) -> ModelConfig:
        width, tried = model.hidden_size, set()
        while width not in tried:
            tried.add(width)
            if width not in speeds:
                speeds[width] = probe_flops(device, replace(model, hidden_size=width), training)
            width = choose_width(model, training, speeds[width], ids, widths)
        return replace(model, hidden_size=width)

    if "generations" not in fixed and training.minutes is not None:
        two = replace(training, generations=2)
        half = sized(two)
        if ids_read(half, two, speeds[half.hidden_size], ids) >= ENOUGH * ids:
            training = two
    model = sized(training)
    speed = speeds[model.hidden_size]
    read = ids_read(model, training, speed, ids)
    if "dropout" not in given:
        model = replace(model, dropout=dropout_for(model, read, ids))
    if "learning_rate" not in fixed:
        training = replace(training, learning_rate=rate_for(read / training.batch / training.window))
    shape = f"{model.cell} {model.num_layers} × {model.hidden_size}"
    networks = training.generations
    stopped = training.minutes and read < _affordable(model, training, speed)
    often = "passes, enough for this text" if stopped else "passes"
    often += f", by each of {networks} networks" if networks > 1 else ""
    lanes = f"{training.batch} lanes × {training.window}, rate {training.learning_rate:g}"
    return Plan(
        model,
        training,
        f"{shape}, {model.parameters / 1e6:.2f} M parameters, dropout {model.dropout:g}, {lanes}: "
        f"about {read / 1e6:.2g} M ids, {read / ids:.1f} {often}, at "
        f"{speed / flops_per_id(model):,.0f} ids/s",
    )


def _refuse_giants(model: ModelConfig, device: torch.device) -> None:
    """Raises ChargenError where the memory of a device cannot hold a training of this model."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    elif hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        return
    needed = 4 * (COPIES * model.parameters + SQUARES * model.squares)
    if needed > memory:
        raise ChargenError(
            f"a model of {model.parameters:,} parameters needs about {needed / 1e9:,.1f} GB to train, "
            f"and there are {memory / 1e9:.1f} GB; take a smaller --hidden or fewer --layers"
        )


def fit_batch(training: TrainConfig, ids: int) -> TrainConfig:
    """Fewer lanes until a pass over a short corpus has many steps; shorter windows for some at least.

    Measured: of 30,000 characters, four lanes learn more than eight, and those more than sixteen.
    """
    batch, window = training.batch, training.window
    while batch > 4 and batch * window * MANY_STEPS > ids:
        batch //= 2
    while window > 16 and batch * window * SOME_STEPS > ids:
        window //= 2
    while batch > 1 and batch * window * SOME_STEPS > ids:
        batch //= 2
    return replace(training, batch=batch, window=window)


def dropout_for(model: ModelConfig, read: float, ids: int) -> float:
    """The more, the more often a text is read, and the more parameters there are to learn it by heart.

    Measured (`benchmarks/LOG.md`), for passes times parameters per id: 0.05 or less for 5, 0.15 for
    16, 0.2 to 0.3 for 47.
    """
    by_heart = (read / ids) * (model.parameters / ids)
    return round(0.4 * (1 - math.exp(-by_heart / 36)), 2)


def rate_for(steps: float) -> float:
    """The learning rate at its highest, the smaller the longer the training.

    Measured, at 2 × 320: 0.006 was best for 1,300 steps, 0.004 for 2,300 (`benchmarks/LOG.md`).
    """
    falling = RATE_RANGE[1] * float((PEAK_RATE_STEPS / max(1.0, steps)) ** RATE_DECAY)
    return round(min(RATE_RANGE[1], max(RATE_RANGE[0], falling)), 5)


def suited_rate(model: LanguageModel, training: TrainConfig, ids: int) -> float:
    """The same for a model that there is; where its budget is of minutes, measures how fast it is."""
    device = model.head.weight.device
    speed = 0.0 if training.minutes is None else measured_flops(device, model.config, training)
    read = ids_read(model.config, training, speed, ids)
    return rate_for(read / training.batch / training.window)


def ids_read(model: ModelConfig, training: TrainConfig, speed: float, ids: int) -> float:
    """How many ids a generation reads in its budget, at so many operations per second."""
    if training.minutes is not None:
        return min(_affordable(model, training, speed), max_epochs(model.parameters, ids) * ids)
    if training.epochs is not None:
        return training.epochs * ids / training.generations
    return (training.steps or 0) * training.batch * training.window / training.generations


def _affordable(model: ModelConfig, training: TrainConfig, speed: float) -> float:
    """How many ids each generation can read in a budget of minutes."""
    minutes = (training.minutes or 0) * share_of_time(training, 0)
    # Evaluations take a share, and the rest of a step, too.
    return 0.85 * 60 * minutes * speed / flops_per_id(model)


def choose_width(
    model: ModelConfig,
    training: TrainConfig,
    speed: float,
    ids: int,
    widths: Sequence[int] = WIDTHS,
) -> int:
    """The widest stack that still reads enough in its budget and is not too large for its corpus."""
    width = widths[0]
    for wider in widths[1:]:
        model = replace(model, hidden_size=wider)
        read = ids_read(model, training, speed, ids)
        wanted = min(IDS_PER_PARAMETER * model.parameters, ENOUGH * ids)
        most = PARAMETERS_PER_ID[training.generations > 1] * ids
        if read < wanted or model.parameters > most:
            break
        width = wider
    return width


def length_to_read(
    lengths: npt.NDArray[np.int64], model: ModelConfig, training: TrainConfig, speed: float
) -> int:
    """How many ids of each text (N,) to learn from, where a budget of minutes is short.

    Measured: the first part of all texts several times teaches more than all of them once or twice.
    """
    longest = int(lengths.max())
    if training.minutes is None:
        return longest
    wanted = _affordable(model, training, speed) / PASSES
    ordered = np.sort(lengths)
    # What is read of all texts where none is read further than the k-th is long.
    totals = np.cumsum(ordered) + ordered * np.arange(len(ordered) - 1, -1, -1)
    whole = int(np.searchsorted(totals, wanted, side="right"))  # texts that are read to their end
    if whole == len(ordered):
        return longest
    share = (wanted - ordered[:whole].sum()) / (len(ordered) - whole)
    return max(SHORTEST, int(share))
