"""Prepares the training of a classifier: crops, the linear part, what fits into the budget.

The linear part is fitted first. The network is then trained on its logits out of fold, that is, on
what it says of texts that it has not seen: so the network learns what n-grams leave. Logits of texts
that the linear part has memorised would leave nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import torch

from chargen.data.batches import Augmentation, Texts
from chargen.data.crops import Examples, add_crops
from chargen.data.encoding import encode_labelled, encode_many
from chargen.data.labelled import Labelled, class_indices
from chargen.device import precision_for
from chargen.errors import ChargenError
from chargen.evaluation.classes import score_logits
from chargen.linear import LinearClassifier
from chargen.model import Classifier, ModelConfig
from chargen.tokenizers.base import Tokenizer
from chargen.training.classification import BALANCE, ClassificationTask
from chargen.training.config import TrainConfig
from chargen.training.linear import cross_fit
from chargen.training.planner import choose_epochs, fit_length
from chargen.training.speed import measure_speed

VALIDATION_CROPS = 3000  # at most
MAX_LOGITS = 1 << 24  # texts and crops times classes; with more, no linear classifier is fitted
MIN_SHARE = 0.1  # of a budget of minutes, which the network has however long the linear part took


@dataclass(frozen=True)
class ClassifierRequest:
    """The settings of a training, as they were asked for."""

    config: TrainConfig
    choose_epochs: bool = False  # whether the epochs of `config` are to be chosen by the texts
    wide: bool = True  # whether the network adds to a linear classifier
    balance: bool = False  # whether small classes have more weight
    stack_share: float = 1.0  # factor of the learning rate of the recurrent stack
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class Prepared:
    """A training that can begin."""

    task: ClassificationTask
    config: TrainConfig
    augmentation: Augmentation
    linear: LinearClassifier | None  # to which the network adds
    ngrams: dict[str, float] | None  # accuracy and macro-F1 of a linear classifier alone
    threads: int | None  # of the CPU, with which it is fastest; None where that was not measured
    remarks: list[str]  # for a person


def prepare(
    model: Classifier,
    tokenizer: Tokenizer,
    classes: list[str],
    max_length: int,
    data: Labelled,
    validation: Labelled,
    request: ClassifierRequest,
) -> Prepared:
    """Fits the linear classifier, tokenizes, and fits the request to its budget.

    `max_length` is the number of tokens of a text that are read. The time that the linear classifier
    takes is part of a budget of minutes. Raises ChargenError where there are fewer than two classes.
    """
    if len(classes) < 2:
        raise ChargenError(
            f"all texts have the label {classes[0]!r}: a classifier needs at least two classes"
        )
    began, config = time.perf_counter(), request.config
    examples = add_crops(data, config.seed)
    linear, offsets, ngrams = None, None, None
    if len(examples.data) * len(classes) <= MAX_LOGITS:
        linear, offsets = _fit_linear(examples, classes, request)
    if linear is not None and len(validation):
        score = score_logits(linear.logits(validation.texts), validation.labels, classes)
        ngrams = {"accuracy": score.accuracy, "macro_f1": score.macro_f1}
    beside = linear if request.wide else None
    reading = tokenizer, classes, max_length
    texts = encode(examples.data, *reading)
    texts = replace(texts, offsets=offsets if request.wide else None)
    validation_texts = encode(validation, *reading, beside)
    crops = add_crops(validation).crops(VALIDATION_CROPS) if examples.cropped else None
    if config.minutes is not None:
        left = config.minutes - (time.perf_counter() - began) / 60
        config = replace(config, minutes=max(left, MIN_SHARE * config.minutes))
    if request.choose_epochs:
        tokens = int(texts.lengths[: len(data)].sum())
        config = replace(config, epochs=choose_epochs(tokens, len(texts.ids)))
    augmentation, threads = _fit_to_budget(model, texts, config, request.augmentation)
    if examples.cropped:
        augmentation = replace(augmentation, cropped=0.0)
    task = ClassificationTask(
        texts,
        validation_texts,
        classes,
        config,
        characters_per_token=tokenizer.measure(texts.ids)[0] / max(1, len(texts.ids)),
        balance=request.balance,
        augmentation=augmentation,
        complete=len(data) if examples.cropped else None,
        validation_crops=None if crops is None else encode(crops, *reading, beside),
    )
    coverage = texts.coverage
    if examples.cropped:  # of the texts alone
        coverage = encode_many(data.texts, tokenizer, max_length)[1].sum()
    unit = unit_of(tokenizer)
    remarks = (coverage + validation_texts.coverage).notes(f"{max_length:,} {unit}")
    if linear is None:
        remarks.append("too many texts and classes for n-grams: the network classifies alone")
    if augmentation.longest:
        remarks.append(
            f"each pass reads another {augmentation.longest:,} {unit} of each text, so that the "
            "budget is enough for several passes"
        )
    return Prepared(task, config, augmentation, beside, ngrams, threads, remarks)


def encode(
    data: Labelled,
    tokenizer: Tokenizer,
    classes: list[str],
    max_length: int,
    linear: LinearClassifier | None = None,
) -> Texts:
    """Tokenizes labelled texts, with the logits of a linear classifier."""
    texts = encode_labelled(data, tokenizer, classes, max_length)
    return texts if linear is None else replace(texts, offsets=linear.logits(data.texts))


def unit_of(tokenizer: Tokenizer) -> str:
    """Returns the name of what a classifier reads one by one: characters or tokens."""
    return "characters" if tokenizer.kind == "char" else "tokens"


def _fit_linear(
    examples: Examples, classes: list[str], request: ClassifierRequest
) -> tuple[LinearClassifier, torch.Tensor]:
    """Returns a linear classifier, and its logits out of fold for the N examples (N, C)."""
    return cross_fit(
        examples.data.texts,
        class_indices(examples.data.labels, classes),
        examples.sources,
        len(classes),
        power=BALANCE if request.balance else 0.0,
        seed=request.config.seed,
    )


def _fit_to_budget(
    model: Classifier, texts: Texts, config: TrainConfig, augmentation: Augmentation
) -> tuple[Augmentation, int | None]:
    """Returns the augmentation, with the length that texts are cut to, and the threads to use.

    Both are measured if the budget is one of minutes.
    """
    if config.minutes is None:
        return augmentation, None
    shape, device = model.config, model.head.weight.device
    # A generator of the same cell is about as fast, and measured already.
    generator = ModelConfig(shape.vocab_size, shape.cell)
    probe = TrainConfig(steps=1, precision=precision_for("auto", device, shape))
    flops, threads = measure_speed(device, generator, probe)
    longest = fit_length(texts.lengths, shape, config, flops)
    if longest < texts.lengths.max():
        augmentation = replace(augmentation, longest=longest)
    return augmentation, threads
