"""The folder of a training: one process writes to it, and a state is saved as the training goes.

What is trained is a `Training`, which knows how its model and its state are saved.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import torch

from chargen.errors import ChargenError, writing
from chargen.runs.card import remove_card, write_card
from chargen.runs.saved import LOGS, kind_of, state_folders
from chargen.runs.state import OtherKind, SavedState
from chargen.storage import atomic
from chargen.storage.lock import claimed
from chargen.training.distributed import ALONE, Ranks
from chargen.training.loop import Step, isolated
from chargen.training.state import TrainingState

SAVE_SECONDS = 60.0  # between two states; one is also saved at every evaluation
SAVE_SHARE = 1 / 150  # of the time may go into saving at evaluations
CHEAP_SECONDS = 0.02  # a save that is faster than this is always worth its time

Point = TypeVar("Point", bound=SavedState)


class Training(Protocol):
    """A training in memory, and how it is saved."""

    @property
    def state(self) -> TrainingState:
        """The part that changes from step to step."""

    def steps(self) -> Iterator[Step]:
        """Yields the steps that are left."""

    def sample(self, step: Step) -> str | None:
        """Returns what the model writes after an evaluation; None if it cannot write."""

    def metrics(self, step: Step) -> dict[str, Any]:
        """Returns the line of metrics.jsonl for an evaluation."""

    def save_model(self, folder: Path) -> None:
        """Saves the model, which is the best one so far."""

    def card(self, name: str) -> str:
        """Returns the README.md of the trained model, which is called `name`."""

    def save_state(self, folder: Path) -> None:
        """Saves the state. All processes of a training have to call it; the main one writes."""


class RunFolder(Generic[Point]):
    """The folder of a training, which no other process can write to inside the `with` block.

    `save_seconds` is the time between two saved states. Of several processes that train together
    (`ranks`), the main one writes. Entering the block raises ChargenError if another process trains
    in the folder, or if the folder cannot be written.
    """

    kind: str  # of the states that are saved there

    def __init__(
        self, folder: str | Path, save_seconds: float = SAVE_SECONDS, ranks: Ranks = ALONE
    ) -> None:
        self.folder = Path(folder)
        self.ranks = ranks
        self._save_seconds = save_seconds
        self._stack = ExitStack()

    def __repr__(self) -> str:
        states = len(state_folders(self.folder))
        plural = "" if states == 1 else "s"
        return f"{type(self).__name__}({str(self.folder)!r}, {states} saved state{plural})"

    def __enter__(self) -> Self:
        if self.ranks.is_main:
            self._stack.enter_context(claimed(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def load_state(self, state: Path, device: torch.device) -> Point:
        """Loads what this kind of training saved to the folder of a state."""
        raise NotImplementedError

    def saved(self, device: torch.device | str = "cpu") -> Point | None:
        """Loads the newest state that is intact, its model on `device`; None if none was ever saved.

        Raises ChargenError if all states are damaged, if they are of another kind of model, and if
        there is a model without any.
        """
        faults: list[str] = []
        for folder in reversed(state_folders(self.folder)):
            try:
                point = self.load_state(folder, torch.device(device))
            except OtherKind:
                raise
            except ChargenError as error:
                faults.append(str(error))
            else:
                return replace(point, faults=faults, finished=point.in_folder(self.folder))
        if faults:
            raise ChargenError(f"cannot resume: no usable training state: {'; '.join(faults)}")
        if (self.folder / atomic.MANIFEST).exists():
            raise ChargenError(
                f"{self.folder} holds a model, but not the state of its training (the folder resume "
                "is not there)",
                "train anew with another {out}",
            )
        return None

    def refuse_foreign_files(self) -> None:
        """Raises ChargenError if files would be replaced that no training wrote."""
        # A training without a model yet has logs, but no manifest.
        if self.ranks.is_main and not state_folders(self.folder):
            with writing(self.folder):
                atomic.refuse_foreign(self.folder, LOGS[self.kind])

    def restore_logs(self, sizes: dict[str, int]) -> None:
        """Cuts off what was logged after a state was saved, when the logs had these `sizes`."""
        self.ranks.barrier()  # the main process changes the folder once all have read it
        if self.ranks.is_main:
            with writing(self.folder):
                atomic.recover_interrupted_commit(self.folder)
                for name, size in sizes.items():
                    _truncate(self.folder / name, size)

    def keep(self, training: Training, *, is_new: bool) -> Iterator[Step]:
        """Yields the steps of a training, and saves it; whoever leaves the loop has it saved, too.

        One that `is_new` replaces an earlier training once its first state is saved.
        """
        steps = isolated(self._kept(training, is_new), training.state.threads)
        return self._stack.enter_context(closing(steps))  # they end with the `with` block

    def _kept(self, training: Training, is_new: bool) -> Generator[Step]:
        saver = _StateSaver(self.folder, self.ranks, training, self._save_seconds)
        is_main = self.ranks.is_main
        steps = training.steps()
        if is_new:
            earlier = state_folders(self.folder) if is_main else []
            if is_main:
                self._remove_logs({self.kind, *map(kind_of, earlier)})
            saver.save()  # whatever happens from here on, the training can be resumed
            if is_main:
                self._remove_earlier(earlier)
        try:
            for step in steps:
                if step.finished:
                    break
                if step.evaluated and is_main:
                    sample = training.sample(step)
                    step = replace(step, sample=sample or "")
                    self._log(training, step)
                    if sample is not None:
                        self._append("samples.txt", f"--- step {step.number}\n{sample}\n\n")
                    if step.best_step == step.number:
                        training.save_model(self.folder)
                if saver.is_due(step):
                    saver.save()
                yield step
        except GeneratorExit:  # the caller has left the loop
            saver.save()
            if is_main and not (self.folder / atomic.MANIFEST).exists():
                training.save_model(self.folder)
            raise
        if is_main:
            self._log(training, step)
            training.save_model(self.folder)
            write_card(self.folder, training.card(self.folder.resolve().name))
        yield step

    def _remove_logs(self, kinds: Iterable[str]) -> None:
        """Removes the logs of trainings of these `kinds`."""
        with writing(self.folder):
            for name in {name for kind in kinds for name in LOGS.get(kind, ())}:
                (self.folder / name).unlink(missing_ok=True)

    def _remove_earlier(self, states: list[Path]) -> None:
        """Removes the `states` of an earlier training, and its model, which is not this one's."""
        with writing(self.folder):
            for path in states:
                shutil.rmtree(path, ignore_errors=True)
            atomic.remove(self.folder)
        remove_card(self.folder)

    def _log(self, training: Training, step: Step) -> None:
        """Appends the metrics of a step to their log."""
        metrics = training.metrics(step) | {"final": step.finished}
        self._append("metrics.jsonl", json.dumps(metrics, allow_nan=False) + "\n")

    def _append(self, name: str, text: str) -> None:
        with writing(self.folder / name):
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / name).open("ab+") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # the half of a line, from an earlier full disk
                        file.write(b"\n")
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())


@dataclass
class _StateSaver:
    """Saves the state of a training, and knows when that is worth the time that it takes."""

    folder: Path
    ranks: Ranks
    training: Training
    save_seconds: float
    saved_at: float = field(default_factory=time.monotonic)
    cost: float = 0.0  # seconds that the last save took

    def save(self) -> None:
        """Saves the state."""
        began = time.monotonic()
        self.training.save_state(self.folder)
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - began

    def is_due(self, step: Step) -> bool:
        """Returns whether to save after this step, the same on all processes."""
        elapsed = time.monotonic() - self.saved_at
        cheap = self.cost < max(CHEAP_SECONDS, SAVE_SHARE * elapsed)
        over = self.training.state.over
        due = over or elapsed >= self.save_seconds or (step.evaluated and cheap)
        return bool(self.ranks.broadcast(due)[0])


def _truncate(path: Path, size: int) -> None:
    """Cuts off what was written after the state was saved, such as the half of a line."""
    if path.is_file() and path.stat().st_size > size:
        os.truncate(path, size)
