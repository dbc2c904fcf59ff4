"""One step of training as one CUDA graph: the whole of it in one launch, and nothing asked back.

At the sizes of this house a GPU computes a step faster than Python can ask for its parts. Captured
once, the same kernels run again and again on the same memory: what changes from step to step, the
window, the state, the learning rate, lies there and is written over (`torch.cuda.graph`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from chargen.device import Call, captured
from chargen.model import LanguageModel, State, detach
from chargen.training.distributed import Ranks
from chargen.training.state import TrainingState
from chargen.training.step import StepOutput, Stepper
from chargen.training.task import Task

WARM = 3  # steps before the capture, in which libraries choose their kernels and memory is laid out


class Window(NamedTuple):
    """What all lanes read in one step."""

    inputs: Tensor  # (T, B)
    targets: Tensor  # (T, B)
    fresh: bool  # whether they begin with an empty state
    position: int  # by how much the place in the data moves
    ids: int  # of the lanes of all processes


class Windows(Task, Protocol):
    """A task whose steps are windows, nearly all of one length."""

    def window(self, position: int, device: torch.device) -> Window:
        """What is read at a place in the data."""

    def loss_of(
        self, model: LanguageModel, window: Window, state: State, rng: torch.Generator
    ) -> tuple[Tensor, State]:
        """The loss at a window and the state after it; nothing but arithmetic."""


class GraphedStep(Stepper):
    """Steps of a language model on one GPU.

    The first steps, and a window of another length, are computed as ever. What is carried from step to
    step stays where it is in memory.
    """

    late = 16  # nobody waits for the GPU at each of them

    def __init__(
        self,
        model: LanguageModel,
        task: Windows,
        precision: str,
        capture: Callable[[Call, torch.Generator], Call] | None = None,
    ) -> None:
        super().__init__(model, task, precision)
        self._language, self._windows = model, task
        self._device = model.head.weight.device
        self._capture = capture or captured
        self._replay: Call | None = None
        self._left = WARM  # steps until the capture; below 0, there is none
        self._state: State = []
        self._window: Window | None = None
        self._gradients: list[Tensor | None] = []
        self._pace, self._nats, self._norm = (torch.zeros((), device=self._device) for _ in range(3))

    def __call__(self, now: TrainingState) -> StepOutput:
        """The step; what it gave is still on its way."""
        window = self._windows.window(now.position, self._device)
        taken = window.position, window.ids
        self._lay_out(now, window)
        window = window._replace(fresh=False)  # an empty state is one as well
        if self._window is None:
            self._window = window
        if window.inputs.shape == self._window.inputs.shape:
            self._window.inputs.copy_(window.inputs)
            self._window.targets.copy_(window.targets)
            self._run(now, self._window)
        else:
            self._update(now, window)
            now.optimizer.observe()
            for weight, gradient in zip(self._model.parameters(), self._gradients, strict=False):
                weight.grad = gradient
        return StepOutput(self._nats.clone(), self._norm.clone(), *taken)

    def _lay_out(self, now: TrainingState, window: Window) -> None:
        """Puts what changes from step to step where the graph reads it."""
        if not self._state:
            self._state = [tuple(tensor.clone() for tensor in layer) for layer in now.state]
        for layer, values in zip(self._state, now.state, strict=True):
            for tensor, value in zip(layer, values, strict=True):
                if window.fresh:
                    tensor.zero_()
                elif tensor is not value:  # in the beginning, and after going back
                    tensor.copy_(value)
        now.state = self._state
        self._pace.fill_(now.average_weight)
        for group in now.optimizer.param_groups:
            if not isinstance(group["lr"], Tensor):
                group["lr"] = torch.full((), group["lr"], device=self._device)

    def _run(self, now: TrainingState, window: Window) -> None:
        if self._replay is None and self._left == 0:
            self._replay = self._captured(now, window)
        if self._replay is not None:
            self._replay()
        else:
            self._left -= 1
            with _aside(self._device):
                self._update(now, window)
        now.optimizer.observe()

    def _captured(self, now: TrainingState, window: Window) -> Call | None:
        now.optimizer.zero_grad()
        scaler, before = now.scaler, now.scaler.state_dict()
        try:
            replay = self._capture(lambda: self._update(now, window), now.rng)
        except RuntimeError:  # something here cannot be captured: it goes on step by step
            now.scaler = torch.amp.GradScaler(self._device.type, enabled=scaler.is_enabled())
            now.scaler.load_state_dict(before)
            self._left = -1
            return None
        self._gradients = [weight.grad for weight in self._model.parameters()]
        return replay

    def _update(self, now: TrainingState, window: Window) -> None:
        """The arithmetic of a step, from memory that stays to memory that stays."""
        with self._autocast:
            loss, after = self._windows.loss_of(self._language, window, self._state, now.rng)
        nats, norm = self.move(loss, now, self._pace)
        self._nats.copy_(nats)
        self._norm.copy_(norm)
        for layer, values in zip(self._state, detach(after), strict=True):
            for tensor, value in zip(layer, values, strict=True):
                tensor.copy_(value)


@contextmanager
def _aside(device: torch.device) -> Iterator[None]:
    """On a stream of its own, as a capture will be: what autograd remembers of streams fits then."""
    if device.type != "cuda":
        yield
        return
    usual = torch.cuda.current_stream(device)
    own = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    own.wait_stream(usual)
    with torch.cuda.stream(own):
        yield
    usual.wait_stream(own)


def possible(device: torch.device, ranks: Ranks) -> bool:
    """Whether steps can be captured here: on one GPU, in one process."""
    return device.type == "cuda" and ranks.size == 1
