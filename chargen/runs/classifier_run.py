"""A training of a classifier that lives in a folder: it can be stopped and resumed bit for bit.

    with ClassifierRun("checkpoints/moods") as run:
        for step in run.begin(reader, reader.prepare(data, minutes=3)):
            ...

    with ClassifierRun("checkpoints/moods") as run:
        for step in run.resume(run.saved(), data):    # as if it had never been stopped
            ...

See `chargen.runs.run`: the folder holds the same files, but for samples.txt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from chargen.arguments import shown
from chargen.classifier import TextClassifier
from chargen.data.batches import Augmentation
from chargen.data.labelled import Labelled, labelled_texts
from chargen.errors import ChargenError, writing
from chargen.linear import LinearClassifier
from chargen.model import Classifier
from chargen.modes import default_modes
from chargen.runs.card import classifier_card
from chargen.runs.folder import RunFolder
from chargen.runs.state import SavedState, StateFiles, damaged, read_state, refuse_spent, save_state
from chargen.storage import checkpoint
from chargen.storage.arrays import check_arrays
from chargen.storage.record import ClassifierRecord, LabelledRecord
from chargen.storage.schema import conform, make
from chargen.training.config import TrainConfig
from chargen.training.labelled import Preparation, PreparedTraining, TrainingTexts
from chargen.training.loop import Step
from chargen.training.state import TrainingState

_PREPARATION = {  # the schema of the plain fields of a `Preparation`
    "balance": bool,
    "stack_share": int | float,
    "ngrams": dict | None,
    "threads": int | None,
    "minutes": int | float,
}
_VALUES = {  # the schema of what the state of a classifier has beside that of a generator
    "classes": list,
    "max_length": int,
    "corpus": dict,
    "texts": {"sha256": str, "val_fraction": int | float | None},
    "augmentation": {
        **dict.fromkeys(("reading", "noise", "cropped"), int | float),
        "longest": int | None,
    },
    "preparation": _PREPARATION,
}
_NGRAMS, _OFFSETS = "ngrams.", "offsets"  # names of tensors; the former is a prefix


@dataclass(repr=False, kw_only=True)
class ClassifierResumePoint(SavedState):
    """A saved state of a training, loaded with its model; `ClassifierRun.resume` continues from it."""

    reader: TextClassifier
    preparation: Preparation
    texts_sha256: str  # of all texts and labels
    val_fraction: float | None  # kept apart to validate on; None where those texts were given

    def __repr__(self) -> str:
        return f"ClassifierResumePoint({self.progress}, {self.reader!r})"

    @property
    def model(self) -> Classifier:
        """The network."""
        return self.reader.model

    @property
    def model_kind(self) -> str:
        """The kind of its checkpoint."""
        return checkpoint.CLASSIFIER

    @property
    def record(self) -> dict[str, Any]:
        """The corpus and the training, as config.json has them."""
        corpus = self.reader.record.corpus.to_json()
        return {"corpus": corpus, "training": self.preparation.record()}

    @property
    def budget(self) -> tuple[str, float]:
        """The name of the budget that was asked for, and its amount."""
        unit, amount = self.config.budget
        return unit, amount + self.preparation.minutes if unit == "minutes" else amount

    def is_spent(
        self, minutes: float | None = None, epochs: float | None = None, steps: int | None = None
    ) -> bool:
        """Returns whether a budget is the one that the training had; none is, too."""
        asked = {"minutes": minutes, "epochs": epochs, "steps": steps}
        budget = {unit: amount for unit, amount in asked.items() if amount is not None}
        return not budget or budget == dict([self.budget])

    def prepared(self, data: Labelled, validation: Labelled | None = None) -> PreparedTraining:
        """Returns the rest of the training; raises ChargenError for other texts than it began with."""
        data = labelled_texts(data, "data")
        if validation is not None:
            validation = labelled_texts(validation, "validation")
        elif self.val_fraction is None:
            raise ChargenError(
                "this training was validated on texts of their own", "give them with {val}"
            )
        reader, seed = self.reader, self.config.seed
        reading = reader.tokenizer, reader.classes, reader.record.max_length
        texts = TrainingTexts.of(*reading, data, validation, self.val_fraction or 0.0, seed)
        if texts.sha256 != self.texts_sha256:
            raise ChargenError(
                f"{data.name} does not hold the texts and labels that this training began with",
                "put the old ones back, or train anew without {resume}, with another {out}",
            )
        return PreparedTraining(texts, lambda: self.preparation)


class ClassifierRun(RunFolder[ClassifierResumePoint]):
    """The folder of a classifier's training; see `RunFolder`."""

    kind = checkpoint.CLASSIFIER_TRAINING

    def load_state(self, state: Path, device: torch.device) -> ClassifierResumePoint:
        """Loads what this kind of training saved to the folder of a state."""
        return _load(state, device)

    def begin(
        self,
        reader: TextClassifier,
        prepared: PreparedTraining,
        settings: dict[str, Any] | None = None,
    ) -> Iterator[Step]:
        """Trains from the first step, like `TextClassifier.train`; replaces an earlier training.

        The earlier training and its model are removed once the first state of this one is saved.
        `settings` are for the caller: JSON values that are saved with each state and come back in
        `ClassifierResumePoint.settings`. Raises ChargenError if files would be replaced that no
        training wrote.
        """
        if not isinstance(prepared, PreparedTraining):
            raise ChargenError(
                f"{shown(prepared)} is no prepared training", "give reader.prepare(data, minutes=3)"
            )
        self.refuse_foreign_files()
        state = prepared.begin(reader.model)
        return self.keep(_Training(reader, prepared, state, settings or {}), is_new=True)

    def resume(
        self,
        saved: ClassifierResumePoint,
        data: Labelled,
        validation: Labelled | None = None,
        *,
        minutes: float | None = None,
        epochs: float | None = None,
        steps: int | None = None,
    ) -> Iterator[Step]:
        """Continues from a saved state, with the budget that it had or with another one.

        A new budget counts from the beginning of the training. Raises ChargenError for other texts or
        labels than before, and for a budget that is already spent.
        """
        prepared = saved.prepared(data, validation)
        budget = {"minutes": minutes, "epochs": epochs, "steps": steps}
        if any(amount is not None for amount in budget.values()):
            prepared = _with_budget(saved, prepared, TrainConfig(minutes, epochs, steps))
        saved.limit_threads()
        self.restore_logs(saved.log_bytes)
        training = _Training(saved.reader, prepared, saved.state, saved.settings)
        return self.keep(training, is_new=False)


