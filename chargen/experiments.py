"""Several models trained one after another: shapes on the same data, and shares of the data.

    for name, writer, steps in compare_generators(corpus, shapes, minutes=0.5):
        for step in steps:
            ...
        print(name, step.val_bits_per_character)

Each training begins with the first step that is asked for, and ends early where the loop over `steps`
is left; nothing is saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from chargen import arguments
from chargen.classifier import BATCH, LEARNING_RATE, TextClassifier
from chargen.data.batches import MAX_LENGTH
from chargen.data.corpus import Corpus
from chargen.data.labelled import Labelled
from chargen.evaluation.classes import ClassScore
from chargen.generator import TextGenerator
from chargen.model import Classifier, LanguageModel
from chargen.shapes import ClassifierConfig, ModelConfig
from chargen.storage.record import ClassifierRecord
from chargen.tokenizers.base import Tokenizer
from chargen.training.loop import Step

SHARES = (0.1, 0.3, 1.0)  # of the training texts, for a learning curve
MIN_GAIN = 0.01  # of accuracy from 30 % to all of the texts, below which more would hardly help
MAX_MARGIN = 0.03  # of the gain, above which the held-out texts are too few to say so


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


def learning_curve(
    data: Labelled,
    make: Callable[[Labelled], TextClassifier],
    validation: Labelled | None = None,
    *,
    shares: Sequence[float] = SHARES,
    minutes: float | None = None,
    epochs: float | None = None,
    val_fraction: float = 0.1,
    batch: int = BATCH,
    learning_rate: float = LEARNING_RATE,
    balance: bool = False,
    seed: int = 0,
) -> Iterator[tuple[Labelled, TextClassifier, Iterator[Step]]]:
    """Yields for each of `shares` its training texts, a fresh classifier and the steps of training it.

    `make` returns an untrained classifier for training texts. A share, above 0 and up to 1, is that of
    every class, and holds the smaller shares; a class has one text at least. All are validated on the
    same texts: on `validation`, or else on `val_fraction` of every class, of which no share is taken.
    Each share gets the whole budget: `minutes`, or `epochs` of its own texts. The other parameters are
    those of `TextClassifier.train`. Loop over the steps before asking for the next share.
    """
    if validation is None:
        data, validation = data.split(val_fraction, seed)
    ranks = _ranks_in_class(data, seed)
    for share in [arguments.number(one, "a share", above=0, most=1) for one in shares]:
        part = data.select(np.flatnonzero((ranks < share) | (ranks == 0)).tolist())
        reader = make(part)
        steps = reader.train(
            part,
            validation,
            minutes=minutes,
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            balance=balance,
            seed=seed,
        )
        yield part, reader, steps


def more_texts_help(smaller: ClassScore, larger: ClassScore) -> bool | None:
    """Returns whether the accuracy still rises with the number of training texts; None if unclear.

    `smaller` and `larger` are the scores on held-out texts after training on about a third of the
    texts and on all of them. A gain counts from `MIN_GAIN` on, and must exceed two standard errors.
    """
    gain = larger.accuracy - smaller.accuracy
    before, after = (one.predictions == one.labels for one in (smaller, larger))
    if np.array_equal(smaller.labels, larger.labels):  # changes of the same texts say the most
        variance = float((after.astype(float) - before).var()) / len(after)
    else:  # of many long texts, two tokenizers are measured on different ones
        variance = float(before.var()) / len(before) + float(after.var()) / len(after)
    margin = 2 * math.sqrt(variance)
    if gain >= max(MIN_GAIN, margin):
        return True
    return False if gain < MIN_GAIN and margin <= MAX_MARGIN else None


def _ranks_in_class(data: Labelled, seed: int) -> npt.NDArray[np.float64]:
    """Returns the rank of each text in a random order of its class, from 0 up to 1 exclusive, (N,)."""
    by_label: dict[str, list[int]] = {}
    for index, label in enumerate(data.labels):
        by_label.setdefault(label, []).append(index)
    rng, ranks = np.random.default_rng(seed), np.zeros(len(data))
    for indices in by_label.values():
        ranks[rng.permutation(indices)] = np.arange(len(indices)) / len(indices)
    return ranks
