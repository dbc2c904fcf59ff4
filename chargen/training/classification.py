"""Learning which class a text belongs to: labelled texts to batches, a task to learn, its measures.

Texts of similar length share a batch, padded behind their ends, where the network sees nothing of it.
While it learns to judge, the stack goes on learning to read: the loss of predicting each next symbol
is added (Dai and Le 2015, Rei 2017). On a few thousand texts that is the difference between a guess
and a classifier.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from chargen.errors import ChargenError
from chargen.model import Classifier, Noise
from chargen.tokenizers.base import Ids
from chargen.training.config import TrainConfig
from chargen.training.state import Progress
from chargen.training.task import Read

SHORTEST = 0.3  # part of a text that is shown where it is cropped
QUICK_IDS = 1 << 19  # scored at each evaluation on the way
BINS = 10  # of confidence, for the calibration error
_JITTER = 16  # ids; texts that differ by less than that meet in any order


@dataclass(frozen=True)
class Habits:
    """How texts are shown while learning."""

    reading: float = 1.0  # weight of the loss of reading, beside that of judging
    noise: float = 0.1  # share of the symbols that are hidden, so that no single one decides
    cropped: float = 0.5  # share of the texts shown in part only, so that a part will do later, too
    longest: int | None = None  # ids of a text that are shown at once, another part each time


PRACTISED = Habits(reading=0.2, noise=0.05, cropped=0.0)  # of a stack that can read already


@dataclass(frozen=True)
class Texts:
    """Texts as ids, one behind the other, with their labels."""

    ids: Ids
    ends: npt.NDArray[np.int64]  # (N,) where each text ends
    labels: npt.NDArray[np.int64]  # (N,) places in the list of classes; -1 for a label not in it

    @classmethod
    def of(cls, texts: Sequence[Ids], labels: Sequence[int]) -> Texts:
        """Puts texts together; none may be empty."""
        lengths = [len(text) for text in texts]
        ids = np.concatenate(texts) if texts else np.zeros(0, np.uint8)
        return cls(ids, np.cumsum(lengths, dtype=np.int64), np.array(labels, np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(N,) ids of each text."""
        lengths: npt.NDArray[np.int64] = np.diff(self.ends, prepend=0)
        return lengths

    def batch(
        self,
        places: npt.NDArray[np.int64],
        habits: Habits | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The texts at these places as ids (T, B), padded with zeros, and their lengths (B,).

        With habits and randomness, some are shown in part; the first id always stays the first.
        """
        lengths, skipped = self.lengths[places], np.zeros(len(places), np.int64)
        begins = self.ends[places] - lengths
        if habits is not None and rng is not None:
            chosen = rng.random(len(places)) < habits.cropped
            shares = np.where(chosen, rng.uniform(SHORTEST, 1, len(places)), 1)
            kept = np.ceil(lengths * shares).astype(np.int64)
            kept = np.minimum(kept, habits.longest or kept)
            skipped = (rng.random(len(places)) * (lengths - kept + 1)).astype(np.int64)
            lengths = kept
        times = np.arange(lengths.max())[:, None]  # (T, 1)
        inside = times < lengths
        where = np.where(inside, begins + times + skipped * (times > 0), 0)
        ids = np.where(inside, self.ids[where].astype(np.int64), 0)
        return torch.from_numpy(ids), torch.from_numpy(lengths)


@dataclass(frozen=True)
class ClassScore:
    """What a classifier said of texts whose labels are known."""

    probabilities: npt.NDArray[np.float64]  # (N, C)
    labels: npt.NDArray[np.int64]  # (N,)
    classes: list[str]

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """(N,) the likeliest class of each text."""
        likeliest: npt.NDArray[np.int64] = self.probabilities.argmax(1)
        return likeliest

    @property
    def accuracy(self) -> float:
        """The share of texts whose likeliest class is the right one."""
        return float((self.predictions == self.labels).mean())

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """(C, C) how often a text of the row's class was given the column's."""
        table = np.zeros((len(self.classes), len(self.classes)), np.int64)
        known = self.labels >= 0
        np.add.at(table, (self.labels[known], self.predictions[known]), 1)
        return table

    @cached_property
    def per_class(self) -> npt.NDArray[np.float64]:
        """(C, 3) precision, recall and F1 of each class; 0 where there is nothing to divide by."""
        right = np.diag(self.confusion).astype(float)
        given = np.bincount(self.predictions, minlength=len(self.classes))
        there = self.confusion.sum(1)
        precision = right / np.maximum(1, given)
        recall = right / np.maximum(1, there)
        f1 = 2 * precision * recall / np.maximum(1e-12, precision + recall)
        return np.stack([precision, recall, f1], 1)

    @property
    def macro_f1(self) -> float:
        """The mean F1 over the classes that occur among the labels or the predictions."""
        occurs = (self.confusion.sum(1) + self.confusion.sum(0)) > 0
        return float(self.per_class[occurs, 2].mean()) if occurs.any() else 0.0

    @property
    def nats(self) -> float:
        """The mean surprise at the right class."""
        known = self.labels >= 0
        right = self.probabilities[known, self.labels[known]]
        return float(-np.log(np.maximum(right, 1e-12)).mean()) if known.any() else math.nan

    @property
    def watched(self) -> float:
        """What training watches on what it never saw: errors, and surprise where they are equal.

        Surprise alone would choose too early: it grows with overconfidence while errors still fall.
        """
        return 1 - self.accuracy + self.nats / 100

    @property
    def calibration_error(self) -> float:
        """How far confidence and accuracy lie apart, on average (Guo et al. 2017)."""
        confidence = self.probabilities.max(1)
        right = self.predictions == self.labels
        bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
        gaps = [
            abs(float(confidence[bins == b].mean()) - float(right[bins == b].mean()))
            * float((bins == b).mean())
            for b in range(BINS)
            if (bins == b).any()
        ]
        return float(sum(gaps))


class ClassificationTask:
    """Labelled texts as something to learn; see `task.Task`."""

    turns = False  # the last and smallest learning rates gain the most

    def __init__(
        self,
        training: Texts,
        validation: Texts,
        classes: list[str],
        config: TrainConfig,
        *,
        characters_per_id: float = 1.0,
        balance: bool = False,
        habits: Habits | None = None,
    ) -> None:
        if len(classes) < 2:
            raise ChargenError(
                f"all texts have the label {classes[0]!r}: there is nothing to tell apart; "
                "at least two classes are needed"
            )
        self._training, self._validation, self._classes = training, validation, classes
        self._habits = habits or Habits()
        self._batch, self._seed = config.batch, config.seed
        self._dealt: tuple[int, list[npt.NDArray[np.int64]]] | None = None
        self._weights = _weights(training.labels, len(classes)) if balance else None
        self.steps_per_epoch = -(-len(training) // config.batch)
        shown = np.minimum(training.lengths, self._habits.longest or training.lengths)
        self.ids_per_step = int(shown.sum()) / self.steps_per_epoch
        self.characters_per_id = characters_per_id
        self.blind = math.log(len(classes)) + self._habits.reading * math.log(256)
        self.final_ids = len(validation.ids)
        self.quick_ids = min(self.final_ids, QUICK_IDS)

    def loss(self, model: Classifier, now: Progress) -> Read:
        """The mean surprise at the classes of the next batch and, beside it, at each next symbol."""
        epoch, number = divmod(now.position, self.steps_per_epoch)
        places = self._deal(epoch)[number]
        device = model.head.weight.device
        habits, rng = self._habits, np.random.default_rng([self._seed, epoch, number])
        batch = self._training.batch(places, habits, rng)
        ids, lengths = (tensor.to(device) for tensor in batch)
        labels = torch.from_numpy(self._training.labels[places]).to(device)
        weights = None if self._weights is None else self._weights.to(device)
        hidden = torch.rand(ids.shape, generator=now.rng, device=device) < habits.noise
        logits, outputs = model(ids.where(~hidden, ids[:1]), lengths, dropout=Noise(now.rng))
        loss = F.cross_entropy(logits.float(), labels, weight=weights)
        if model.reader is not None:
            inside = model.inside(outputs, lengths)[1:]  # (T - 1, B) where there is a next symbol
            if inside.any():
                symbols = model.reader(outputs[:-1][inside])
                loss = loss + habits.reading * F.cross_entropy(symbols.float(), ids[1:][inside])
        return Read(loss, [], 1, int(lengths.sum()))

    def score(self, model: Classifier, ids: int) -> ClassScore:
        """On as many texts of the validation part as make so many ids."""
        number = int(np.searchsorted(self._validation.ends, ids, side="left")) + 1
        part = self._validation
        if number < len(part):
            step = len(part) / number  # spread, for the texts may stand in the order of their classes
            chosen = (np.arange(number) * step).astype(np.int64)
            return evaluate(model, part, self._classes, chosen)
        return evaluate(model, part, self._classes)

    def enough(self, model: Classifier) -> float:
        """As many as there is time for."""
        return math.inf

    def settle(self, model: Classifier, ids: int) -> None:
        """Nothing: they stay as they are."""

    def _deal(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """The batches of an epoch, a pure function of its number: similar lengths, any order."""
        if self._dealt is None or self._dealt[0] != epoch:
            rng = np.random.default_rng([self._seed, epoch])
            lengths = self._training.lengths + rng.integers(0, _JITTER, len(self._training))
            order = np.lexsort((rng.random(len(lengths)), lengths))
            cuts = np.arange(self._batch, len(order), self._batch)
            batches = np.split(order, cuts)
            self._dealt = epoch, [batches[i] for i in rng.permutation(len(batches))]
        return self._dealt[1]


@torch.no_grad()
def evaluate(
    model: Classifier,
    texts: Texts,
    classes: list[str],
    places: npt.NDArray[np.int64] | None = None,
) -> ClassScore:
    """What the classifier says of texts, in batches of similar length."""
    places = np.arange(len(texts)) if places is None else places
    device = model.head.weight.device
    probabilities = np.zeros((len(places), len(classes)))
    order = np.argsort(texts.lengths[places], kind="stable")
    for part in np.split(order, np.arange(64, len(order), 64)):
        ids, lengths = (tensor.to(device) for tensor in texts.batch(places[part]))
        logits, _ = model(ids, lengths)
        probabilities[part] = logits.double().softmax(-1).cpu().numpy()
    return ClassScore(probabilities, texts.labels[places], classes)


def _weights(labels: npt.NDArray[np.int64], classes: int) -> torch.Tensor:
    """Each class counts the same, whatever its size."""
    counts = np.bincount(labels, minlength=classes)
    return torch.from_numpy((len(labels) / (classes * np.maximum(1, counts))).astype(np.float32))
