"""What a user holds to sort texts with: a tokenizer and a classifier that belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from chargen.data.batches import (
    FINE_TUNING,
    MAX_LENGTH,
    Augmentation,
    Texts,
    encode_labelled,
    encode_truncated,
)
from chargen.data.labelled import Labelled
from chargen.device import precision_for
from chargen.errors import ChargenError
from chargen.evaluation.classes import ClassScore, evaluate
from chargen.generator import TextGenerator
from chargen.model import Classifier, ClassifierConfig, ModelConfig
from chargen.storage import checkpoint
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


class TextClassifier:
    """A classifier with its tokenizer and the names of its classes.

    reader = TextClassifier.new(data)
    for step in reader.train(data, minutes=1):
        ...
    print(reader.predict("où est la gare ?"))       # {"fr": 0.97, …}, likeliest first
    """

    def __init__(
        self, model: Classifier, tokenizer: Tokenizer, classes: list[str], record: dict[str, Any]
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.classes = classes
        self.record = record  # data, training and scores, as in config.json
        self._augmentation = Augmentation()

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
        """An untrained classifier for texts and classes like these."""
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
        return cls(model, built, data.classes, {"max_length": max_length})

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
        """A classifier that can read already: tokenizer, stack and reader are a generator's.

        In training, reading then weighs less beside judging (Howard and Ruder 2018 begin so, too).
        """
        shape = asdict(writer.model.config) | {"dropout": dropout}
        config = ClassifierConfig(**shape, classes=max(2, len(data.classes)), pooling=pooling)
        model = Classifier.new(config, seed)
        model.stack.load_state_dict(writer.model.stack.state_dict())
        assert model.reader is not None
        model.reader.load_state_dict(writer.model.head.state_dict())
        reader = cls(model, writer.tokenizer, data.classes, {"max_length": max_length})
        reader._augmentation = FINE_TUNING
        return reader

    @classmethod
    def load(cls, folder: str | Path) -> TextClassifier:
        """Reads a checkpoint folder; raises ChargenError where it does not hold a sound classifier."""
        model, tokenizer, record = checkpoint.load(Path(folder), checkpoint.CLASSIFIER)
        classes: Any = record.get("classes")
        longest = record.get("max_length")
        named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
        if not named or len(set(classes)) != len(classes) or len(classes) != model.config.classes:
            raise ChargenError(f"{folder} is damaged: it does not name its classes")
        if not isinstance(longest, int) or longest < 1:
            raise ChargenError(f"{folder} is damaged: max_length is {longest!r}")
        return cls(model, tokenizer, classes, record)

    def save(self, folder: str | Path) -> None:
        """Writes a checkpoint folder, or the next state of the one that is there."""
        kept = {k: v for k, v in self.record.items() if k not in ("format", "kind", "model")}
        checkpoint.save(Path(folder), self.model, self.tokenizer, kept | {"classes": self.classes})

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
        """Trains step by step, five minutes where no budget is given; see `training.train`.

        Where a budget of minutes is short, another part of each long text is shown each time.
        Without `validation`, a share of every class is kept apart to measure by. With `balance`, a
        class of few texts weighs as much as one of many. `stack_share` of the learning rate is for
        the stack, less than 1 where it has learned before and should change slowly.
        """
        if minutes is None and epochs is None and steps is None:
            minutes = 5
        if unknown := sorted(set(data.labels) - set(self.classes)):
            raise ChargenError(f"the classifier has no class {unknown[0]!r}")
        if validation is None:
            data, validation = data.split(val_fraction, seed)
        config = TrainConfig(minutes, epochs, steps, learning_rate=learning_rate, seed=seed)
        config = replace(config, batch=max(1, min(batch, len(data) // 4)))
        texts, augmentation = self._texts(data), self._augmentation
        device = next(self.model.parameters()).device
        threads = None
        if minutes is not None:
            shape = self.model.config
            reader = ModelConfig(shape.vocab_size, shape.cell)  # as fast, about
            precision = precision_for("auto", device, shape)
            probe = TrainConfig(steps=1, precision=precision)
            flops, threads = measure_speed(device, reader, probe)
            longest = fit_length(texts.lengths, shape, config, flops)
            if longest < texts.lengths.max():
                augmentation = replace(augmentation, longest=longest)
        characters = self.tokenizer.measure(texts.ids)[0] / max(1, len(texts.ids))
        task = ClassificationTask(
            texts,
            self._texts(validation),
            self.classes,
            config,
            characters_per_token=characters,
            balance=balance,
            augmentation=augmentation,
        )
        self.record["corpus"] = {"name": data.name, "sha256": data.sha256, "texts": len(data)}
        self.record["training"] = {
            **asdict(config),
            **asdict(augmentation),
            "balance": balance,
        }
        progress = TrainingState.begin(self.model, config, stack_share)
        progress.threads = threads
        return self._steps(task, config, progress)

    def _steps(
        self, task: ClassificationTask, config: TrainConfig, now: TrainingState
    ) -> Iterator[Step]:
        for step in train(self.model, task, config, now):
            if step.score or step.finished:
                self.record["scores"] = _scores(step)
            yield step

    def keep(self, steps: Iterator[Step], folder: str | Path) -> Iterator[Step]:
        """The steps of a training, the best classifier so far always in the folder.

        Where nothing is measured it is the last one, and where the loop is left early, also.
        """
        step, kept = None, False
        try:
            for step in steps:
                if step.finished or (step.evaluated and step.best_step == step.number):
                    self.save(folder)
                    kept = True
                yield step
        except GeneratorExit:
            if step and not kept:
                self.save(folder)
            raise

    def predict(self, text: str) -> dict[str, float]:
        """The probability of each class, likeliest first."""
        return next(self.predict_many([text]))

    def predict_many(self, texts: Iterable[str], batch: int = 64) -> Iterator[dict[str, float]]:
        """The same for several texts, read side by side."""
        held: list[Ids] = []
        for text in texts:
            held.append(self._encode(text))
            if len(held) == batch:
                yield from self._judge(held)
                held = []
        if held:
            yield from self._judge(held)

    def evaluate(self, data: Labelled) -> ClassScore:
        """How well it does on labelled texts; a label that is none of its classes counts as wrong."""
        return evaluate(self.model, self._texts(data), self.classes)

    def explain(self, text: str) -> tuple[dict[str, float], list[tuple[str, float]]]:
        """The prediction, and each piece of the text with how much it mattered for the likeliest one.

        With attention pooling that is where the classifier looked; the weights sum up to 1. Otherwise
        it is the gradient times the input: what the embedding of the piece added to the score.
        """
        ids = self._encode(text)
        batch, lengths = Texts.concatenate([ids], [0]).batch(np.array([0]))
        stack = self.model.stack
        embedded = stack.embedding(batch).detach().requires_grad_()
        outputs, _ = stack.read(embedded, stack.initial_state(1), lengths=lengths)
        if self.model.config.pooling == "attention":
            weights = self.model.attention_weights(outputs, lengths)[:, 0]
        else:
            likeliest = self.model.classify(outputs, lengths)[0].max()
            (gradient,) = torch.autograd.grad(likeliest, embedded)
            weights = (gradient * embedded).sum(-1)[:, 0]
        told, stream, held = [], self.tokenizer.detokenizer(), 0.0
        for token, weight in zip(ids[1:].tolist(), weights[1:].tolist(), strict=True):
            held += weight  # of the bytes of a character, on the last of them
            if piece := stream.push(token):
                told.append((piece, held))
                held = 0.0
        return next(self._judge([ids])), told

    def _judge(self, texts: list[Ids]) -> Iterator[dict[str, float]]:
        score = evaluate(self.model, Texts.concatenate(texts, [-1] * len(texts)), self.classes)
        for row in score.probabilities:
            order: npt.NDArray[np.int64] = np.argsort(-row, kind="stable")
            yield {self.classes[place]: float(row[place]) for place in order}

    def _texts(self, data: Labelled) -> Texts:
        return encode_labelled(data, self.tokenizer, self.classes, self.record["max_length"])

    def _encode(self, text: str) -> Ids:
        return encode_truncated(text, self.tokenizer, self.record["max_length"])


def _scores(step: Step) -> dict[str, Any]:
    score: ClassScore | None = step.score
    return {
        **step.summary(),
        "accuracy": score.accuracy if score else None,
        "macro_f1": score.macro_f1 if score else None,
        "calibration_error": score.calibration_error if score else None,
        "final": step.finished,
    }
