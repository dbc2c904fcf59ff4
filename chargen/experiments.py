"""Several shapes of a model, trained on the same data for the same time, one after another.

    for name, writer, steps in compare_generators(corpus, shapes, minutes=0.5):
        for step in steps:
            ...
        print(name, step.val_bits_per_character)

Each training begins with the first step that is asked for, and ends early where the loop over `steps`
is left; nothing is saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from chargen.classifier import BATCH, LEARNING_RATE, TextClassifier
from chargen.data.batches import MAX_LENGTH
from chargen.data.corpus import Corpus
from chargen.data.labelled import Labelled
from chargen.generator import TextGenerator
from chargen.model import Classifier, ClassifierConfig, LanguageModel, ModelConfig
from chargen.storage.record import ClassifierRecord
from chargen.tokenizers.base import Tokenizer
from chargen.training.loop import Step


def compare_generators(
    corpus: Corpus,
    shapes: Mapping[str, ModelConfig],
    *,
    minutes: float,
    seed: int = 0,
) -> Iterator[tuple[str, TextGenerator, Iterator[Step]]]:
    """Yields for each of `shapes` its name, a fresh generator and the steps of its training.

    Each shape has the vocabulary of `corpus.tokenizer`, gets `minutes` of its own, and begins with the
    same `seed`. Loop over the steps before asking for the next shape.
    """
    for name, config in shapes.items():
        writer = TextGenerator(LanguageModel.new(config, seed), corpus.tokenizer)
        yield name, writer, writer.train(corpus, minutes=minutes, seed=seed)


def compare_classifiers(
    data: Labelled,
    tokenizer: Tokenizer,
    shapes: Mapping[str, ClassifierConfig],
    validation: Labelled | None = None,
    *,
    minutes: float,
    val_fraction: float = 0.1,
    batch: int = BATCH,
    learning_rate: float = LEARNING_RATE,
    balance: bool = False,
    max_length: int = MAX_LENGTH,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[str, TextClassifier, Iterator[Step]]]:
    """Yields for each of `shapes` its name, a fresh classifier and the steps of its training.

    Each shape has the vocabulary of `tokenizer` and the classes of `data`, gets `minutes` of its own,
    and begins with the same `seed`. No n-grams help it. The other parameters are those of
    `TextClassifier.train`; `max_length` is the number of tokens of a text that are read. Loop over the
    steps before asking for the next shape.
    """
    for name, config in shapes.items():
        model = Classifier.new(config, seed).to(device)
        record = ClassifierRecord(max_length)
        reader = TextClassifier(model, tokenizer, data.classes, record, wide=False)
        steps = reader.train(
            data,
            validation,
            minutes=minutes,
            val_fraction=val_fraction,
            batch=batch,
            learning_rate=learning_rate,
            balance=balance,
            seed=seed,
        )
        yield name, reader, steps
