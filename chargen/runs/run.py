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

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from chargen.arguments import shown
from chargen.data.corpus import Corpus
from chargen.data.sources import Source, open_text
from chargen.data.text import Text
from chargen.errors import ChargenError, writing
from chargen.generator import TextGenerator
from chargen.model import LanguageModel
from chargen.modes import default_modes
from chargen.runs.card import generator_card
from chargen.runs.folder import RunFolder
from chargen.runs.state import SavedState, damaged, read_state, refuse_spent, save_state
from chargen.storage import checkpoint
from chargen.storage.record import CorpusRecord, Record
from chargen.storage.schema import conform, make
from chargen.training.budget import max_epochs
from chargen.training.config import TrainConfig
from chargen.training.distributed import Ranks
from chargen.training.loop import Step
from chargen.training.state import TrainingState

SAMPLE_LENGTH = 200  # characters written at an evaluation
_CORPUS = {"name": str, "sha256": str, "split_on": str | None, "val_fraction": int | float}


@dataclass(repr=False, kw_only=True)
class ResumePoint(SavedState):
    """A saved state of a training, loaded with its model; `Run.resume` continues from it."""

    writer: TextGenerator

    def __repr__(self) -> str:
        return f"ResumePoint({self.progress}, {self.writer!r})"

    @property
    def model(self) -> LanguageModel:
        """The network."""
        return self.writer.model

    @property
    def model_kind(self) -> str:
        """The kind of its checkpoint."""
        return checkpoint.KIND

    @property
    def record(self) -> dict[str, Any]:
        """The corpus and the training, as config.json has them."""
        return {"corpus": self.writer.record.corpus.to_json(), "training": asdict(self.config)}

    def refuse_other_text(self, name: str, sha256: str) -> None:
        """Raises ChargenError for a text, with its `name` for the error, that was not trained on."""
        before = self.writer.record.corpus.sha256
        if sha256 != before:
            raise ChargenError(
                f"{name} is not the text that this training began with: its sha256 was "
                f"{str(before)[:12]}… and is {sha256[:12]}… now",
                "put the old text back, or train anew without {resume}, with another {out}",
            )


class Run(RunFolder[ResumePoint]):
    """The folder of a generator's training; see `RunFolder`."""

    kind = checkpoint.TRAINING

    def load_state(self, state: Path, device: torch.device) -> ResumePoint:
        """Loads what this kind of training saved to the folder of a state."""
        return _load(state, device)

    def begin(
        self,
        writer: TextGenerator,
        corpus: Corpus,
        config: TrainConfig,
        settings: dict[str, Any] | None = None,
        threads: int | None = None,
        baselines: dict[str, float] | None = None,
    ) -> Iterator[Step]:
        """Trains from the first step, like `TextGenerator.train`; replaces an earlier training.

        The earlier training and its model are removed once the first state of this one is saved.
        Steps with an evaluation have a sample. `settings` are for the caller: JSON values that are
        saved with each state and come back in `ResumePoint.settings`. At most `threads` CPU threads
        are used. The `baselines`, bits per character by name, stand beside the score in the README.md
        of the model. Raises ChargenError if files would be replaced that no training wrote.
        """
        if not isinstance(corpus, Corpus):
            raise ChargenError(f"{shown(corpus)} is no corpus", "give writer.prepare(text)")
        if not isinstance(config, TrainConfig):
            raise ChargenError(f"{shown(config)} is no TrainConfig", "give TrainConfig(minutes=3)")
        self.refuse_foreign_files()
        state = TrainingState.begin(writer.model, config, ranks=self.ranks)
        state.threads = threads
        extras = settings or {}, baselines or {}
        training = _Training(writer, corpus, config, state, *extras, self.ranks)
        return self.keep(training, is_new=True)

    def resume(
        self,
        saved: ResumePoint,
        text: Source | Corpus,
        *,
        minutes: float | None = None,
        epochs: float | None = None,
        steps: int | None = None,
        baselines: dict[str, float] | None = None,
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
        saved.limit_threads()
        lanes = self.ranks.lanes(config.batch)
        state.carried = [tuple(t[:, lanes].clone() for t in layer) for layer in state.carried]
        self.restore_logs(saved.log_bytes)
        extras = saved.settings, baselines or {}
        training = _Training(writer, text, config, state, *extras, self.ranks)
        return self.keep(training, is_new=False)


@dataclass
class _Training:
    """The training of a generator, as its folder keeps it; see `folder.Training`."""

    writer: TextGenerator
    corpus: Corpus
    config: TrainConfig
    state: TrainingState
    settings: dict[str, Any]
    baselines: dict[str, float]
    ranks: Ranks

    def steps(self) -> Iterator[Step]:
        return self.writer.train_on(self.corpus, self.config, self.state, self.ranks)

    def sample(self, step: Step) -> str:
        return self.writer.generate(length=SAMPLE_LENGTH, seed=step.number)

    def metrics(self, step: Step) -> dict[str, Any]:
        score = step.score
        return {
            "step": step.number,
            "seconds": round(step.seconds, 2),
            "ids": step.ids,
            "training_nats_per_token": step.mean_loss,
            "val_nats_per_token": score.nats_per_token if score else None,
            "val_bits_per_character": score.bits_per_character if score else None,
        }

    def save_model(self, folder: Path) -> None:
        self.writer.save(folder)

    def card(self, name: str) -> str:
        return generator_card(name, self.writer, self.baselines)

    def save_state(self, folder: Path) -> None:
        carried = [tuple(map(self.ranks.all_gather, layer)) for layer in self.state.carried]
        if not self.ranks.is_main:
            return
        values = {
            "corpus": self.writer.record.corpus.to_json(),
            "training": asdict(self.config),
            "settings": self.settings,
        }
        state = replace(self.state, carried=carried)
        with writing(folder):  # listing its states fails if somebody removes the folder
            parts = self.writer.model, self.writer.tokenizer, state
            save_state(folder, checkpoint.TRAINING, values, *parts)


@default_modes()
def _load(folder: Path, device: torch.device) -> ResumePoint:
    """Loads what a training saved to `folder`; raises ChargenError for anything else."""
    files = read_state(folder, checkpoint.TRAINING)
    with damaged(folder):
        conform(files.values, {"corpus": _CORPUS}, "config.json")
        config = make(TrainConfig, files.values["training"])
        if files.tensors["state.0.0"].shape[1] != config.batch:
            raise ChargenError(f"its recurrent state is not that of {config.batch} lanes")
        record = Record(CorpusRecord.from_json(files.values["corpus"]))
        model = LanguageModel.new(files.shape, seed=0)
        state = files.restore(model, config, device)
    return ResumePoint(
        writer=TextGenerator(model, files.tokenizer, record),
        config=config,
        state=state,
        settings=files.values["settings"],
        environment=files.values["place"],
        log_bytes=files.values["lines"],
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
    refuse_spent(unit, amount, spent[unit])
