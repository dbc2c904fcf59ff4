"""A training as it was after one of its steps: kept in a folder of its own, loaded sound or refused.

Each is `resume/state-0000042` in the folder of the training, with the network, the optimiser, the
randomness, what the lanes carry, and all else that the next step depends on.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from chargen.errors import ChargenError, writing
from chargen.generator import TextGenerator
from chargen.storage import atomic, checkpoint
from chargen.storage.schema import conform
from chargen.training.config import TrainConfig
from chargen.training.state import TrainingState, number_schema

LINES = ("metrics.jsonl", "samples.txt")  # files that grow, of which a state keeps the lengths
_KIND = "training"
_KEPT = 2  # states; the older one is for when the newer turns out to be damaged
_TENSORS = "state.safetensors"
_STATE = {  # what config.json of a state must hold
    "corpus": {"name": str, "sha256": str, "split_on": str | None, "val_fraction": int | float},
    "training": dict,
    "settings": dict,
    "place": {"torch": str, "device": str, "threads": int},
    "lines": dict.fromkeys(LINES, int),
    "progress": number_schema(),
}
_FIRST = {"generation": 0, "first_step": 0, "first_second": 0.0}  # which older states do not have


@dataclass
class ResumePoint:
    """A training as it was when its state was last kept."""

    writer: TextGenerator
    config: TrainConfig
    progress: TrainingState
    record: dict[str, Any]  # config.json of the state
    faults: list[str] = field(default_factory=list)  # why newer states were passed over
    finished: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What `begin` was told to remember."""
        found: dict[str, Any] = self.record["settings"]
        return found

    def inexact(self) -> str:
        """Why going on will not be bit for bit as if the training had never stopped, or nothing."""
        before, now = self.record["place"], _place(self.writer, self.progress)
        changed = [f"{k} {before[k]} then, {now[k]} now" for k in now if now[k] != before[k]]
        if not changed:
            return ""
        return (
            f"{', '.join(changed)}: sums are rounded differently, so from here on this is not bit for "
            "bit the training that never stopped"
        )

    def refuse_other_text(self, name: str, sha256: str) -> None:
        """Raises ChargenError for a text that is not the one trained on."""
        corpus = self.writer.record["corpus"]
        if sha256 != corpus["sha256"]:
            raise ChargenError(
                f"{name} is not the text that this training began with: its sha256 was "
                f"{corpus['sha256'][:12]}… and is {sha256[:12]}… now; put the old text back, or train "
                "anew without --resume, with another --out"
            )


def state_folders(folder: Path) -> list[Path]:
    """The states of a training, the newest last."""
    found = (folder / "resume").glob("state-*")
    return sorted(state for state in found if state.name.removeprefix("state-").isdecimal())


def keep_state(
    folder: Path,
    writer: TextGenerator,
    config: TrainConfig,
    now: TrainingState,
    settings: dict[str, Any],
) -> None:
    """Keeps the next state of a training beside the earlier ones, then drops all but the last two."""
    earlier = state_folders(folder)
    number = int(earlier[-1].name.removeprefix("state-")) + 1 if earlier else 0
    record = {
        "format": checkpoint.FORMAT,
        "kind": _KIND,
        "model": asdict(writer.model.config),
        "corpus": writer.record["corpus"],
        "training": asdict(config),
        "settings": settings,
        "place": _place(writer, now),
        "lines": {name: _size(folder / name) for name in LINES},
        "progress": now.numbers(),
    }
    state = folder / "resume" / f"state-{number:07}"
    draft = state.with_suffix(".new")
    with writing(state):
        for leftover in state.parent.glob("state-*.new"):  # of a process that was killed
            shutil.rmtree(leftover)
        try:
            atomic.commit(
                draft,
                {
                    "config.json": checkpoint.to_json(record),
                    **writer.tokenizer.dump(),
                    _TENSORS: checkpoint.pack(now.tensors(writer.model)),
                },
            )
        except ChargenError:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        draft.rename(state)
        atomic.sync(state.parent)
        for old in earlier[: 1 - _KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def load_state(folder: Path, device: torch.device) -> ResumePoint:
    """What `keep_state` wrote; raises ChargenError for anything else."""
    try:
        sums = atomic.manifest(folder)
    except FileNotFoundError:
        raise ChargenError(f"{folder} lacks its {atomic.MANIFEST}") from None
    record, config, tokenizer = checkpoint.describe(folder, sums, _KIND)
    model, tensors = checkpoint.build(folder, sums, _TENSORS, config)
    try:
        record["progress"] = _FIRST | record["progress"]
        conform(record, _STATE, "config.json")
        training, now = TrainConfig(**record["training"]), record["progress"]
        if now["first_step"] > now["step"] or now["generation"] >= training.generations:
            raise ChargenError("its generation is none that this training has come to")
        rng = tensors.pop("rng")
        if tensors["state.0.0"].shape[1] != training.batch:
            raise ChargenError(f"its carried state is not that of {training.batch} lanes")
        writer = TextGenerator(model.to(device), tokenizer, {"corpus": record["corpus"]})
        progress = TrainingState.begin(model, training)
        if any(name.startswith("teacher.") for name in tensors):
            progress.set_teacher({k: torch.empty_like(v) for k, v in model.named_parameters()})
        expected = progress.tensors(model)
        del expected["rng"]
        if any(name.startswith("best.") for name in tensors):
            expected |= {f"best.{name}": weight for name, weight in model.named_parameters()}
        checkpoint.check(folder / _TENSORS, tensors, expected)
        progress.restore(model, tensors | {"rng": rng}, record["progress"])
        saved = ResumePoint(writer, training, progress, record)
        return saved
    except ChargenError as error:
        raise ChargenError(f"{folder} is damaged: {error}") from error
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ChargenError(f"{folder} is damaged: {error!r}") from error


def _place(writer: TextGenerator, progress: TrainingState) -> dict[str, Any]:
    """Where a training is at work, as far as the rounding of its sums depends on it."""
    device = writer.model.head.weight.device.type
    threads = min(progress.threads or torch.get_num_threads(), torch.get_num_threads())
    return {"torch": torch.__version__, "device": device, "threads": threads}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
