"""A training that lives in a folder: it can be stopped, killed or moved, and goes on bit for bit.

    with Run("checkpoints/verse") as run:             # nobody else trains there meanwhile
        for step in run.begin(writer, corpus, TrainConfig(minutes=3)):
            ...                                       # leaving the loop keeps everything

    with Run("checkpoints/verse") as run:
        for step in run.resume(run.saved(), text):    # as if it had never been stopped
            ...

Beside the files of the model, which is the best so far, the folder then holds

    metrics.jsonl           a line per evaluation
    samples.txt             what it wrote along the way
    resume/state-0000042    all that the next step depends on; the last two are kept

Bit for bit means: on a CPU, with the same number of threads and the same torch. On another device or
with other threads a training goes on just as well, only sums are rounded differently.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from chargen.data.corpus import Corpus
from chargen.data.text import Text
from chargen.errors import ChargenError, writing
from chargen.generator import TextGenerator
from chargen.inspection.copies import Copies
from chargen.runs.state import LINES, ResumePoint, keep_state, load_state, state_folders
from chargen.storage import atomic, checkpoint
from chargen.storage.lock import claimed
from chargen.storage.schema import conform, parse
from chargen.training.budget import max_epochs
from chargen.training.config import TrainConfig
from chargen.training.distributed import ALONE, Ranks
from chargen.training.loop import Step, isolated
from chargen.training.state import TrainingState

SAVE_SECONDS = 60.0  # between two states; one is also kept at every evaluation
SAVE_SHARE = 1 / 150  # of the time; where it would be more, an evaluation passes without a state
CHEAP_SECONDS = 0.02  # that a save may always take
SAMPLE_LENGTH = 200  # characters written at an evaluation
_SCORES = {
    **{"step": int, "steps": int, "seconds": int | float, "characters_per_second": int | float},
    **{"val_nats_per_token": int | float | None, "val_bits_per_character": int | float | None},
    "final": bool,
}


class Run:
    """The folder of a training, claimed for as long as the `with` block lasts.

    Raises ChargenError on entry where another process trains in the folder, or where it cannot be
    written.
    """

    def __init__(
        self, folder: str | Path, save_seconds: float = SAVE_SECONDS, ranks: Ranks = ALONE
    ) -> None:
        self.folder = Path(folder)
        self._save_seconds = save_seconds
        self.ranks = ranks  # of several processes, the first one writes
        self._stack = ExitStack()

    def __enter__(self) -> Run:
        if self.ranks.is_main:
            self._stack.enter_context(claimed(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def saved(self, device: torch.device | str = "cpu") -> ResumePoint | None:
        """The newest sound state; None where there is none at all.

        Raises ChargenError where there are only damaged ones, or a model without any.
        """
        faults = []
        for folder in reversed(state_folders(self.folder)):
            try:
                found = load_state(folder, torch.device(device))
            except ChargenError as error:
                faults.append(str(error))
                continue
            found.faults = faults
            found.finished = self._finished(found.progress)
            return found
        if faults:
            raise ChargenError(f"no state of this training can be gone on from: {'; '.join(faults)}")
        if (self.folder / atomic.MANIFEST).exists():
            raise ChargenError(
                f"{self.folder} holds a model, but not the state of its training (the folder resume "
                "is not there); train anew with another --out"
            )
        return None

    def begin(
        self,
        writer: TextGenerator,
        corpus: Corpus,
        config: TrainConfig,
        settings: dict[str, Any] | None = None,
        threads: int | None = None,
    ) -> Iterator[Step]:
        """Trains from the first step; see `TextGenerator.train`. An earlier training is replaced.

        `settings` come back with `saved`. At most `threads` CPU threads are used. Each evaluation has
        a sample. Raises ChargenError where files of the folder would be replaced that are not those of
        a training.
        """
        if self.ranks.is_main:
            with writing(self.folder):
                if not state_folders(self.folder):  # which has lines and perhaps no model yet
                    atomic.refuse_foreign(self.folder, LINES)
                for state in state_folders(self.folder):
                    shutil.rmtree(state)
                for name in LINES:
                    (self.folder / name).unlink(missing_ok=True)
        progress = TrainingState.begin(writer.model, config, ranks=self.ranks)
        progress.threads = threads
        training = self._steps(writer, corpus, config, progress, settings or {}, is_new=True)
        return self._opened(isolated(training, threads))

    def resume(
        self,
        saved: ResumePoint,
        text: str | Text | Corpus,
        *,
        minutes: float | None = None,
        epochs: float | None = None,
        steps: int | None = None,
    ) -> Iterator[Step]:
        """Goes on from a state, with the budget that it had or with another one.

        Raises ChargenError for another text, and for a budget that is spent already.
        """
        text = Text.from_string(text) if isinstance(text, str) else text
        saved.refuse_other_text(text.name, text.sha256)
        writer, progress = saved.writer, saved.progress
        if isinstance(text, Text):
            text = writer.prepare(text, saved.record["corpus"]["val_fraction"])
        budget = {"minutes": minutes, "epochs": epochs, "steps": steps}
        config = saved.config
        if any(value is not None for value in budget.values()):
            config = replace(config, **budget)  # type: ignore[arg-type]
        if config != saved.config:
            spent = {
                "minutes": progress.seconds / 60,
                "epochs": progress.position * config.batch / len(text.training),
                "steps": progress.step,
            }
            read = progress.steps_in_generation * config.batch * config.window / len(text.training)
            last = progress.generation + 1 == config.generations
            taught = progress.generation > 0
            most = max_epochs(writer.model.config.parameters, len(text.training), taught)
            if minutes is not None and last and read > 0.95 * most:
                raise ChargenError(
                    f"this training has read its text {spent['epochs']:.3g} times, which is enough; "
                    "to go on all the same, give --epochs, which counts from its beginning"
                )
            for name, value in budget.items():
                if value is not None and value <= spent[name]:
                    raise ChargenError(
                        f"{value:g} {name} are spent: this training has had {spent[name]:.3g}; "
                        "give a larger budget, which counts from its beginning"
                    )
            progress.over = False
        if next(saved.writer.model.parameters()).device.type == "cpu":
            # As many as before add up in the same order; more than there are is not for us to take.
            progress.threads = max(1, saved.record["place"]["threads"])
        mine = self.ranks.lanes(config.batch)
        progress.carried = [tuple(t[:, mine].clone() for t in layer) for layer in progress.carried]
        self.ranks.barrier()  # until all have read it
        if self.ranks.is_main:
            with writing(self.folder):
                atomic.recover_interrupted_commit(self.folder)
                for name in LINES:
                    _trim(self.folder / name, saved.record["lines"][name])
        training = self._steps(writer, text, config, progress, saved.settings, is_new=False)
        return self._opened(isolated(training, progress.threads))

    def _opened(self, steps: Generator[Step]) -> Iterator[Step]:
        """Steps that end with the `with` block, wherever the loop over them was left."""
        return self._stack.enter_context(closing(steps))

    def _steps(
        self,
        writer: TextGenerator,
        corpus: Corpus,
        config: TrainConfig,
        now: TrainingState,
        settings: dict[str, Any],
        is_new: bool,
    ) -> Generator[Step]:
        kept, cost = time.monotonic(), 0.0

        def keep() -> None:
            nonlocal kept, cost
            began = time.monotonic()
            with writing(self.folder):  # which may be removed while we look what is there
                whole = [tuple(map(self.ranks.all_gather, layer)) for layer in now.carried]
                if self.ranks.is_main:
                    keep_state(self.folder, writer, config, replace(now, carried=whole), settings)
            kept = time.monotonic()
            cost = kept - began

        steps = writer.train_on(corpus, config, now, self.ranks)
        if is_new:
            keep()  # from here on nothing is lost
        try:
            for step in steps:
                if step.finished:
                    break
                if step.evaluated and self.ranks.is_main:
                    step = replace(
                        step, sample=writer.generate(length=SAMPLE_LENGTH, seed=step.number)
                    )
                    self._append("metrics.jsonl", json.dumps(_metrics(step), allow_nan=False) + "\n")
                    self._append("samples.txt", f"--- step {step.number}\n{step.sample}\n\n")
                    if step.best_step == step.number:
                        writer.save(self.folder)
                since = time.monotonic() - kept
                cheap = cost < max(CHEAP_SECONDS, SAVE_SHARE * since)
                wanted = now.over or since >= self._save_seconds or (step.evaluated and cheap)
                if self.ranks.broadcast(wanted)[0]:
                    keep()
                yield step
        except GeneratorExit:  # whoever looked on has left the loop
            keep()
            if self.ranks.is_main and not (self.folder / atomic.MANIFEST).exists():
                writer.save(self.folder)
            raise
        if self.ranks.is_main:
            self._append("metrics.jsonl", json.dumps(_metrics(step), allow_nan=False) + "\n")
            writer.save(self.folder)
        yield step

    def _append(self, name: str, text: str) -> None:
        with writing(self.folder / name):
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / name).open("a", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())

    def _finished(self, now: TrainingState) -> bool:
        """Whether the model is the one that this training ended with."""
        with suppress(ChargenError, FileNotFoundError):
            sums = atomic.manifest(self.folder)
            record, _, _ = checkpoint.describe(self.folder, sums, checkpoint.KIND)
            conform(record, {"scores": _SCORES}, "config.json")
            return now.over and record["scores"]["final"] and record["scores"]["steps"] == now.step
        return False


def corpus_of(folder: Path, record: dict[str, Any]) -> Copies:
    """The text that a model in a folder was trained on, indexed, as its record of the corpus knows it.

    Raises ChargenError where it is neither in the cache nor where it was.
    """
    known = record.get("corpus", {})
    sha256, encoding, sources = str(known.get("sha256")), "utf-8", [str(known.get("name"))]
    for state in state_folders(folder):
        with suppress(ChargenError, KeyError, OSError, TypeError):
            settings = parse(state, (state / "config.json").read_bytes())["settings"]
            sources, encoding = list(map(str, settings["corpus"])), str(settings["encoding"])
    if found := Copies.cached(sha256, encoding):
        return found
    with suppress(ChargenError):
        text = Text.open(sources, encoding)
        if text.sha256 == sha256:
            return Copies.of(text)
    raise ChargenError(
        f"the corpus {known.get('name', '')!r} of the model is not where it was, or was changed "
        "since; say where it is with --corpus"
    )


def _metrics(step: Step) -> dict[str, Any]:
    score = step.score
    return {
        "step": step.number,
        "seconds": round(step.seconds, 2),
        "ids": step.ids,
        "training_nats_per_token": step.mean_loss,
        "val_nats_per_token": score.nats_per_token if score else None,
        "val_bits_per_character": score.bits_per_character if score else None,
        "final": step.finished,
    }


def _trim(path: Path, size: int) -> None:
    """Cuts off what was written after the state was kept, a torn last line included."""
    if path.is_file() and path.stat().st_size > size:
        os.truncate(path, size)