@dataclass
class _Training:
    """The training of a classifier, as its folder keeps it; see `folder.Training`."""

    reader: TextClassifier
    prepared: PreparedTraining
    state: TrainingState
    settings: dict[str, Any]

    def steps(self) -> Iterator[Step]:
        return self.reader.train_on(self.prepared, self.state)

    def sample(self, step: Step) -> None:
        return None

    def metrics(self, step: Step) -> dict[str, Any]:
        score = step.score
        return {
            "step": step.number,
            "seconds": round(step.seconds, 2),
            "ids": step.ids,
            "training_nats_per_text": step.mean_loss,
            "val_nats_per_text": score.nats if score else None,
            "accuracy": score.accuracy if score else None,
            "macro_f1": score.macro_f1 if score else None,
        }

    def save_model(self, folder: Path) -> None:
        self.reader.save(folder)

    def card(self, name: str) -> str:
        return classifier_card(name, self.reader)

    def save_state(self, folder: Path) -> None:
        preparation, texts, reader = self.prepared.preparation, self.prepared.texts, self.reader
        values = {
            "classes": reader.classes,
            "max_length": reader.record.max_length,
            "corpus": texts.corpus.to_json(),
            "texts": {"sha256": texts.sha256, "val_fraction": texts.val_fraction},
            "training": asdict(preparation.config),
            "augmentation": asdict(preparation.augmentation),
            "preparation": {name: getattr(preparation, name) for name in _PREPARATION},
            "settings": self.settings,
        }
        arrays = {}
        if preparation.linear is not None and preparation.offsets is not None:
            linear = preparation.linear.arrays()
            arrays = {f"{_NGRAMS}{name}": array for name, array in linear.items()}
            arrays[_OFFSETS] = preparation.offsets.numpy()
        with writing(folder):  # listing its states fails if somebody removes the folder
            parts = reader.model, reader.tokenizer, self.state, arrays
            save_state(folder, checkpoint.CLASSIFIER_TRAINING, values, *parts)


def _with_budget(
    saved: ClassifierResumePoint, prepared: PreparedTraining, asked: TrainConfig
) -> PreparedTraining:
    """Returns the rest of a training with the budget of `asked`, which counts from its beginning."""
    preparation, state = prepared.preparation, saved.state
    if asked.budget == saved.budget:
        return prepared
    unit, amount = asked.budget
    spent: float = state.step
    if unit == "minutes":
        spent = preparation.minutes + state.seconds / 60
    elif unit == "epochs":
        spent /= prepared.texts.task(preparation).steps_per_epoch
    refuse_spent(unit, amount, spent)
    minutes = None if asked.minutes is None else asked.minutes - preparation.minutes
    config = replace(saved.config, minutes=minutes, epochs=asked.epochs, steps=asked.steps)
    state.over = False
    return replace(prepared, prepare=lambda: replace(preparation, config=config))


@default_modes()
def _load(folder: Path, device: torch.device) -> ClassifierResumePoint:
    """Loads what a training saved to `folder`; raises ChargenError for anything else."""
    files = read_state(folder, checkpoint.CLASSIFIER_TRAINING)
    with damaged(folder):
        values = files.values
        conform(values, _VALUES, "config.json")
        preparation = _preparation(files)
        corpus = LabelledRecord.from_json(values["corpus"])
        record = ClassifierRecord(values["max_length"], corpus)
        classes = checkpoint.checked_classes(values["classes"], files.shape)
        model = Classifier.new(files.shape, seed=0)
        state = files.restore(model, preparation.config, device, preparation.stack_share)
    parts = model, files.tokenizer, classes, record, preparation.linear
    return ClassifierResumePoint(
        reader=TextClassifier(*parts),
        preparation=preparation,
        texts_sha256=values["texts"]["sha256"],
        val_fraction=values["texts"]["val_fraction"],
        config=preparation.config,
        state=state,
        settings=values["settings"],
        environment=values["place"],
        log_bytes=values["lines"],
    )


def _preparation(files: StateFiles) -> Preparation:
    """Returns what was decided before the first step; takes its tensors from the `files`."""
    values, tensors = files.values, files.tensors
    linear, offsets = None, tensors.pop(_OFFSETS, None)
    if offsets is not None:
        names = ("hashes", "idf", "weights", "bias")
        parts = {name: tensors.pop(f"{_NGRAMS}{name}").numpy() for name in names}
        classes = files.shape.classes
        linear = LinearClassifier.from_arrays(files.folder / _NGRAMS, parts, classes)
        check_arrays(files.folder, {_OFFSETS: offsets.numpy()}, {_OFFSETS: (len(offsets), classes)})
    return Preparation(
        config=make(TrainConfig, values["training"]),
        augmentation=make(Augmentation, values["augmentation"]),
        linear=linear,
        offsets=offsets,
        **values["preparation"],
    )
