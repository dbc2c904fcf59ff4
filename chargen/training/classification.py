"""Learning which class a text belongs to: labelled texts to batches, a task to learn, its measures.

Texts of similar length share a batch, padded behind their ends, where the network sees nothing of it.
While it learns to judge, the stack goes on learning to read: the loss of predicting each next symbol
is added (Dai and Le 2015, Rei 2017). On a few thousand texts that is the difference between a guess
and a classifier.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from chargen.data.batches import Augmentation, Texts
from chargen.errors import ChargenError
from chargen.evaluation.classes import ClassScore, evaluate
from chargen.model import Classifier, DropoutMask
from chargen.training.config import TrainConfig
from chargen.training.state import TrainingState
from chargen.training.task import LossOutput

QUICK_EVAL_TOKENS = 1 << 19  # scored at each evaluation on the way
_JITTER = 16  # ids; texts that differ by less than that meet in any order


class ClassificationTask:
    """Labelled texts as something to learn; see `task.Task`."""

    early_stopping = False  # the last and smallest learning rates gain the most

    def __init__(
        self,
        training: Texts,
        validation: Texts,
        classes: list[str],
        config: TrainConfig,
        *,
        characters_per_token: float = 1.0,
        balance: bool = False,
        augmentation: Augmentation | None = None,
    ) -> None:
        if len(classes) < 2:
            raise ChargenError(
                f"all texts have the label {classes[0]!r}: there is nothing to tell apart; "
                "at least two classes are needed"
            )
        self._training, self._validation, self._classes = training, validation, classes
        self._augmentation = augmentation or Augmentation()
        self._batch, self._seed = config.batch, config.seed
        self._dealt: tuple[int, list[npt.NDArray[np.int64]]] | None = None
        self._weights = _weights(training.labels, len(classes)) if balance else None
        self.steps_per_epoch = -(-len(training) // config.batch)
        shown = np.minimum(training.lengths, self._augmentation.longest or training.lengths)
        self.tokens_per_step = int(shown.sum()) / self.steps_per_epoch
        self.characters_per_token = characters_per_token
        self.uniform_loss = math.log(len(classes)) + self._augmentation.reading * math.log(256)
        self.final_eval_tokens = len(validation.ids)
        self.quick_eval_tokens = min(self.final_eval_tokens, QUICK_EVAL_TOKENS)

    def loss(self, model: Classifier, now: TrainingState) -> LossOutput:
        """The mean surprise at the classes of the next batch and, beside it, at each next symbol."""
        epoch, number = divmod(now.position, self.steps_per_epoch)
        places = self._deal(epoch)[number]
        device = model.head.weight.device
        augmentation, rng = self._augmentation, np.random.default_rng([self._seed, epoch, number])
        batch = self._training.batch(places, augmentation, rng)
        ids, lengths = (tensor.to(device) for tensor in batch)
        labels = torch.from_numpy(self._training.labels[places]).to(device)
        weights = None if self._weights is None else self._weights.to(device)
        hidden = torch.rand(ids.shape, generator=now.rng, device=device) < augmentation.noise
        logits, outputs = model(ids.where(~hidden, ids[:1]), lengths, dropout=DropoutMask(now.rng))
        loss = F.cross_entropy(logits.float(), labels, weight=weights)
        if model.reader is not None:
            inside = model.inside(outputs, lengths)[1:]  # (T - 1, B) where there is a next symbol
            if inside.any():
                symbols = model.reader(outputs[:-1][inside])
                loss = loss + augmentation.reading * F.cross_entropy(symbols.float(), ids[1:][inside])
        return LossOutput(loss, [], 1, int(lengths.sum()))

    def score(self, model: Classifier, ids: int) -> ClassScore:
        """On as many texts of the validation part as make so many ids."""
        number = int(np.searchsorted(self._validation.ends, ids, side="left")) + 1
        part = self._validation
        if number < len(part):
            step = len(part) / number  # spread, for the texts may stand in the order of their classes
            chosen = (np.arange(number) * step).astype(np.int64)
            return evaluate(model, part, self._classes, chosen)
        return evaluate(model, part, self._classes)

    def max_epochs(self, model: Classifier) -> float:
        """As many as there is time for."""
        return math.inf

    def calibrate(self, model: Classifier, ids: int) -> None:
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


def _weights(labels: npt.NDArray[np.int64], classes: int) -> torch.Tensor:
    """Each class counts the same, whatever its size."""
    counts = np.bincount(labels, minlength=classes)
    return torch.from_numpy((len(labels) / (classes * np.maximum(1, counts))).astype(np.float32))
