"""One step of training as one CUDA graph: all its kernels in one launch.

For models this small, launch overhead exceeds the kernels' run time. A graph replays the same kernels
on the same memory, so whatever changes from step to step (the window, the recurrent state, the
learning rate) is copied to where the graph reads it (`torch.cuda.graph`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from chargen.device import Call, agree, captured, side_stream
from chargen.errors import first_line
from chargen.model import LanguageModel, State
from chargen.training.distributed import Ranks
from chargen.training.state import Snapshot, TrainingState
from chargen.training.step import StepOutput, Stepper
from chargen.training.task import Window, WindowedTask

WARM_UP_STEPS = 3  # before the capture: libraries choose their kernels, and memory is laid out
# Distances, as shares of the norm, by which the first replay may differ from the plain step. AdamW
# magnifies rounding where a gradient is near zero, so the weights may change more differently.
HALF_TOLERANCE, SINGLE_TOLERANCE, CHANGE_FACTOR = 2e-2, 1e-3, 10


class GraphedStep(Stepper):
    """Takes steps of a language model on one GPU, by a graph that is captured after `warm_up` steps.

    The first steps, and windows of another length, are launched kernel by kernel. So are all of them
    once a capture fails or its first replay gives another result, which the output then says. The
    carried state stays at one place in memory.
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
        self._warm_up = self._steps_to_capture = warm_up  # below 0 where no capture is to come
        self._replay: Call | None = None
        self._is_proven = self._single_precision = False  # of what was captured
        # The memory that the graph reads and writes.
        self._carried: State = []
        self._window: Window | None = None
        self._gradients: list[Tensor | None] = []
        self._average_weight, self._loss, self._norm = (
            torch.zeros((), device=self._device) for _ in range(3)
        )

    def __call__(self, state: TrainingState) -> StepOutput:
        """Launches the step; its output may still be under way on the GPU."""
        if self._replay and self._single_precision != state.single_precision:
            self._replay, self._steps_to_capture = None, self._warm_up
        remark = ""
        if self._steps_to_capture == 0:
            remark = self._begin_to_replay(state)
        window = self._windows.window(state.position, self._device)
        self._copy_inputs(state, window)
        window = window._replace(fresh=False)  # the state was emptied: the graph has no branches
        if len(window.inputs) != self._windows.window_length:
            self._launch(state, window)
        else:
            remark = self._run(state, self._copied(window)) or remark
        state.optimizer.observe()
        if self._replay:
            for weight, gradient in zip(self.model.parameters(), self._gradients, strict=True):
                weight.grad = gradient  # which the graph writes
        return StepOutput(self._loss.clone(), self._norm.clone(), window.advance, window.ids, remark)

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

    def _copied(self, window: Window) -> Window:
        """Returns the window in which the graph reads, with the contents of `window`."""
        if self._window is None:
            self._window = window
        self._window.inputs.copy_(window.inputs)
        self._window.targets.copy_(window.targets)
        return self._window

    def _run(self, state: TrainingState, window: Window) -> str:
        """Replays the graph where there is one; proves its first replay, or returns a remark."""
        if self._replay is None:
            self._launch(state, window)
            self._steps_to_capture -= 1
        elif self._is_proven:
            self._replay()
        else:
            return self._prove(state, window)
        return ""

    def _begin_to_replay(self, state: TrainingState) -> str:
        """Captures a step, with the inputs of the last one; returns a remark where that fails.

        Those of the next one are others, so its proof would find a number that the graph holds fast.
        """
        assert self._window is not None
        self._steps_to_capture = -1
        window, scaler, rng = self._window, state.scaler.state_dict(), state.rng.get_state()
        state.optimizer.zero_grad()
        try:
            self._replay = self._capture(lambda: self._compute(state, window), state.rng)
        except Exception as error:  # the step itself may be sound, whatever a capture raises
            # Both may be left as if the capture were still under way.
            state.scaler = torch.amp.GradScaler(self._device.type, enabled=bool(scaler))
            state.scaler.load_state_dict(scaler)
            state.rng = torch.Generator(self._device)
            state.rng.set_state(rng)
            return self._give_up(first_line(error))
        self._gradients = [weight.grad for weight in self.model.parameters()]
        self._single_precision, self._is_proven = state.single_precision, False
        return ""

    def _prove(self, state: TrainingState, window: Window) -> str:
        """Takes a step twice from one state: by the graph, then kernel by kernel, which counts.

        Returns a remark where the graph did not give the same.
        """
        assert self._replay is not None
        before, fault = state.snapshot(self.model), ""
        try:
            self._replay()
            results = self._results(state, before)
        except Exception as error:
            fault = first_line(error)
        state.restore(self.model, *before)
        self._copy_inputs(state, window)
        self._launch(state, window)
        if not fault:
            half = isinstance(self.autocast(state), torch.autocast)
            tolerance = HALF_TOLERANCE if half else SINGLE_TOLERANCE
            tolerances = [CHANGE_FACTOR * tolerance, *[tolerance] * (len(results) - 1)]
            if all(map(agree, results, self._results(state, before), tolerances)):
                self._is_proven = True
                return ""
            fault = "a replay gave another result"
        return self._give_up(fault)

    def _give_up(self, fault: str) -> str:
        """Has all later steps launched kernel by kernel; returns a remark for a person."""
        self._replay, self._gradients = None, []
        return (
            f"steps cannot be replayed as a CUDA graph ({fault}): from now on their kernels are "
            "launched one by one, which takes longer"
        )

    def _results(self, state: TrainingState, before: Snapshot) -> list[Tensor]:
        """Returns the changes of weights and averages, the loss, the norm, and the recurrent state."""
        tensors = state.tensors(self.model)
        changes = [
            (tensors[name] - value).flatten()
            for name, value in before[0].items()
            if name.startswith(("weights.", "soap.average."))
        ]
        carried = [tensor.clone() for layer in self._carried for tensor in layer]
        return [torch.cat(changes), self._loss.clone(), self._norm.clone(), *carried]

    def _launch(self, state: TrainingState, window: Window) -> None:
        """Takes a step kernel by kernel."""
        with side_stream(self._device):
            self._compute(state, window)

    def _compute(self, state: TrainingState, window: Window) -> None:
        """The arithmetic of a step, from and to the memory of the graph."""
        with self.autocast(state):
            loss, after = self._windows.loss_of(self._language_model, window, self._carried, state.rng)
        value, norm = self.update(loss, state, self._average_weight)
        self._loss.copy_(value)
        self._norm.copy_(norm)
        for layer, values in zip(self._carried, after, strict=True):
            for tensor, value in zip(layer, values, strict=True):
                tensor.copy_(value)


def can_capture(device: torch.device, ranks: Ranks) -> bool:
    """Whether a step can be captured: on one GPU, in one process."""
    return device.type == "cuda" and ranks.size == 1
