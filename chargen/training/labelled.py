"""Prepares the training of a classifier: crops, the linear part, what fits into the budget.

The linear part is fitted first. The network is then trained on its logits out of fold, that is, on
what it says of texts that it has not seen: so the network learns what n-grams leave. Logits of texts
that the linear part has memorised would leave nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from chargen.data.batches import Augmentation, Texts
from chargen.data.crops import Examples, add_crops
from chargen.data.encoding import encode_labelled, encode_many
from chargen.data.labelled import Labelled, class_indices
from chargen.device import precision_for
from chargen.errors import ChargenError
from chargen.evaluation.classes import ClassScore, score_logits
from chargen.evaluation.overlap import NOTABLE
from chargen.linear import LinearClassifier
from chargen.model import Classifier
from chargen.shapes import ModelConfig
from chargen.storage.record import LabelledRecord
from chargen.tokenizers.base import Tokenizer
from chargen.training.classification import LINEAR_BALANCE, ClassificationTask
from chargen.training.config import TrainConfig
from chargen.training.linear import cross_fit
from chargen.training.loop import Step
from chargen.training.planner import choose_epochs, fit_length
from chargen.training.speed import measure_speed
from chargen.training.state import TrainingState

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
class Preparation:
    """All that is decided before the first step; what a training is resumed with."""

    config: TrainConfig
    augmentation: Augmentation
    balance: bool
    stack_share: float
    linear: LinearClassifier | None = None  # to which the network adds
    offsets: torch.Tensor | None = None  # (N, C) its logits out of fold, of the texts and their crops
    ngrams: dict[str, float] | None = None  # accuracy and macro-F1 of a linear classifier alone
    threads: int | None = None  # of the CPU, with which it is fastest; None if that was not measured
    minutes: float = 0.0  # of a budget of minutes, which it took to decide all that

    def record(self) -> dict[str, Any]:
        """Returns what config.json says of the training."""
        return {**asdict(self.config), **asdict(self.augmentation), "balance": self.balance}


@dataclass(frozen=True, eq=False)
class TrainingTexts:
    """The labelled texts of a training, and how they are read.

    `seed` draws the crops. Raises ChargenError where there are fewer than two classes.
    """

    tokenizer: Tokenizer
    classes: list[str]
    max_length: int  # tokens of a text that are read
    data: Labelled
    validation: Labelled
    seed: int
    val_fraction: float | None = None  # kept apart to validate on; None where those texts were given

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ChargenError(
                f"all texts have the label {self.classes[0]!r}: a classifier needs two classes or more"
            )

    @classmethod
    def of(
        cls,
        tokenizer: Tokenizer,
        classes: list[str],
        max_length: int,
        data: Labelled,
        validation: Labelled | None,
        val_fraction: float,
        seed: int,
    ) -> TrainingTexts:
        """Returns the texts; without `validation`, `val_fraction` of every class is split off.

        `seed` draws which ones.
        """
        reading = tokenizer, classes, max_length
        if validation is not None:
            return cls(*reading, data, validation, seed)
        return cls(*reading, *data.split(val_fraction, seed), seed, val_fraction)

    @property
    def corpus(self) -> LabelledRecord:
        """The record of the texts for config.json."""
        return LabelledRecord(self.data.name, self.data.sha256, len(self.data))

    @cached_property
    def sha256(self) -> str:
        """A sum over all texts and labels."""
        total = hashlib.sha256()
        for part in (self.data, self.validation):
            for string in (*part.texts, *part.labels):
                data = string.encode("utf-8", "surrogatepass")
                total.update(len(data).to_bytes(8, "little") + data)
        return total.hexdigest()

    @cached_property
    def examples(self) -> Examples:
        """The texts to train on, and their crops."""
        return add_crops(self.data, self.seed)

    @cached_property
    def encoded(self) -> Texts:
        """The examples in tokens."""
        return self._encode(self.examples.data)

    @cached_property
    def encoded_validation(self) -> Texts:
        """The validation texts in tokens."""
        return self._encode(self.validation)

    @cached_property
    def repeated_share(self) -> float:
        """The share of the validation texts that are training texts, too."""
        known = set(self.data.texts)
        return sum(text in known for text in self.validation.texts) / max(1, len(self.validation))

    @property
    def suit_ngrams(self) -> bool:
        """Whether they are few enough for a linear classifier."""
        return len(self.examples.data) * len(self.classes) <= MAX_LOGITS

    def task(self, preparation: Preparation) -> ClassificationTask:
        """Returns the task of a training that was prepared for these texts."""
        linear, ids, crops, encoded_crops = preparation.linear, self.encoded.ids, None, None
        if self.examples.cropped:
            crops = add_crops(self.validation).crops(VALIDATION_CROPS)
        if crops is not None:
            encoded_crops = _with_offsets(self._encode(crops), crops, linear)
        return ClassificationTask(
            replace(self.encoded, offsets=preparation.offsets),
            _with_offsets(self.encoded_validation, self.validation, linear),
            self.classes,
            preparation.config,
            characters_per_token=self.tokenizer.measure(ids)[0] / max(1, len(ids)),
            balance=preparation.balance,
            augmentation=preparation.augmentation,
            complete=len(self.data) if self.examples.cropped else None,
            validation_crops=encoded_crops,
        )

    def remarks(self, preparation: Preparation) -> list[str]:
        """Returns what a person should know of the training, each in a sentence."""
        coverage = self.encoded.coverage
        if self.examples.cropped:  # of the texts alone
            coverage = encode_many(self.data.texts, self.tokenizer, self.max_length)[1].sum()
        unit = unit_of(self.tokenizer)
        remarks = (coverage + self.encoded_validation.coverage).notes(f"{self.max_length:,} {unit}")
        if (share := self.repeated_share) > NOTABLE:
            remarks.append(
                f"{share:.0%} of the held-out texts are also training texts: on new texts, the score "
                "will be worse"
            )
        if not self.suit_ngrams:
            remarks.append("too many texts and classes for n-grams: the network classifies alone")
        if longest := preparation.augmentation.longest:
            remarks.append(
                f"each pass reads another {longest:,} {unit} of each text, so that the budget is "
                "enough for several passes"
            )
        return remarks

    def _encode(self, data: Labelled) -> Texts:
        return encode_labelled(data, self.tokenizer, self.classes, self.max_length)


@dataclass(frozen=True, eq=False)
class PreparedTraining:
    """A training that can begin, or go on; `prepare` is called once, when that is first needed."""

    texts: TrainingTexts
    prepare: Callable[[], Preparation]
    notes: tuple[str, ...] = ()  # on the labels, for a person

    def __repr__(self) -> str:
        return f"PreparedTraining({self.texts.data!r})"

    @cached_property
    def preparation(self) -> Preparation:
        """All that is decided before the first step. Deciding it takes time."""
        return self.prepare()

    @property
    def remarks(self) -> list[str]:
        """A person should know these, each a sentence."""
        return [*self.notes, *self.texts.remarks(self.preparation)]

    def begin(self, model: Classifier) -> TrainingState:
        """Returns the state before the first step."""
        preparation = self.preparation
        state = TrainingState.begin(model, preparation.config, preparation.stack_share)
        state.threads = preparation.threads
        return state


def prepare(model: Classifier, texts: TrainingTexts, request: ClassifierRequest) -> Preparation:
    """Fits the linear classifier, and the request to its budget.

    The time that this takes is part of a budget of minutes.
    """
    began, config = time.perf_counter(), request.config
    linear, offsets, ngrams, minutes = None, None, None, 0.0
    if texts.suit_ngrams:
        linear, offsets = _fit_linear(texts, request)
        if len(texts.validation):
            logits = linear.logits(texts.validation.texts)
            score = score_logits(logits, texts.validation.labels, texts.classes)
            ngrams = {"accuracy": score.accuracy, "macro_f1": score.macro_f1}
    if not request.wide:  # the n-grams were a baseline, which takes nothing from the budget
        linear, offsets, began = None, None, time.perf_counter()
    encoded = texts.encoded
    if config.minutes is not None:
        spent = (time.perf_counter() - began) / 60
        minutes = min(spent, (1 - MIN_SHARE) * config.minutes)
        config = replace(config, minutes=config.minutes - minutes)
    if request.choose_epochs:
        tokens = int(encoded.lengths[: len(texts.data)].sum())
        config = replace(config, epochs=choose_epochs(tokens, len(encoded.ids)))
    augmentation, threads = _fit_to_budget(model, encoded, config, request.augmentation)
    if texts.examples.cropped:
        augmentation = replace(augmentation, cropped=0.0)
    settings = config, augmentation, request.balance, request.stack_share
    return Preparation(*settings, linear, offsets, ngrams, threads, minutes)


def _fit_linear(
    texts: TrainingTexts, request: ClassifierRequest
) -> tuple[LinearClassifier, torch.Tensor]:
    """Returns a linear classifier, and its logits out of fold for the N examples (N, C)."""
    examples = texts.examples
    return cross_fit(
        examples.data.texts,
        class_indices(examples.data.labels, texts.classes),
        examples.sources,
        len(texts.classes),
        power=LINEAR_BALANCE if request.balance else 0.0,
        seed=request.config.seed,
    )


def _with_offsets(texts: Texts, data: Labelled, linear: LinearClassifier | None) -> Texts:
    return texts if linear is None else replace(texts, offsets=linear.logits(data.texts))


def encode(
    data: Labelled,
    tokenizer: Tokenizer,
    classes: list[str],
    max_length: int,
    linear: LinearClassifier | None = None,
) -> Texts:
    """Tokenizes labelled texts, with the logits of a linear classifier."""
    return _with_offsets(encode_labelled(data, tokenizer, classes, max_length), data, linear)


def scores_of(step: Step) -> dict[str, Any]:
    """Returns what config.json says of how good a classifier is after a step."""
    score: ClassScore | None = step.score
    return {
        **step.summary(),
        "accuracy": score.accuracy if score else None,
        "macro_f1": score.macro_f1 if score else None,
        "calibration_error": score.calibration_error if score else None,
        "final": step.finished,
    }


def unit_of(tokenizer: Tokenizer) -> str:
    """Returns the name of what a classifier reads one by one: characters or tokens."""
    return "characters" if tokenizer.kind == "char" else "tokens"


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
