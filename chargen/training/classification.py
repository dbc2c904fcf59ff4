"""Text classification: labelled texts as a task, with language modelling beside it.

Texts of similar length share a batch; the network does not see the padding behind their ends. While
the stack learns to classify, it also learns to predict each next token: that loss is added (Dai and
Le 2015, Rei 2017). On a few thousand texts that is the difference between a guess and a classifier.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from chargen.data.batches import Augmentation, Texts
from chargen.device import to_device
from chargen.evaluation.classes import ClassScore, evaluate
from chargen.model import Classifier, DropoutMask
from chargen.training.config import TrainConfig
from chargen.training.linear import best_scale
from chargen.training.state import TrainingState
from chargen.training.task import LossOutput

QUICK_EVAL_TOKENS = 1 << 19  # at each evaluation during training
FINAL_EVAL_TOKENS = 1 << 21  # at most, at the end
# Powers of the size of a class by which its texts are weighted, where classes are balanced: for the
# linear classifier, and for the network, which learns on top of it (benchmarks/LOG.md).
LINEAR_BALANCE, BALANCE = 0.75, 0.4
TINY = 1e-30  # smallest probability of which the logarithm is taken
LENGTH_JITTER = 16  # tokens; texts whose lengths differ by less meet in any order


class ClassificationTask:
    """Predicts the class of labelled texts; see `task.Task`.

    `balance` weighs small classes more. The first `complete` of the training texts are complete, the
    others crops, of which a batch has more; None is for texts without crops. `validation_crops` help
    to choose the best weights and the temperature.
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
        complete: int | None = None,
        validation_crops: Texts | None = None,
    ) -> None:
        self._training, self._validation, self._classes = training, validation, classes
        self._validation_crops = validation_crops
        self._augmentation = augmentation or Augmentation()
        self._batch, self._seed = config.batch, config.seed
        self._epoch: tuple[int, list[npt.NDArray[np.int64]]] | None = None  # of the last batch
        self._weights = _class_weights(training.labels, len(classes)) if balance else None
        self.scale = 1.0  # of the logits, once they are calibrated
        self.steps_per_epoch = -(-len(training) // config.batch)
        self._by_tokens = complete is not None
        if complete is not None:  # as many tokens in a batch as `batch` of the complete texts have
            tokens = config.batch * float(training.lengths[:complete].mean())
            self.steps_per_epoch = max(1, round(len(training.ids) / tokens))
        read = np.minimum(training.lengths, self._augmentation.longest or training.lengths)
        self.tokens_per_step = int(read.sum()) / self.steps_per_epoch
        self.characters_per_token = characters_per_token
        self.uniform_loss = math.log(len(classes)) + self._augmentation.reading * math.log(256)
        self.final_eval_tokens = min(len(validation.ids), FINAL_EVAL_TOKENS)
        self.quick_eval_tokens = min(self.final_eval_tokens, QUICK_EVAL_TOKENS)

    def loss(self, model: Classifier, state: TrainingState) -> LossOutput:
        """Returns the cross entropy of the next batch, in nats per text, which is what is reported.

        To the loss, the cross entropy of each next token is added, in nats per token, times the
        augmentation's `reading`; of two directions, that of both.
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
        if self._training.offsets is not None:
            logits = logits + to_device(self._training.offsets[indices], device)
        loss = class_loss = F.cross_entropy(logits.float(), labels, weight=weights)
        if len(predicting):
            for is_backward, (reader, read) in enumerate(model.readings(outputs)):
                seen, nexts = (read[1:], ids[:-1]) if is_backward else (read[:-1], ids[1:])
                next_logits = reader(seen.flatten(0, 1).index_select(0, predicting))
                next_ids = nexts.flatten().index_select(0, predicting)
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
            score = evaluate(model, texts, self._classes, indices)
        else:
            score = evaluate(model, texts, self._classes)
        if self._validation_crops is None:
            return score
        return replace(score, crops=evaluate(model, self._validation_crops, self._classes))

    def final_score(self, model: Classifier) -> ClassScore:
        """Scores the model on the first `final_eval_tokens` of the validation texts, or on all."""
        return self.score(model, self.final_eval_tokens)

    def max_epochs(self, model: Classifier) -> float:
        """Returns infinity: a classifier uses all of its time."""
        return math.inf

    def calibrate(self, model: Classifier, count: int) -> None:
        """Scales all logits by the inverse of the temperature that fits the validation texts best.

        Those of a linear classifier are scaled in the validation texts only: see `scale` (Guo et al.
        2017, https://arxiv.org/abs/1706.04599).
        """
        score = self.score(model, count)
        scores = [score] if score.crops is None else [score, score.crops]
        probabilities = np.concatenate([one.probabilities for one in scores])
        labels = np.concatenate([one.labels for one in scores])
        logits = torch.from_numpy(np.log(np.maximum(probabilities, TINY)))[labels >= 0]
        self.scale = best_scale(logits, labels[labels >= 0])
        model.head.weight.data.mul_(self.scale)
        model.head.bias.data.mul_(self.scale)
        self._validation = self._validation.scaled(self.scale)
        if self._validation_crops is not None:
            self._validation_crops = self._validation_crops.scaled(self.scale)

    def epoch_batches(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """Returns the texts of each batch, by index: similar lengths together, batches in any order.

        They depend on nothing but the seed and `epoch`.
        """
        if self._epoch is None or self._epoch[0] != epoch:
            rng, lengths = np.random.default_rng([self._seed, epoch]), self._training.lengths
            jitter = min(LENGTH_JITTER, 1 + int(lengths.mean()) // 4)
            jittered = lengths + rng.integers(0, jitter, len(lengths))
            order = np.lexsort((rng.random(len(lengths)), jittered))
            if self._by_tokens:
                ends, steps = np.cumsum(lengths[order]), self.steps_per_epoch
                cuts = np.searchsorted(ends, ends[-1] / steps * np.arange(1, steps))
                least = np.arange(1, steps)  # no batch is empty
                cuts = np.minimum(np.maximum(cuts, least), len(order) - steps + least)
            else:
                cuts = np.arange(self._batch, len(order), self._batch)
            batches = np.split(order, cuts)
            self._epoch = epoch, [batches[i] for i in rng.permutation(len(batches))]
        return self._epoch[1]


def _class_weights(labels: npt.NDArray[np.int64], classes: int) -> torch.Tensor:
    """Returns weights (C,): the inverse size of each class to the power `BALANCE`."""
    counts = np.bincount(labels, minlength=classes)
    weights = (len(labels) / (classes * np.maximum(1, counts))) ** BALANCE
    return torch.from_numpy(weights.astype(np.float32))
