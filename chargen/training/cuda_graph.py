"""One step of training as one CUDA graph: all its kernels in one launch.

For models this small, launch overhead exceeds the kernels' run time. A graph replays the same kernels
on the same memory, so whatever changes from step to step (the window, the recurrent state, the
learning rate) is copied to where the graph reads it (`torch.cuda.graph`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from chargen.device import Call, captured
from chargen.model import LanguageModel, State
from chargen.training.distributed import Ranks
from chargen.training.state import TrainingState
from chargen.training.step import StepOutput, Stepper
from chargen.training.task import Window, WindowedTask

WARM_UP_STEPS = 3  # before the capture: libraries choose their kernels, and memory is laid out


class GraphedStep(Stepper):
    """Takes steps of a language model on one GPU, by a graph that is captured after `warm_up` steps.

    The first steps, and windows of another length, are launched kernel by kernel. The carried state
    stays at one place in memory.
    """

    sync_every = 16  # reading a loss waits for the GPU

    def __init__(
        self,
        model: LanguageModel,
        task: WindowedTask,
        precision: str,
        capture: Callable[[Call, torch.Generator], Call] = captured,
        warm_up: int = WARM_UP_STEPS,
    ) -> None:
        super().__init__(model, task, precision)
        self._language_model, self._windows = model, task
        self._device = model.head.weight.device
        self._capture = capture
        self._replay: Call | None = None
        self._steps_to_capture = warm_up  # below 0 where there will be no capture
        # The memory that the graph reads and writes.
        self._carried: State = []
        self._window: Window | None = None
        self._gradients: list[Tensor | None] = []
        self._average_weight, self._loss, self._norm = (
            torch.zeros((), device=self._device) for _ in range(3)
        )

    def __call__(self, state: TrainingState) -> StepOutput:
        """Launches the step; its output may still be under way on the GPU."""
        window = self._windows.window(state.position, self._device)
        self._copy_inputs(state, window)
        window = window._replace(fresh=False)  # the state was emptied: the graph has no branches
        if self._window is None:
            self._window = window
        if window.inputs.shape == self._window.inputs.shape:
            self._window.inputs.copy_(window.inputs)
            self._window.targets.copy_(window.targets)
            self._run(state, self._window)
        else:
            self._compute(state, window)
            state.optimizer.observe()
            for weight, gradient in zip(self.model.parameters(), self._gradients, strict=False):
                weight.grad = gradient  # those that the graph writes
        return StepOutput(self._loss.clone(), self._norm.clone(), window.advance, window.ids)

    def _copy_inputs(self, state: TrainingState, window: Window) -> None:
        """Copies what changes from step to step to where the graph reads it, but for the window."""
        if not self._carried:
            self._carried = [tuple(tensor.clone() for tensor in layer) for layer in state.carried]
        for layer, values in zip(self._carried, state.carried, strict=True):
            for tensor, value in zip(layer, values, strict=True):
                if window.fresh:
                    tensor.zero_()
                elif tensor is not value:  # at the first step, and after a rollback
                    tensor.copy_(value)
        state.carried = self._carried
        self._average_weight.fill_(state.average_weight)
        for group in state.optimizer.param_groups:
            if not isinstance(group["lr"], Tensor):
                group["lr"] = torch.full((), group["lr"], device=self._device)

    def _run(self, state: TrainingState, window: Window) -> None:
        """Replays the graph where there is one, captures it when it is time."""
        if self._replay is None and self._steps_to_capture == 0:
            self._replay = self._captured(state, window)
        if self._replay is not None:
            self._replay()
        else:
            self._steps_to_capture -= 1
            with _side_stream(self._device):
                self._compute(state, window)
        state.optimizer.observe()

    def _captured(self, state: TrainingState, window: Window) -> Call | None:
        """Captures a step; returns None where something in it cannot be captured."""
        state.optimizer.zero_grad()
        scaler, before = state.scaler, state.scaler.state_dict()
        try:
            replay = self._capture(lambda: self._compute(state, window), state.rng)
        except RuntimeError:
            state.scaler = torch.amp.GradScaler(self._device.type, enabled=scaler.is_enabled())
            state.scaler.load_state_dict(before)
            self._steps_to_capture = -1
            return None
        self._gradients = [weight.grad for weight in self.model.parameters()]
        return replay

    def _compute(self, state: TrainingState, window: Window) -> None:
        """The arithmetic of a step, from and to the memory of the graph."""
        with self.autocast:
            loss, after = self._windows.loss_of(self._language_model, window, self._carried, state.rng)
        value, norm = self.update(loss, state, self._average_weight)
        self._loss.copy_(value)
        self._norm.copy_(norm)
        for layer, values in zip(self._carried, after, strict=True):
            for tensor, value in zip(layer, values, strict=True):
                tensor.copy_(value)


@contextmanager
def _side_stream(device: torch.device) -> Iterator[None]:
    """Launches on another stream, as a capture does, so that autograd keeps to no stream of before."""
    if device.type != "cuda":
        yield
        return
    usual = torch.cuda.current_stream(device)
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(usual)
    with torch.cuda.stream(side):
        yield
    usual.wait_stream(side)


def can_capture(device: torch.device, ranks: Ranks) -> bool:
    """Whether a step can be captured: on one GPU, in one process."""
    return device.type == "cuda" and ranks.size == 1
