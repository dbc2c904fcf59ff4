"""Learning to predict the next id: truncated back-propagation through time over parallel lanes.

    for step in train(model, corpus, TrainConfig(minutes=3)):
        ...

The state goes from window to window, the gradient does not (Williams and Peng 1990).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from chargen.data.corpus import Corpus, Lanes
from chargen.evaluation.language import Score, best_logit_scale, evaluate
from chargen.model import DropoutMask, LanguageModel, State
from chargen.training import loop as training
from chargen.training.budget import max_epochs
from chargen.training.config import TrainConfig
from chargen.training.cuda_graph import GraphedStep, Window, possible
from chargen.training.distributed import ALONE, Ranks
from chargen.training.loop import Step
from chargen.training.state import TrainingState
from chargen.training.task import LossOutput

FORGET = 0.01  # chance of a lane to begin a window with an empty state, as every reader does once
DISTILLATION_WEIGHT = 0.7  # share of a teacher in what is learned, the rest is the text's
STUDENT_DROPOUT = 0.2  # of the model's; who is taught learns less by heart
QUICK_EVAL_TOKENS = 1 << 15  # scored at each evaluation on the way
FINAL_EVAL_TOKENS = 1 << 20  # scored at most at the end of a budget of steps or epochs


def train(
    model: LanguageModel,
    corpus: Corpus,
    config: TrainConfig,
    progress: TrainingState | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Step]:
    """Learns a corpus; see `training.train`.

    Of several generations, each begins with fresh weights and learns from the text and from what the
    one before it, at its best, expects of the text (Furlanello et al. 2018, born-again networks). Who
    hears how likely each symbol was learns sooner, and less by heart, than who sees only the one that
    came.
    """
    task = LanguageTask(corpus, config, ranks)
    device = model.head.weight.device
    now = progress or TrainingState.begin(model, config, ranks=ranks)

    def stepper() -> GraphedStep | None:
        return GraphedStep(model, task, config.precision) if possible(device, ranks) else None

    while now.generation + 1 < config.generations:
        task.set_teacher(model, now.teacher)
        yield from training.learn(model, task, config, now, ranks, stepper())
        training.load_best_weights(model, task, now)
        teacher = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        fresh = LanguageModel.new(model.config, config.seed + now.generation + 1)
        model.load_state_dict(fresh.state_dict())
        now.begin_generation(TrainingState.begin(model, config, ranks=ranks), teacher)
        remark = (
            f"after {now.seconds:,.0f} s a new network begins: it learns from the text and from the "
            "one before"
        )
        yield training.record(task, config, now, 0.0, math.nan, remark=remark)
    task.set_teacher(model, now.teacher)
    yield from training.train(model, task, config, now, ranks, stepper())


class LanguageTask:
    """A corpus as something to learn; see `task.Task`."""

    early_stopping = True

    def __init__(self, corpus: Corpus, config: TrainConfig, ranks: Ranks = ALONE) -> None:
        self._corpus, self._ranks = corpus, ranks
        self._mine = ranks.lanes(config.batch)
        self._teacher: LanguageModel | None = None
        self._lanes = Lanes(corpus, config.batch, config.window, config.seed)
        self._batch = config.batch
        measured = corpus.training[:QUICK_EVAL_TOKENS]
        self.characters_per_token = corpus.tokenizer.measure(measured)[0] / len(measured)
        self.tokens_per_step = float(config.batch * config.window)
        self.steps_per_epoch = -(-self._lanes.epoch_length // config.window)
        self.uniform_loss = math.log(len(corpus.tokenizer))
        kept_apart = len(corpus.validation) if len(corpus.validation) > 1 else 0
        self.quick_eval_tokens = min(kept_apart, QUICK_EVAL_TOKENS)
        self.final_eval_tokens = kept_apart if config.minutes else min(kept_apart, FINAL_EVAL_TOKENS)

    def set_teacher(self, model: LanguageModel, teacher: dict[str, Tensor]) -> None:
        """From now on learns as well from a network of these weights, in the shape of this model."""
        self._teacher = None
        if teacher:
            # Anew, not a copy: on a GPU its weights lie in one piece then, as cuDNN wants them.
            self._teacher = LanguageModel.new(model.config, 0).to(model.head.weight.device)
            self._teacher.load_state_dict(teacher)

    def loss(self, model: LanguageModel, now: TrainingState) -> LossOutput:
        """The mean surprise at the next window of all lanes, in nats per id."""
        window = self.window(now.position, model.head.weight.device)
        state = now.state
        if window.fresh:
            state = [tuple(map(torch.zeros_like, layer)) for layer in state]
        loss, after = self.loss_of(model, window, state, now.rng)
        return LossOutput(loss, after, window.position, window.ids)

    def window(self, position: int, device: torch.device) -> Window:
        """What is read at a place in the data; where to, the device need not say at once."""
        inputs, targets, fresh = self._lanes.read(position)
        x, y = (torch.from_numpy(ids[:, self._mine]) for ids in (inputs, targets))
        if device.type == "cuda":
            x, y = (ids.contiguous().pin_memory().to(device, non_blocking=True) for ids in (x, y))
        return Window(x.to(device), y.to(device), fresh, len(inputs), inputs.size)

    def loss_of(
        self, model: LanguageModel, window: Window, state: State, rng: torch.Generator
    ) -> tuple[Tensor, State]:
        """The mean surprise at a window and the state after it; nothing but arithmetic."""
        share = STUDENT_DROPOUT if self._teacher else 1.0
        noise = DropoutMask(rng, self._mine, self._batch, share)
        if not window.fresh:
            state = _forget(state, noise)
        depth = model.config.num_layers
        own, of_teacher = state[:depth], state[depth:]
        logits, after = model(window.inputs, own, dropout=noise)  # (T, B, V)
        logits = logits.flatten(0, 1).float()
        nats = F.cross_entropy(logits, window.targets.flatten())
        if self._teacher is None:
            return nats, after
        with torch.no_grad():
            expected, heard = self._teacher(window.inputs, of_teacher)
            likely = expected.flatten(0, 1).float().softmax(-1)
        return nats.lerp(F.cross_entropy(logits, likely), DISTILLATION_WEIGHT), after + heard

    def score(self, model: LanguageModel, ids: int) -> Score:
        """On about so many ids of the validation part."""
        corpus = self._corpus
        return evaluate(model, corpus.validation, corpus.tokenizer, quick=ids, scale_logits=True)

    def max_epochs(self, model: LanguageModel) -> float:
        """Passes over the text, before it is only learned by heart."""
        return max_epochs(model.config.parameters, len(self._corpus.training), bool(self._teacher))

    def calibrate(self, model: LanguageModel, ids: int) -> None:
        """Makes the model as sure as the validation part, of which it reads so many ids, proves right.

        Who has read a text several times is surer of it than of another one.
        """
        validation = self._corpus.validation
        model.scale_logits(
            self._ranks.broadcast_object(lambda: best_logit_scale(model, validation, ids))
        )


def _forget(state: State, noise: DropoutMask) -> State:
    """Empties the state of a lane now and then, so that the model learns to begin, too."""
    h = state[0][0][0]  # (B, H)
    kept = (noise.mask(h[:, :1], 1 - FORGET) > 0).to(h)  # (B, 1)
    return [tuple(tensor * kept for tensor in layer) for layer in state]
