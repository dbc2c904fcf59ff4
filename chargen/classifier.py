"""The classifier that a user holds: a tokenizer and a network that belong together."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from chargen import arguments
from chargen.data.batches import FINE_TUNING, MAX_LENGTH, Augmentation, Coverage, Texts
from chargen.data.encoding import encode_many, encode_truncated
from chargen.data.labelled import Labelled, labelled_texts
from chargen.errors import ChargenError
from chargen.evaluation.classes import ClassScore, evaluate
from chargen.evaluation.predictions import PREDICTED, Predictions, predict_batches
from chargen.generator import TextGenerator
from chargen.inspection.explanation import Explanation, explain, explain_linear
from chargen.linear import LinearClassifier
from chargen.model import Classifier, to_arrays
from chargen.rendering import progress
from chargen.shapes import ClassifierConfig
from chargen.storage import checkpoint
from chargen.storage.hub import local_folder
from chargen.storage.record import ClassifierRecord
from chargen.suggestions import MAKES, suggests
from chargen.tokenizers.base import Ids, Tokenizer
from chargen.tokenizers.build import build_tokenizer
from chargen.training.config import TrainConfig
from chargen.training.labelled import (
    ClassifierRequest,
    PreparedTraining,
    TrainingTexts,
    encode,
    prepare,
    scores_of,
    unit_of,
)
from chargen.training.loop import Step, train
from chargen.training.state import TrainingState

BATCH = 16  # texts
LEARNING_RATE = 4e-3


@suggests
class TextClassifier:
    """A network with its tokenizer, a linear classifier beside it, and the names of the classes.

    reader = TextClassifier.new(data).fit(data, minutes=1)
    print(reader.predict("où est la gare ?"))       # {"fr": 0.97, …}, likeliest first

    The logits of `model` are added to those of `linear`, which counts n-grams; without it (`wide` is
    false), the network classifies alone. `record` says what it was trained on, how, and how well it
    did.
    """

    def __init__(
        self,
        model: Classifier,
        tokenizer: Tokenizer,
        classes: list[str],
        record: ClassifierRecord,
        linear: LinearClassifier | None = None,
        *,
        wide: bool = True,
    ) -> None:
        if not isinstance(model, Classifier):
            raise TypeError(f"a TextClassifier holds a Classifier; {MAKES['TextClassifier']}")
        self.model = model
        self.tokenizer = tokenizer
        self.classes = classes
        self.record = record
        self.linear = linear
        self._wide = wide  # whether training fits `linear`
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
        wide: bool = True,
        seed: int = 0,
    ) -> TextClassifier:
        """Returns an untrained classifier, with the vocabulary and the classes of `data`.

        It reads at most `max_length` tokens of a text. If it is `wide`, training first fits a linear
        classifier over n-grams, and the network then learns what that leaves. Equal `seed`s give equal
        weights. Raises ChargenError for a size that makes no sense.
        """
        data, max_length = labelled_texts(data, "data"), arguments.count(max_length, "max_length", 1)
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
        return cls(model, built, data.classes, ClassifierRecord(max_length), wide=wide)

    @classmethod
    def from_generator(
        cls,
        writer: TextGenerator,
        data: Labelled,
        *,
        dropout: float = 0.2,
        pooling: str = "mean",
        max_length: int = MAX_LENGTH,
        wide: bool = True,
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
        data, max_length = labelled_texts(data, "data"), arguments.count(max_length, "max_length", 1)
        shape = asdict(writer.model.config) | {"dropout": dropout}
        config = ClassifierConfig(**shape, classes=max(2, len(data.classes)), pooling=pooling)
        model = Classifier.new(config, seed)
        model.stack.load_state_dict(writer.model.stack.state_dict())
        model.reader.load_state_dict(writer.model.head.state_dict())
        record = ClassifierRecord(max_length)
        reader = cls(model, writer.tokenizer, data.classes, record, wide=wide)
        reader._augmentation = FINE_TUNING
        return reader

    @classmethod
    def load(cls, folder: str | Path) -> TextClassifier:
        """Loads a checkpoint folder; "hf:user/name" is one on the Hugging Face Hub.

        Raises ChargenError if it does not hold a sound classifier.
        """
        folder = local_folder(folder)
        config, weights, tokenizer, record, ngrams = checkpoint.load(folder, checkpoint.CLASSIFIER)
        linear = None
        if ngrams is not None:
            path = folder / checkpoint.NGRAMS
            linear = LinearClassifier.from_arrays(path, ngrams, config.classes)
        max_length = record.get("max_length")
        try:
            classes = checkpoint.checked_classes(record.pop("classes", None), config)
        except ChargenError as error:
            raise error.within(f"{folder} is damaged") from error
        if not isinstance(max_length, int) or max_length < 1:
            raise ChargenError(f"{folder} is damaged: max_length is {max_length!r}")
        model = Classifier.from_arrays(config, weights)
        return cls(model, tokenizer, classes, ClassifierRecord.from_json(record), linear)

    def save(self, folder: str | Path) -> None:
        """Saves to a checkpoint folder; a classifier that was saved there before is replaced.

        Raises ChargenError if the folder cannot be written, or holds files of the same names that are
        not a model's.
        """
        record = self.record.to_json() | {"classes": self.classes}
        ngrams = None if self.linear is None else self.linear.arrays()
        parts = self.model.config, to_arrays(self.model), self.tokenizer, record
        checkpoint.save(Path(folder), *parts, ngrams=ngrams)

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

        The budget is one of `minutes`, `epochs` and `steps`; without one, as many epochs as suit the
        texts. If the minutes do not suffice for all of the texts, a random part of each long text is
        read at a time. Short texts are also read in crops of one to three words. Without `validation`,
        `val_fraction` of every class is kept to validate on. With `balance`, texts of small classes
        weigh more; see `training.classification.BALANCE`. `stack_share` scales the
        learning rate of the recurrent stack: less than 1 lets pretrained weights change slowly. The
        first step's `remark` says how much of the texts is not read, and which labels of `validation`
        are unknown.

        Raises ChargenError for a label that is not among the classes, and for a `validation` without
        one that is.
        """
        prepared = self.prepare(
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
        return self.train_on(prepared)

    def prepare(
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
    ) -> PreparedTraining:
        """Returns a training that can begin; parameters and errors are those of `train`.

        The linear classifier is fitted when the first step is asked for, or the `preparation`.
        """
        data = labelled_texts(data, "data")
        validation = None if validation is None else labelled_texts(validation, "validation")
        batch = arguments.count(batch, "batch", 1)
        stack_share = arguments.number(stack_share, "stack_share", above=0)
        if unknown := sorted(set(data.labels) - set(self.classes)):
            raise ChargenError(f"the classifier has no class {unknown[0]!r}")
        remarks = [] if validation is None else validation.check_labels(self.classes)
        reading = self.tokenizer, self.classes, self.record.max_length
        texts = TrainingTexts.of(*reading, data, validation, val_fraction, seed)
        open_end = minutes is None and epochs is None and steps is None
        config = TrainConfig(
            minutes,
            1.0 if open_end else epochs,
            steps,
            learning_rate=learning_rate,
            batch=max(1, min(batch, len(texts.data) // 4)),
            seed=seed,
        )
        request = ClassifierRequest(
            config, open_end, self._wide, balance, stack_share, self._augmentation
        )
        return PreparedTraining(texts, partial(prepare, self.model, texts, request), tuple(remarks))

    def train_on(
        self, prepared: PreparedTraining, state: TrainingState | None = None
    ) -> Generator[Step]:
        """Yields the steps of a prepared training; `state` continues one that was begun."""
        preparation, remarks = prepared.preparation, prepared.remarks
        config, task = preparation.config, prepared.texts.task(preparation)
        if state is None:
            state = prepared.begin(self.model)
        ngrams = {} if preparation.ngrams is None else {"ngrams": preparation.ngrams}
        self.linear, self.record.scores = preparation.linear, ngrams
        self.record.corpus, self.record.training = prepared.texts.corpus, preparation.record()
        for step in train(self.model, task, config, state):
            if remarks:
                step = replace(step, remark="; ".join([*remarks, step.remark]).removesuffix("; "))
                remarks.clear()
            if step.finished and self.linear is not None:
                self.linear = self.linear.scaled(task.scale)
            if step.score or step.finished:
                self.record.scores = scores_of(step) | ngrams
            yield step

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

    def predict(self, text: str) -> dict[str, float]:
        """Returns the probability of each class, likeliest first.

        Raises ChargenError for several texts, which are for `predict_many`, and for a text without a
        known character that is not white space: there would be nothing to judge.
        """
        if prediction := next(self.predict_many([text])):
            return prediction
        raise _no_verdict(text)

    def predict_many(
        self, texts: str | Iterable[str], batch: int = PREDICTED
    ) -> Iterator[dict[str, float]]:
        """Yields what `predict` returns for each text, {} instead of an error; `batch` at a time."""
        for predictions in self.predict_arrays(texts, batch):
            yield from predictions.by_class()

    def predict_arrays(
        self, texts: str | Iterable[str], batch: int = PREDICTED
    ) -> Iterator[Predictions]:
        """Yields the predictions for up to `batch` texts at a time, as arrays: the fastest way."""
        texts = map(self._text, arguments.several(texts, "texts"))
        batch, length = arguments.count(batch, "batch", 1), self.record.max_length
        parts = self.model, self.linear, self.tokenizer, self.classes
        yield from predict_batches(*parts, length, texts, batch)

    def coverage(self, texts: str | Iterable[str]) -> Coverage:
        """Returns how much of the texts it reads: how many are cut, which characters are unknown."""
        checked = [self._text(text) for text in arguments.several(texts, "texts")]
        return encode_many(checked, self.tokenizer, self.record.max_length)[1].sum()

    @property
    def longest(self) -> str:
        """The length up to which a text is read, for a person."""
        return f"{self.record.max_length:,} {unit_of(self.tokenizer)}"

    def evaluate(self, data: Labelled) -> ClassScore:
        """Scores the predictions on labelled texts; a label that is no class of it counts as wrong."""
        return evaluate(self.model, self._texts(labelled_texts(data, "data")), self.classes)

    def explain(self, text: str) -> tuple[dict[str, float], list[tuple[str, float]]]:
        """Returns the prediction, and (piece, weight) for each piece of the text.

        The weight is how much the piece counts for the likeliest class, by both parts together; with
        attention pooling, it is where the network looked. See `inspection.explanation.explain`.
        """
        explanation = self.explain_parts(text)
        return explanation.prediction, explanation.weights

    def explain_parts(self, text: str) -> Explanation:
        """Returns the prediction, and what `explain` does for the network and the n-grams each."""
        ids, _ = self._encode(text)
        prediction = self.predict(text)
        index = self.classes.index(next(iter(prediction)))
        weights = network = explain(self.model, self.tokenizer, ids, index)
        ngrams: list[tuple[str, float]] = []
        if self.linear is not None:
            ngrams = explain_linear(self.linear, [piece for piece, _ in network], index)
            if self.model.config.pooling != "attention":
                both = zip(network, ngrams, strict=True)
                weights = [(piece, weight + more) for (piece, weight), (_, more) in both]
        return Explanation(prediction, weights, network, ngrams)

    def _texts(self, data: Labelled) -> Texts:
        return encode(data, self.tokenizer, self.classes, self.record.max_length, self.linear)

    def _encode(self, text: str) -> tuple[Ids, Coverage]:
        return encode_truncated(self._text(text), self.tokenizer, self.record.max_length)

    @staticmethod
    def _text(text: Any) -> str:
        hint = "several texts are for list(reader.predict_many(texts))"
        return arguments.text(text, "the text", hint)


def _no_verdict(text: str) -> ChargenError:
    if not text.strip():
        return ChargenError("there is no verdict on an empty text")
    return ChargenError(f"there is no verdict: the classifier knows no character of {text[:40]!r}")
