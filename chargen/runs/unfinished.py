"""Trainings that were stopped, have failed, or were left by a crash, as their folders tell."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chargen.errors import ChargenError
from chargen.runs.saved import state_folders
from chargen.storage import atomic, checkpoint
from chargen.storage.schema import parse

_KINDS = {  # of a model, and the setting that names its texts, by the kind of the state
    checkpoint.TRAINING: ("generator", "corpus"),
    checkpoint.CLASSIFIER_TRAINING: ("classifier", "data"),
}


@dataclass(frozen=True)
class Unfinished:
    """A training that can be resumed."""

    folder: Path
    kind: str  # generator or classifier
    budget: float
    unit: str  # minutes, epochs or steps
    spent: float | None  # of its budget; None for epochs, which a state does not count
    saved_at: float  # when its newest state was saved, in seconds since 1970

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        if self.spent is None:
            return f"some of {self.budget:,g} {self.unit}"
        if self.unit == "minutes":
            return f"{_clock(self.spent)} of {_clock(self.budget)} minutes"
        return f"{self.spent:,g} of {self.budget:,g} {self.unit}"


def unfinished_trainings(checkpoints: Path) -> list[Unfinished]:
    """Returns the trainings below a folder that are not at their end, the last one first.

    Trainings that were begun in Python are left out: they do not keep how their text was read.
    """
    trainings = filter(None, map(_unfinished, checkpoints.glob("*")))
    return sorted(trainings, key=lambda training: training.saved_at, reverse=True)


def _unfinished(folder: Path) -> Unfinished | None:
    """Reads the newest state of a training that is intact; None where there is nothing to resume."""
    for state in reversed(state_folders(folder)):
        with suppress(ChargenError, OSError, KeyError, TypeError, ValueError):
            atomic.manifest(state)
            config = parse(state, (state / "config.json").read_bytes())
            progress, training = config["progress"], config["training"]
            kind, source = _KINDS[config["kind"]]
            if progress["over"] or source not in config["settings"]:
                return None
            unit = next(unit for unit in ("minutes", "epochs", "steps") if training[unit] is not None)
            spent = {"minutes": progress["seconds"] / 60, "steps": progress["step"]}.get(unit)
            budget = training[unit]
            if spent is not None and unit == "minutes":
                prepared: float = config.get("preparation", {}).get("minutes", 0.0)
                budget, spent = budget + prepared, spent + prepared
            saved_at = (state / atomic.MANIFEST).stat().st_mtime
            return Unfinished(folder, kind, budget, unit, spent, saved_at)
    return None


def _clock(minutes: float) -> str:
    seconds = round(60 * minutes)
    return f"{seconds // 60}:{seconds % 60:02}"
