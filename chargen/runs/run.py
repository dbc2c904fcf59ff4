"""A training that lives in a folder: it can be stopped, killed or moved, and resumed bit for bit.

    with Run("checkpoints/verse") as run:             # keeps other processes out of the folder
        for step in run.begin(writer, corpus, TrainConfig(minutes=3)):
            ...                                       # leaving the loop saves everything

    with Run("checkpoints/verse") as run:
        for step in run.resume(run.saved(), text):    # as if it had never been stopped
            ...

Beside the files of the model, which is the best one so far, the folder then holds

    metrics.jsonl           a line for each evaluation
    samples.txt             what the model wrote at each evaluation
    resume/state-0000042    all that the next step depends on; the last two are kept

Bit for bit holds on a CPU, with the same number of threads and the same torch. Elsewhere a training
resumes just as well, but sums are rounded differently.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from chargen.arguments import shown
from chargen.data.corpus import Corpus
from chargen.data.rows import open_corpus
from chargen.data.sources import Source, open_text
from chargen.data.text import Text
from chargen.errors import ChargenError, writing
from chargen.generator import TextGenerator
from chargen.inspection.copies import Copies
from chargen.runs.state import LOGS, ResumePoint, load_state, save_state, state_folders
from chargen.storage import atomic, checkpoint
from chargen.storage.lock import claimed
from chargen.storage.record import Record
from chargen.storage.schema import conform, parse
from chargen.training.budget import max_epochs
from chargen.training.config import TrainConfig
from chargen.training.distributed import ALONE, Ranks
from chargen.training.loop import Step, isolated
from chargen.training.state import TrainingState

SAVE_SECONDS = 60.0  # between two states; one is also saved at every evaluation
SAVE_SHARE = 1 / 150  # of the time may go into saving at evaluations
CHEAP_SECONDS = 0.02  # a save that is faster than this is always worth its time
SAMPLE_LENGTH = 200  # characters written at an evaluation
_SCORES = {
    **{"step": int, "steps": int, "seconds": int | float, "characters_per_second": int | float},
    **{"val_nats_per_token": int | float | None, "val_bits_per_character": int | float | None},
    "final": bool,
}


class Run:
    """The folder of a training, which no other process can write to inside the `with` block.

    `save_seconds` is the time between two saved states. Of several processes that train together
    (`ranks`), the main one writes. Entering the block raises ChargenError if another process trains
    in the folder, or if the folder cannot be written.
    """

    def __init__(
        self, folder: str | Path, save_seconds: float = SAVE_SECONDS, ranks: Ranks = ALONE
    ) -> None:
        self.folder = Path(folder)
        self.ranks = ranks
        self._save_seconds = save_seconds
        self._stack = ExitStack()

    def __repr__(self) -> str:
        states = len(state_folders(self.folder))
        return f"Run({str(self.folder)!r}, {states} saved state{'' if states == 1 else 's'})"

    def __enter__(self) -> Run:
        if self.ranks.is_main:
            self._stack.enter_context(claimed(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def saved(self, device: torch.device | str = "cpu") -> ResumePoint | None:
        """Loads the newest state that is intact, its model on `device`; None if none was ever saved.

        Raises ChargenError if all states are damaged, or if there is a model without any.
        """
        faults: list[str] = []
        for folder in reversed(state_folders(self.folder)):
            try:
                saved = load_state(folder, torch.device(device))
            except ChargenError as error:
                faults.append(str(error))
            else:
                return replace(saved, faults=faults, finished=self._finished(saved))
        if faults:
            raise ChargenError(f"cannot resume: no usable training state: {'; '.join(faults)}")
        if (self.folder / atomic.MANIFEST).exists():
            raise ChargenError(
                f"{self.folder} holds a model, but not the state of its training (the folder resume "
                "is not there)",
                "train anew with another {out}",
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
        """Trains from the first step, like `TextGenerator.train`; replaces an earlier training.

        The earlier training and its model are removed once the first state of this one is saved.
        Steps with an evaluation have a sample. `settings` are for the caller: JSON values that are
        saved with each state and come back in `ResumePoint.settings`. At most `threads` CPU threads
        are used. Raises ChargenError if files would be replaced that no training wrote.
        """
        if not isinstance(corpus, Corpus):
            raise ChargenError(f"{shown(corpus)} is no corpus", "give writer.prepare(text)")
        if not isinstance(config, TrainConfig):
            raise ChargenError(f"{shown(config)} is no TrainConfig", "give TrainConfig(minutes=3)")
        # A training without a model yet has logs, but no manifest.
        if self.ranks.is_main and not state_folders(self.folder):
            with writing(self.folder):
                atomic.refuse_foreign(self.folder, LOGS)
        state = TrainingState.begin(writer.model, config, ranks=self.ranks)
        state.threads = threads
        training = self._steps(writer, corpus, config, state, settings or {}, is_new=True)
        return self._close_on_exit(isolated(training, state.threads))

    def resume(
        self,
        saved: ResumePoint,
        text: Source | Corpus,
        *,
        minutes: float | None = None,
        epochs: float | None = None,
        steps: int | None = None,
    ) -> Iterator[Step]:
        """Continues from a saved state, with the budget that it had or with another one.

        A new budget counts from the beginning of the training. Raises ChargenError for another text
        than before, and for a budget that is already spent.
        """
        text = text if isinstance(text, Corpus) else open_text(text)
        saved.refuse_other_text(text.name, text.sha256)
        writer, state, config = saved.writer, saved.state, saved.config
        if isinstance(text, Text):
            record = writer.record.corpus
            text = writer.prepare(text, record.val_fraction or 0.0, record.split_seed)
        budget = {"minutes": minutes, "epochs": epochs, "steps": steps}
        if any(amount is not None for amount in budget.values()):
            config = replace(config, **budget)  # type: ignore[arg-type]
        if config != saved.config:
            _refuse_spent_budget(saved, config, len(text.training))
            state.over = False
        if next(writer.model.parameters()).device.type == "cpu":
            # Only as many threads as before round sums as before; the caller's number is the limit.
            state.threads = max(1, saved.environment["threads"])
        lanes = self.ranks.lanes(config.batch)
        state.carried = [tuple(t[:, lanes].clone() for t in layer) for layer in state.carried]
        self.ranks.barrier()  # the main process changes the folder once all have read it
        if self.ranks.is_main:
            with writing(self.folder):
                atomic.recover_interrupted_commit(self.folder)
                for name in LOGS:
                    _truncate(self.folder / name, saved.log_bytes[name])
        training = self._steps(writer, text, config, state, saved.settings, is_new=False)
        return self._close_on_exit(isolated(training, state.threads))

    def _close_on_exit(self, steps: Generator[Step]) -> Iterator[Step]:
        """Returns `steps`, which end with the `with` block if the loop over them was left."""
        return self._stack.enter_context(closing(steps))

    def _steps(
        self,
        writer: TextGenerator,
        corpus: Corpus,
        config: TrainConfig,
        state: TrainingState,
        settings: dict[str, Any],
        is_new: bool,
    ) -> Generator[Step]:
        saver = _StateSaver(
            self.folder, self.ranks, writer, config, state, settings, self._save_seconds
        )
        steps = writer.train_on(corpus, config, state, self.ranks)
        if is_new:
            earlier = state_folders(self.folder) if self.ranks.is_main else []
            if self.ranks.is_main:
                self._remove_logs()
            saver.save()  # whatever happens from here on, the training can be resumed
            if self.ranks.is_main:
                self._remove_earlier(earlier)
        try:
            for step in steps:
                if step.finished:
                    break
                if step.evaluated and self.ranks.is_main:
                    sample = writer.generate(length=SAMPLE_LENGTH, seed=step.number)
                    step = replace(step, sample=sample)
                    self._log(step)
                    if step.best_step == step.number:
                        writer.save(self.folder)
                if saver.is_due(step):
                    saver.save()
                yield step
        except GeneratorExit:  # the caller has left the loop
            saver.save()
            if self.ranks.is_main and not (self.folder / atomic.MANIFEST).exists():
                writer.save(self.folder)
            raise
        if self.ranks.is_main:
            self._log(step)
            writer.save(self.folder)
        yield step

    def _remove_logs(self) -> None:
        with writing(self.folder):
            for name in LOGS:
                (self.folder / name).unlink(missing_ok=True)

    def _remove_earlier(self, states: list[Path]) -> None:
        """Removes the `states` of an earlier training, and its model, which is not this one's."""
        with writing(self.folder):
            for path in states:
                shutil.rmtree(path, ignore_errors=True)
            atomic.remove(self.folder)

    def _log(self, step: Step) -> None:
        """Appends the metrics of a step, and its sample unless it is the last, to the logs."""
        self._append("metrics.jsonl", json.dumps(_metrics(step), allow_nan=False) + "\n")
        if not step.finished:
            self._append("samples.txt", f"--- step {step.number}\n{step.sample}\n\n")

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

    def _finished(self, saved: ResumePoint) -> bool:
        """Returns whether the model in the folder is the one that this training ended with.

        The folder may hold the model of an earlier training, on another text or with other settings.
        """
        with suppress(ChargenError, FileNotFoundError):
            sums = atomic.manifest(self.folder)
            config, _, _ = checkpoint.read_config(self.folder, sums, checkpoint.KIND)
            conform(config, {"scores": _SCORES, "corpus": dict, "training": dict}, "config.json")
            scores, state = config["scores"], saved.state
            return (
                state.over
                and scores["final"]
                and scores["steps"] == state.step
                and config["model"] == asdict(saved.writer.model.config)
                and config["corpus"] == saved.writer.record.corpus.to_json()
                and config["training"] == asdict(saved.config)
            )
        return False


