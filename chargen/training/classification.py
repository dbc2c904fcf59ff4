"""Text classification: labelled texts as a task, with language modelling beside it.

Texts of similar length share a batch; the network does not see the padding behind their ends. While
the stack learns to classify, it also learns to predict each next token: that loss is added (Dai and
Le 2015, Rei 2017). On a few thousand texts that is the difference between a guess and a classifier.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from chargen.data.batches import Augmentation, Texts
from chargen.device import to_device
from chargen.errors import ChargenError
from chargen.evaluation.classes import ClassScore, evaluate
from chargen.model import Classifier, DropoutMask
from chargen.training.config import TrainConfig
from chargen.training.state import TrainingState
from chargen.training.task import LossOutput

QUICK_EVAL_TOKENS = 1 << 19  # at each evaluation during training
FINAL_EVAL_TOKENS = 1 << 21  # at most, at the end
LENGTH_JITTER = 16  # tokens; texts whose lengths differ by less meet in any order


class ClassificationTask:
    """Predicts the class of labelled texts; see `task.Task`.

    `balance` gives all classes the same weight, whatever their size. Raises ChargenError where there
    are fewer than two classes.
    """

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
                f"all texts have the label {classes[0]!r}: a classifier needs at least two classes"
            )
        self._training, self._validation, self._classes = training, validation, classes
        self._augmentation = augmentation or Augmentation()
        self._batch, self._seed = config.batch, config.seed
        self._epoch: tuple[int, list[npt.NDArray[np.int64]]] | None = None  # of the last batch
        self._weights = _class_weights(training.labels, len(classes)) if balance else None
        self.steps_per_epoch = -(-len(training) // config.batch)
        read = np.minimum(training.lengths, self._augmentation.longest or training.lengths)
        self.tokens_per_step = int(read.sum()) / self.steps_per_epoch
        self.characters_per_token = characters_per_token
        self.uniform_loss = math.log(len(classes)) + self._augmentation.reading * math.log(256)
        self.final_eval_tokens = min(len(validation.ids), FINAL_EVAL_TOKENS)
        self.quick_eval_tokens = min(self.final_eval_tokens, QUICK_EVAL_TOKENS)

    def loss(self, model: Classifier, state: TrainingState) -> LossOutput:
        """Returns the cross entropy of the next batch, in nats per text, which is what is reported.

        To the loss, the cross entropy of each next token is added, in nats per token, times the
        augmentation's `reading`.
        """
        epoch, number = divmod(state.position, self.steps_per_epoch)
        indices = self.epoch_batches(epoch)[number]
        device = model.head.weight.device
        augmentation, rng = self._augmentation, np.random.default_rng([self._seed, epoch, number])
        ids, lengths = self._training.batch(indices, augmentation, rng)
        # What needs the numbers themselves is found here: on a GPU it would wait for each of them.
        tokens = int(lengths.sum())
        has_next = np.arange(1, len(ids))[:, None] < lengths.numpy()  # (T - 1, B)
        predicting = to_device(torch.from_numpy(np.flatnonzero(has_next)), device)
        ids, lengths = to_device(ids, device), to_device(lengths, device)
        labels = to_device(torch.from_numpy(self._training.labels[indices]), device)
        weights = None if self._weights is None else to_device(self._weights, device)
        hidden = torch.rand(ids.shape, generator=state.rng, device=device) < augmentation.noise
        logits, outputs = model(ids.where(~hidden, ids[:1]), lengths, dropout=DropoutMask(state.rng))
        loss = class_loss = F.cross_entropy(logits.float(), labels, weight=weights)
        if model.reader is not None and len(predicting):
            next_logits = model.reader(outputs[:-1].flatten(0, 1).index_select(0, predicting))
            next_ids = ids[1:].flatten().index_select(0, predicting)
            reading_loss = F.cross_entropy(next_logits.float(), next_ids)
            loss = loss + augmentation.reading * reading_loss
        return LossOutput(loss, [], 1, tokens, class_loss)

    def score(self, model: Classifier, count: int) -> ClassScore:
        """Scores the model on validation texts of about `count` tokens."""
        texts = self._validation
        number = int(np.searchsorted(texts.ends, count, side="left")) + 1
        if number < len(texts):
            # Spread over all texts, which may be sorted by class.
            indices = (np.arange(number) * (len(texts) / number)).astype(np.int64)
            return evaluate(model, texts, self._classes, indices)
        return evaluate(model, texts, self._classes)

    def final_score(self, model: Classifier) -> ClassScore:
        """Scores the model on the first `final_eval_tokens` of the validation texts, or on all."""
        return self.score(model, self.final_eval_tokens)

    def max_epochs(self, model: Classifier) -> float:
        """Returns infinity: a classifier uses all of its time."""
        return math.inf

    def calibrate(self, model: Classifier, count: int) -> None:
        """Does nothing."""

    def epoch_batches(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """Returns the texts of each batch, by index: similar lengths together, batches in any order.

        They depend on nothing but the seed and `epoch`.
        """
        if self._epoch is None or self._epoch[0] != epoch:
            rng = np.random.default_rng([self._seed, epoch])
            lengths = self._training.lengths + rng.integers(0, LENGTH_JITTER, len(self._training))
            order = np.lexsort((rng.random(len(lengths)), lengths))
            cuts = np.arange(self._batch, len(order), self._batch)
            batches = np.split(order, cuts)
            self._epoch = epoch, [batches[i] for i in rng.permutation(len(batches))]
        return self._epoch[1]


def _class_weights(labels: npt.NDArray[np.int64], classes: int) -> torch.Tensor:
    """Returns weights (C,) inversely proportional to the number of texts in each class."""
    counts = np.bincount(labels, minlength=classes)
    return torch.from_numpy((len(labels) / (classes * np.maximum(1, counts))).astype(np.float32))
