"""Language modelling: truncated back-propagation through time over parallel lanes of a text.

    for step in train(model, corpus, TrainConfig(minutes=3)):
        ...

The recurrent state is carried from window to window, the gradient is not (Williams and Peng 1990).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from chargen.data.corpus import Corpus, Lanes
from chargen.device import to_device
from chargen.evaluation.language import Score, best_logit_scale, evaluate
from chargen.model import DropoutMask, LanguageModel, State, detach
from chargen.training import loop
from chargen.training.budget import max_epochs
from chargen.training.config import TrainConfig
from chargen.training.context import TrainingContext
from chargen.training.cuda_graph import GraphedStep, can_capture
from chargen.training.distributed import ALONE, Ranks
from chargen.training.loop import Step
from chargen.training.state import TrainingState
from chargen.training.step import Stepper
from chargen.training.task import LossOutput, Window

RESET_PROBABILITY = 0.01  # of a lane to begin a window with an empty state, as every text begins
DISTILLATION_WEIGHT = 0.7  # of the loss against the teacher's predictions; the rest is the text's
STUDENT_DROPOUT = 0.2  # scales the student's dropout: soft targets already regularise it
QUICK_EVAL_TOKENS = 1 << 15  # at each evaluation during training


def train(
    model: LanguageModel,
    corpus: Corpus,
    config: TrainConfig,
    progress: TrainingState | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Step]:
    """Trains a language model on a corpus; see `loop.train`.

    With several generations, each is a new network that learns from the text and from the predictions
    of the one before it at its best (Furlanello et al. 2018, born-again networks). Soft targets say
    more than one-hot targets: the student converges faster and overfits less.
    """
    state = progress or TrainingState.begin(model, config, ranks=ranks)
    steps = _generations(model, LanguageTask(corpus, config, ranks), config, state, ranks)
    yield from loop.isolated(steps, state.threads)


def _generations(
    model: LanguageModel, task: LanguageTask, config: TrainConfig, state: TrainingState, ranks: Ranks
) -> Generator[Step]:
    while True:
        task.set_teacher(model, state.teacher)
        if can_capture(model.head.weight.device, ranks):
            stepper: Stepper = GraphedStep(model, task, config.precision)
        else:
            stepper = Stepper(model, task, config.precision, ranks)
        context = TrainingContext(model, task, config, state, ranks, stepper)
        if state.generation + 1 >= config.generations:
            break
        _, loss = yield from loop.learn(context)
        loop.load_best_weights(context)
        teacher = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        student = LanguageModel.new(model.config, config.seed + state.generation + 1)
        model.load_state_dict(student.state_dict())
        state.begin_generation(TrainingState.begin(model, config, ranks=ranks), teacher)
        remark = (
            f"after {state.seconds:,.0f} s a new network begins: it learns from the text and from the "
            "predictions of the one before"
        )
        yield loop.record(context, 0.0, loss, remark=remark)
    yield from loop.train_to_end(context)


class LanguageTask:
    """Predicts the next token of a corpus; see `task.WindowedTask`."""

    early_stopping = True

    def __init__(self, corpus: Corpus, config: TrainConfig, ranks: Ranks = ALONE) -> None:
        self._corpus, self._ranks = corpus, ranks
        self._batch = config.batch
        self.lanes = ranks.lanes(config.batch)  # those of this process
        self._teacher: LanguageModel | None = None
        self._windows = Lanes(corpus, config.batch, config.window, config.seed)
        # The last window of an epoch of documents is shorter.
        has_epochs = corpus.tokenizer.end_id is not None
        most = self._windows.epoch_length if has_epochs else config.window
        self.window_length = min(config.window, most)
        part = corpus.training[:QUICK_EVAL_TOKENS]
        self.characters_per_token = corpus.tokenizer.measure(part)[0] / len(part)
        self.tokens_per_step = float(config.batch * config.window)
        self.steps_per_epoch = -(-self._windows.epoch_length // config.window)
        self.uniform_loss = math.log(len(corpus.tokenizer))
        held_out = len(corpus.validation) if len(corpus.validation) > 1 else 0
        self.quick_eval_tokens = min(held_out, QUICK_EVAL_TOKENS)
        self.final_eval_tokens = min(held_out, len(corpus.scored))

    def set_teacher(self, model: LanguageModel, teacher: dict[str, Tensor]) -> None:
        """Adds a teacher of the shape of `model`, by its weights; removes it where there are none."""
        self._teacher = None
        if teacher:
            # A new model, not a copy: its weights lie in one piece, as cuDNN wants them on a GPU.
            self._teacher = LanguageModel.new(model.config, 0).to(model.head.weight.device)
            self._teacher.load_state_dict(teacher)

    def loss(self, model: LanguageModel, state: TrainingState) -> LossOutput:
        """Returns the cross entropy of the next window of all lanes, in nats per token."""
        window = self.window(state.position, model.head.weight.device)
        carried = state.carried
        if window.fresh:
            carried = [tuple(map(torch.zeros_like, layer)) for layer in carried]
        loss, after = self.loss_of(model, window, carried, state.rng)
        return LossOutput(loss, after, window.advance, window.ids)

    def window(self, position: int, device: torch.device) -> Window:
        """Returns the window at `position`; on a GPU, the copy may still be under way."""
        inputs, targets, fresh = self._windows.read(position)
        x, y = (torch.from_numpy(ids[:, self.lanes]) for ids in (inputs, targets))
        x, y = to_device(x, device), to_device(y, device)
        return Window(x, y, fresh, len(inputs), inputs.size)

    def loss_of(
        self, model: LanguageModel, window: Window, carried: State, rng: torch.Generator
    ) -> tuple[Tensor, State]:
        """Returns the cross entropy of a window, in nats per token, and the recurrent state after it.

        With a teacher, `carried` is the state of both, the teacher's layers behind the model's.
        """
        dropout = DropoutMask(rng, self.lanes, self._batch, STUDENT_DROPOUT if self._teacher else 1.0)
        if not window.fresh:
            carried = reset_lanes(carried, dropout)
        depth = model.config.num_layers
        own, of_teacher = carried[:depth], carried[depth:]
        logits, after = model(window.inputs, own, dropout=dropout)  # (T, B, V)
        # The state is carried as a value. With its history, the gradient would reach back through all
        # windows, and memory with it: this cut is the truncation in "truncated BPTT".
        after = detach(after)
        logits = logits.flatten(0, 1).float()
        loss = F.cross_entropy(logits, window.targets.flatten())
        if self._teacher is None:
            return loss, after
        with torch.no_grad():
            teacher_logits, after_of_teacher = self._teacher(window.inputs, of_teacher)
            soft_targets = teacher_logits.flatten(0, 1).float().softmax(-1)
        distillation = F.cross_entropy(logits, soft_targets)
        return loss.lerp(distillation, DISTILLATION_WEIGHT), after + after_of_teacher

    def score(self, model: LanguageModel, count: int) -> Score:
        """Scores the model on about `count` validation tokens."""
        corpus = self._corpus
        return evaluate(model, corpus.validation, corpus.tokenizer, quick=count, scale_logits=True)

    def final_score(self, model: LanguageModel) -> Score:
        """Scores the model on the validation tokens that the baselines are measured on, too."""
        ids = self._corpus.scored
        return evaluate(model, ids, self._corpus.tokenizer, quick=len(ids))

    def max_epochs(self, model: LanguageModel) -> float:
        """Returns the number of epochs after which more training would overfit."""
        return max_epochs(model.config.parameters, len(self._corpus.training), bool(self._teacher))

    def calibrate(self, model: LanguageModel, count: int) -> None:
        """Calibrates the logits by temperature scaling on up to `count` validation tokens.

        A model that has read a text several times is overconfident on any other.
        """
        validation = self._corpus.validation
        model.scale_logits(
            self._ranks.broadcast_object(lambda: best_logit_scale(model, validation, count))
        )


def reset_lanes(carried: State, dropout: DropoutMask) -> State:
    """Empties the state of a lane at random, so that the model also learns how texts begin."""
    h = carried[0][0][0]  # (B, H)
    keep = (dropout.mask(h[:, :1], 1 - RESET_PROBABILITY) > 0).to(h)  # (B, 1)
    return [tuple(tensor * keep for tensor in layer) for layer in carried]


def scores_of(step: Step) -> dict[str, Any]:
    """Returns what config.json says of how good a generator is after a step."""
    score = step.score
    return {
        **step.summary(),
        "val_nats_per_token": score.nats_per_token if score else None,
        "val_bits_per_character": score.bits_per_character if score else None,
        "val_characters": score.characters if score else None,
        "final": step.finished,
    }
