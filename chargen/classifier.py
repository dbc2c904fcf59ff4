"""The classifier that a user holds: a tokenizer and a network that belong together."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from chargen import arguments
from chargen.data.batches import (
    FINE_TUNING,
    MAX_LENGTH,
    Augmentation,
    Coverage,
    Texts,
    encode_labelled,
    encode_truncated,
)
from chargen.data.labelled import Labelled
from chargen.device import precision_for
from chargen.errors import ChargenError
from chargen.evaluation.classes import ClassScore, evaluate
from chargen.generator import TextGenerator
from chargen.inspection.explanation import explain
from chargen.model import Classifier, ClassifierConfig, ModelConfig
from chargen.rendering import progress
from chargen.storage import checkpoint
from chargen.storage.record import ClassifierRecord, LabelledRecord
from chargen.suggestions import MAKES, suggests
from chargen.tokenizers.base import Ids, Tokenizer
from chargen.tokenizers.build import build_tokenizer
from chargen.training.classification import ClassificationTask
from chargen.training.config import TrainConfig
from chargen.training.loop import Step, train
from chargen.training.planner import fit_length
from chargen.training.speed import measure_speed
from chargen.training.state import TrainingState

BATCH = 16  # texts
LEARNING_RATE = 4e-3


@suggests
class TextClassifier:
    """A classifier with its tokenizer and the names of its classes.

    reader = TextClassifier.new(data).fit(data, minutes=1)
    print(reader.predict("où est la gare ?"))       # {"fr": 0.97, …}, likeliest first

    `record` says what it was trained on, how, and how well it did.
    """

    def __init__(
        self,
        model: Classifier,
        tokenizer: Tokenizer,
        classes: list[str],
        record: ClassifierRecord,
    ) -> None:
        if not isinstance(model, Classifier):
            raise TypeError(f"a TextClassifier holds a Classifier; {MAKES['TextClassifier']}")
        self.model = model
        self.tokenizer = tokenizer
        self.classes = classes
        self.record = record
        self._augmentation = Augmentation()

    def __repr__(self) -> str:
        name, accuracy = self.record.corpus.name, self.record.scores.get("accuracy")
        trained = f"trained on {name!r}" if name else "untrained"
        score = f": {accuracy:.1%} accuracy" if accuracy else ""
        return (
            f"TextClassifier({self.model.config.summary()}, {len(self.classes):,} classes, "
            f"{trained}{score})"
        )

    @classmethod
    def new(
        cls,
        data: Labelled,
        *,
        tokenizer: str = "char",
        vocab_size: int = 1024,
        cell: str = "lstm",
        num_layers: int = 2,
        hidden_size: int = 192,
        embedding_size: int = 64,
        dropout: float = 0.3,
        bidirectional: bool = False,
        pooling: str = "mean",
        max_length: int = MAX_LENGTH,
        seed: int = 0,
    ) -> TextClassifier:
        """Returns an untrained classifier, with the vocabulary and the classes of `data`.

        It reads at most `max_length` tokens of a text. Equal `seed`s give equal weights. Raises
        ChargenError for a size that makes no sense.
        """
        data, max_length = _labelled(data, "data"), arguments.count(max_length, "max_length", 1)
        vocab_size = arguments.count(vocab_size, "vocab_size", 1)
        built = build_tokenizer(tokenizer, data.texts, vocab_size, documents=True)
        config = ClassifierConfig(
            len(built),
            cell,
            num_layers,
            hidden_size,
            embedding_size,
            dropout,
            bidirectional,
            classes=max(2, len(data.classes)),
            pooling=pooling,
        )
        model = Classifier.new(config, seed)
        return cls(model, built, data.classes, ClassifierRecord(max_length))

    @classmethod
    def from_generator(
        cls,
        writer: TextGenerator,
        data: Labelled,
        *,
        dropout: float = 0.2,
        pooling: str = "mean",
        max_length: int = MAX_LENGTH,
        seed: int = 0,
    ) -> TextClassifier:
        """Returns a classifier that begins with the tokenizer and the pretrained weights of `writer`.

        Only its head is new. In training, the loss of predicting the next token then weighs less,
        and less noise is added (after Howard and Ruder 2018, https://arxiv.org/abs/1801.06146).
        """
        if not isinstance(writer, TextGenerator):
            raise ChargenError(
                f"the generator must be a TextGenerator, got {arguments.shown(writer)}",
                "give TextGenerator.load(folder)",
            )
        data, max_length = _labelled(data, "data"), arguments.count(max_length, "max_length", 1)
        shape = asdict(writer.model.config) | {"dropout": dropout}
        config = ClassifierConfig(**shape, classes=max(2, len(data.classes)), pooling=pooling)
        model = Classifier.new(config, seed)
        model.stack.load_state_dict(writer.model.stack.state_dict())
        assert model.reader is not None
        model.reader.load_state_dict(writer.model.head.state_dict())
        reader = cls(model, writer.tokenizer, data.classes, ClassifierRecord(max_length))
        reader._augmentation = FINE_TUNING
        return reader

    @classmethod
    def load(cls, folder: str | Path) -> TextClassifier:
        """Loads a checkpoint folder. Raises ChargenError if it does not hold a sound classifier."""
        model, tokenizer, record = checkpoint.load(Path(folder), checkpoint.CLASSIFIER)
        classes: Any = record.pop("classes", None)
        max_length = record.get("max_length")
        named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
        if not named or len(set(classes)) != len(classes) or len(classes) != model.config.classes:
            raise ChargenError(f"{folder} is damaged: it does not name its classes")
        if not isinstance(max_length, int) or max_length < 1:
            raise ChargenError(f"{folder} is damaged: max_length is {max_length!r}")
        return cls(model, tokenizer, classes, ClassifierRecord.from_json(record))

    def save(self, folder: str | Path) -> None:
        """Saves to a checkpoint folder; a classifier that was saved there before is replaced.

        Raises ChargenError if the folder cannot be written, or holds files of the same names that are
        not a model's.
        """
        record = self.record.to_json() | {"classes": self.classes}
        checkpoint.save(Path(folder), self.model, self.tokenizer, record)

    def train(
        self,
        data: Labelled,
        validation: Labelled | None = None,
        *,
        minutes: float | None = None,
        epochs: float | None = None,
        steps: int | None = None,
        val_fraction: float = 0.1,
        batch: int = BATCH,
        learning_rate: float = LEARNING_RATE,
        balance: bool = False,
        stack_share: float = 1.0,
        seed: int = 0,
    ) -> Iterator[Step]:
        """Trains step by step; yields what each step gave. Nothing happens before the first one.

        The budget is one of `minutes`, `epochs` and `steps`; without one, five minutes. If the
        minutes do not suffice for all of the texts, a random part of each long text is read at a
        time. Without `validation`, `val_fraction` of every class is kept to validate on. With
        `balance`, every class has the same weight in the loss, however many texts it has.
        `stack_share` scales the learning rate of the recurrent stack: less than 1 lets pretrained
        weights change slowly. The first step's `remark` says how much of the texts is not read, and
        which labels of `validation` are unknown.

        Raises ChargenError for a label that is not among the classes, and for a `validation` without
        one that is.
        """
        if minutes is None and epochs is None and steps is None:
            minutes = 5
        data = _labelled(data, "data")
        validation = None if validation is None else _labelled(validation, "validation")
        batch = arguments.count(batch, "batch", 1)
        stack_share = arguments.number(stack_share, "stack_share", above=0)
        if unknown := sorted(set(data.labels) - set(self.classes)):
            raise ChargenError(f"the classifier has no class {unknown[0]!r}")
        remarks = [] if validation is None else validation.check_labels(self.classes)
        if validation is None:
            data, validation = data.split(val_fraction, seed)
        config = TrainConfig(minutes, epochs, steps, learning_rate=learning_rate, seed=seed)
        config = replace(config, batch=max(1, min(batch, len(data) // 4)))
        texts, validation_texts = self._texts(data), self._texts(validation)
        remarks += (texts.coverage + validation_texts.coverage).notes(self.longest)
        augmentation, threads = self._fit_to_budget(texts, config)
        characters = self.tokenizer.measure(texts.ids)[0] / max(1, len(texts.ids))
        task = ClassificationTask(
            texts,
            validation_texts,
            self.classes,
            config,
            characters_per_token=characters,
            balance=balance,
            augmentation=augmentation,
        )
        if augmentation.longest:
            remarks.append(
                f"each pass reads another {augmentation.longest:,} {self.unit} of each text, so that "
                "the budget is enough for several passes"
            )
        corpus = LabelledRecord(data.name, data.sha256, len(data))
        training = {**asdict(config), **asdict(augmentation), "balance": balance}

        def steps_of_training() -> Iterator[Step]:
            self.record.corpus, self.record.training = corpus, training
            state = TrainingState.begin(self.model, config, stack_share)
            state.threads = threads
            for step in train(self.model, task, config, state):
                if remarks:
                    step = replace(step, remark="; ".join([*remarks, step.remark]).removesuffix("; "))
                    remarks.clear()
                if step.score or step.finished:
                    self.record.scores = _scores(step)
                yield step

        return steps_of_training()

    def fit(
        self,
        data: Labelled,
        validation: Labelled | None = None,
        *,
        minutes: float | None = None,
        epochs: float | None = None,
        steps: int | None = None,
        val_fraction: float = 0.1,
        batch: int = BATCH,
        learning_rate: float = LEARNING_RATE,
        balance: bool = False,
        stack_share: float = 1.0,
        seed: int = 0,
    ) -> Self:
        """Trains to the end of the budget, with a progress bar in a terminal and in a notebook.

        Returns the classifier itself. The parameters are those of `train`, which gives each step.
        """
        training = self.train(
            data,
            validation,
            minutes=minutes,
            epochs=epochs,
            steps=steps,
            val_fraction=val_fraction,
            batch=batch,
            learning_rate=learning_rate,
            balance=balance,
            stack_share=stack_share,
            seed=seed,
        )
        progress.show(training, lambda step: f"accuracy {step.score.accuracy:.1%}")
        return self

    def _fit_to_budget(self, texts: Texts, config: TrainConfig) -> tuple[Augmentation, int | None]:
        """Returns the augmentation, with the length that texts are cut to, and the threads to use.

        Both are measured if the budget is one of minutes.
        """
        augmentation = self._augmentation
        if config.minutes is None:
            return augmentation, None
        shape = self.model.config
        device = next(self.model.parameters()).device
        # A generator of the same cell is about as fast, and measured already.
        generator = ModelConfig(shape.vocab_size, shape.cell)
        precision = precision_for("auto", device, shape)
        probe = TrainConfig(steps=1, precision=precision)
        flops, threads = measure_speed(device, generator, probe)
        longest = fit_length(texts.lengths, shape, config, flops)
        if longest < texts.lengths.max():
            augmentation = replace(augmentation, longest=longest)
        return augmentation, threads

    def keep(self, steps: Iterator[Step], folder: str | Path) -> Generator[Step]:
        """Yields the steps of a training; saves the classifier whenever it is the best so far.

        If no step was evaluated, the last classifier is saved, even if the loop is left early.
        """
        step, saved = None, False
        try:
            for step in steps:
                if step.finished or (step.evaluated and step.best_step == step.number):
                    self.save(folder)
                    saved = True
                yield step
        except GeneratorExit:
            if step and not saved:
                self.save(folder)
            raise

    def predict(self, text: str) -> dict[str, float]:
        """Returns the probability of each class, likeliest first.

        Raises ChargenError for several texts, which are for `predict_many`, and for a text without a
        known character that is not white space: there would be nothing to judge.
        """
        ids, coverage = self._encode(text)
        if coverage.blank:
            raise _no_verdict(text)
        return next(self._predict([ids]))

    def predict_many(self, texts: str | Iterable[str], batch: int = 64) -> Iterator[dict[str, float]]:
        """Yields what `predict` returns for each text, {} instead of an error; `batch` at a time."""
        remaining, batch = iter(arguments.several(texts, "texts")), arguments.count(batch, "batch", 1)
        while some_texts := list(islice(remaining, batch)):
            encoded = [self._encode(text) for text in some_texts]
            predictions = self._predict([ids for ids, coverage in encoded if not coverage.blank])
            for _, coverage in encoded:
                yield {} if coverage.blank else next(predictions)

    def coverage(self, texts: str | Iterable[str]) -> Coverage:
        """Returns how much of the texts it reads: how many are cut, which characters are unknown."""
        return sum((self._encode(text)[1] for text in arguments.several(texts, "texts")), Coverage())

    @property
    def longest(self) -> str:
        """The length up to which a text is read, for a person."""
        return f"{self.record.max_length:,} {self.unit}"

    @property
    def unit(self) -> str:
        """The name of what it reads one by one: characters or tokens."""
        return "characters" if self.tokenizer.kind == "char" else "tokens"

    def evaluate(self, data: Labelled) -> ClassScore:
        """Scores the predictions on labelled texts; a label that is no class of it counts as wrong."""
        return evaluate(self.model, self._texts(_labelled(data, "data")), self.classes)

    def explain(self, text: str) -> tuple[dict[str, float], list[tuple[str, float]]]:
        """Returns the prediction, and (piece, weight) for each piece of the text.

        The weight is how much the piece counts for the likeliest class; see
        `inspection.explanation.explain`.
        """
        ids, coverage = self._encode(text)
        if coverage.blank:
            raise _no_verdict(text)
        return next(self._predict([ids])), explain(self.model, self.tokenizer, ids)

    def _predict(self, texts: list[Ids]) -> Iterator[dict[str, float]]:
        if not texts:
            return
        score = evaluate(self.model, Texts.concatenate(texts, [-1] * len(texts)), self.classes)
        for row in score.probabilities:
            order: npt.NDArray[np.int64] = np.argsort(-row, kind="stable")
            yield {self.classes[index]: float(row[index]) for index in order}

    def _texts(self, data: Labelled) -> Texts:
        return encode_labelled(data, self.tokenizer, self.classes, self.record.max_length)

    def _encode(self, text: str) -> tuple[Ids, Coverage]:
        instead = "several texts are for list(reader.predict_many(texts))"
        text = arguments.text(text, "the text", instead)
        return encode_truncated(text, self.tokenizer, self.record.max_length)


def _no_verdict(text: str) -> ChargenError:
    if not text.strip():
        return ChargenError("there is no verdict on an empty text")
    return ChargenError(f"there is no verdict: the classifier knows no character of {text[:40]!r}")


def _labelled(data: Any, name: str) -> Labelled:
    """Returns labelled texts as they are; raises ChargenError for anything else."""
    if isinstance(data, Labelled):
        if not len(data):
            raise ChargenError(f"{name} holds no texts", "give at least a few for each class")
        return data
    if isinstance(data, str | os.PathLike):
        hint = f"give Labelled.open({os.fspath(data)!r})"
    else:
        hint = "give Labelled(texts, labels), with two lists of one length"
    raise ChargenError(f"{name} must be Labelled, got {arguments.shown(data)}", hint)


def _scores(step: Step) -> dict[str, Any]:
    score: ClassScore | None = step.score
    return {
        **step.summary(),
        "accuracy": score.accuracy if score else None,
        "macro_f1": score.macro_f1 if score else None,
        "calibration_error": score.calibration_error if score else None,
        "final": step.finished,
    }