@dataclass
class _StateSaver:
    """Saves the state of a training, and knows when that is worth the time that it takes."""

    folder: Path
    ranks: Ranks
    writer: TextGenerator
    config: TrainConfig
    state: TrainingState
    settings: dict[str, Any]
    save_seconds: float
    saved_at: float = field(default_factory=time.monotonic)
    cost: float = 0.0  # seconds that the last save took

    def save(self) -> None:
        """Saves the state; all processes have to call it, since each has some of the lanes."""
        began = time.monotonic()
        carried = [tuple(map(self.ranks.all_gather, layer)) for layer in self.state.carried]
        if self.ranks.is_main:
            with writing(self.folder):  # listing its states fails if somebody removes the folder
                state = replace(self.state, carried=carried)
                save_state(self.folder, self.writer, self.config, state, self.settings)
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - began

    def is_due(self, step: Step) -> bool:
        """Returns whether to save after this step, the same on all processes."""
        elapsed = time.monotonic() - self.saved_at
        cheap = self.cost < max(CHEAP_SECONDS, SAVE_SHARE * elapsed)
        due = self.state.over or elapsed >= self.save_seconds or (step.evaluated and cheap)
        return bool(self.ranks.broadcast(due)[0])


def corpus_of(folder: Path, record: Record) -> Copies:
    """Returns the index of the text that the model in `folder` was trained on.

    The text is found in the cache, or in the files that the training read it from. Raises
    ChargenError if it is in neither, or was changed.
    """
    sha256, encoding, sources = str(record.corpus.sha256), "utf-8", [str(record.corpus.name)]
    columns: list[str] = []
    for state in state_folders(folder):
        with suppress(ChargenError, KeyError, OSError, TypeError):
            settings = parse(state, (state / "config.json").read_bytes())["settings"]
            sources, encoding = list(map(str, settings["corpus"])), str(settings["encoding"])
            columns = list(map(str, settings.get("text", ())))
    if cached := Copies.cached(sha256, encoding):
        return cached
    with suppress(ChargenError):
        text = open_corpus(sources, encoding, columns)
        if text.sha256 == sha256:
            return Copies.of(text)
    raise ChargenError(
        f"the corpus {record.corpus.name or ''!r} of the model is not where it was, or was changed "
        "since",
        "say where it is with {corpus}",
    )


def _refuse_spent_budget(saved: ResumePoint, config: TrainConfig, tokens: int) -> None:
    """Raises ChargenError for a budget that is spent, or minutes that the training would not use."""
    state = saved.state
    spent = {
        "minutes": state.seconds / 60,
        "epochs": state.position * config.batch / tokens,
        "steps": state.step,
    }
    unit, amount = config.budget
    read = state.steps_in_generation * config.batch * config.window / tokens
    is_last = state.generation + 1 == config.generations
    is_student = state.generation > 0
    limit = max_epochs(saved.writer.model.config.parameters, tokens, is_student)
    if unit == "minutes" and is_last and read > 0.95 * limit:
        raise ChargenError(
            f"this training has read its text {spent['epochs']:.3g} times, which is enough",
            "to train on all the same, give {epochs}, counted from its beginning",
        )
    if amount <= spent[unit]:
        raise ChargenError(
            f"{amount:g} {unit} are spent: this training has had {spent[unit]:.3g}",
            "give a larger budget, counted from its beginning",
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


def _truncate(path: Path, size: int) -> None:
    """Cuts off what was written after the state was saved, such as the half of a line."""
    if path.is_file() and path.stat().st_size > size:
        os.truncate(path, size)
