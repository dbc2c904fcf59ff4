"""The state of a training after one of its steps, in a folder of its own, and back.

The folder is `resume/state-0000042` in that of the training. It holds the network, the optimiser, the
state of the random number generator, the recurrent state of every lane, and all else that the next
step depends on. It is loaded intact or not at all.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from chargen.errors import ChargenError, writing
from chargen.generator import TextGenerator
from chargen.modes import default_modes
from chargen.storage import atomic, checkpoint
from chargen.storage.record import CorpusRecord, Record
from chargen.storage.schema import OtherVersion, conform, make
from chargen.training.config import TrainConfig
from chargen.training.state import TrainingState, number_schema

LOGS = ("metrics.jsonl", "samples.txt")  # files that grow while a training runs
_KEPT_STATES = 2  # the older one is for the case that the newer one is damaged
_TENSORS = "state.safetensors"
_STATE = {  # the schema of config.json in the folder of a state
    "corpus": {"name": str, "sha256": str, "split_on": str | None, "val_fraction": int | float},
    "training": dict,
    "settings": dict,
    "place": {"torch": str, "device": str, "threads": int},
    "lines": dict.fromkeys(LOGS, int),
    "progress": number_schema(),
}
# States that were saved before there were generations, or a way out of half precision, lack these.
_ADDED = {"generation": 0, "first_step": 0, "first_second": 0.0, "single_precision": False}


@dataclass(repr=False)
class ResumePoint:
    """A saved state of a training, loaded with its model; `Run.resume` continues from it."""

    writer: TextGenerator
    config: TrainConfig
    state: TrainingState
    settings: dict[str, Any]  # those that `Run.begin` was given
    environment: dict[str, Any]  # the torch version, device and number of threads at that time
    log_bytes: dict[str, int]  # the size of each of `LOGS` at that time
    faults: list[str] = field(default_factory=list)  # why newer states were not loaded
    finished: bool = False  # whether the training was at its end

    def __repr__(self) -> str:
        seconds = f"{self.state.seconds:,.0f} s" + (", finished" if self.finished else "")
        return f"ResumePoint(step {self.state.step:,} after {seconds}, {self.writer!r})"

    def inexact(self) -> str:
        """Returns why resuming here would not give the same bits as never stopping, or ""."""
        before, now = self.environment, _environment(self.writer, self.state)
        changed = [f"{k} {before[k]} then, {now[k]} now" for k in now if now[k] != before[k]]
        if not changed:
            return ""
        return (
            f"{', '.join(changed)}: sums are rounded differently, so from here on this training is "
            "not bit for bit what it would have been without the stop"
        )

    def refuse_other_text(self, name: str, sha256: str) -> None:
        """Raises ChargenError for a text, with its `name` for the error, that was not trained on."""
        before = self.writer.record.corpus.sha256
        if sha256 != before:
            raise ChargenError(
                f"{name} is not the text that this training began with: its sha256 was "
                f"{str(before)[:12]}… and is {sha256[:12]}… now",
                "put the old text back, or train anew without {resume}, with another {out}",
            )


def state_folders(folder: Path) -> list[Path]:
    """Returns the folders of the saved states of a training, the newest last."""
    folders = (folder / "resume").glob("state-*")
    return sorted(state for state in folders if state.name.removeprefix("state-").isdecimal())


def corpus_sha256(folder: Path) -> str:
    """Returns the sum of the text that the training in a folder began with; "" if none is saved."""
    for state in reversed(state_folders(folder)):
        with suppress(ChargenError, FileNotFoundError):
            values = checkpoint.read_values(state, atomic.manifest(state), checkpoint.TRAINING)
            return str(values.get("corpus", {}).get("sha256", ""))
    return ""


@default_modes()
def save_state(
    folder: Path,
    writer: TextGenerator,
    config: TrainConfig,
    state: TrainingState,
    settings: dict[str, Any],
) -> None:
    """Saves a state to the folder of its training, then removes all older ones but one.

    Raises ChargenError if it cannot be written; the states from before are then still there.
    """
    earlier = state_folders(folder)
    number = int(earlier[-1].name.removeprefix("state-")) + 1 if earlier else 0
    config_json = {
        "format": checkpoint.STATE_FORMAT,
        "kind": checkpoint.TRAINING,
        "model": asdict(writer.model.config),
        "corpus": writer.record.corpus.to_json(),
        "training": asdict(config),
        "settings": settings,
        "place": _environment(writer, state),
        "lines": {name: _size(folder / name) for name in LOGS},
        "progress": state.numbers(),
    }
    path = folder / "resume" / f"state-{number:07}"
    draft = path.with_suffix(".new")
    with writing(path):
        for leftover in path.parent.glob("state-*.new"):  # of a process that was killed
            shutil.rmtree(leftover)
        try:
            atomic.commit(
                draft,
                {
                    "config.json": checkpoint.json_bytes(config_json),
                    **writer.tokenizer.dump(),
                    _TENSORS: checkpoint.tensor_bytes(state.tensors(writer.model)),
                },
            )
        except ChargenError:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        draft.rename(path)
        atomic.sync(path.parent)
        for old in earlier[: 1 - _KEPT_STATES]:
            shutil.rmtree(old, ignore_errors=True)


@default_modes()
def load_state(folder: Path, device: torch.device) -> ResumePoint:
    """Loads what `save_state` wrote to `folder`; raises ChargenError for anything else."""
    try:
        sums = atomic.manifest(folder)
    except FileNotFoundError:
        raise ChargenError(f"{folder} lacks its {atomic.MANIFEST}") from None
    values, shape, tokenizer = checkpoint.read_config(folder, sums, checkpoint.TRAINING)
    model, tensors = checkpoint.read_tensors(folder, sums, _TENSORS, shape)
    try:
        values["progress"] = _ADDED | values["progress"]
        conform(values, _STATE, "config.json")
        config, numbers = make(TrainConfig, values["training"]), values["progress"]
        if numbers["first_step"] > numbers["step"] or numbers["generation"] >= config.generations:
            raise ChargenError("its generation is not one of this training")
        rng = tensors.pop("rng")
        if tensors["state.0.0"].shape[1] != config.batch:
            raise ChargenError(f"its recurrent state is not that of {config.batch} lanes")
        record = Record(CorpusRecord.from_json(values["corpus"]))
        writer = TextGenerator(model.to(device), tokenizer, record)
        state = TrainingState.begin(model, config)
        if any(name.startswith("teacher.") for name in tensors):
            state.set_teacher({k: torch.empty_like(v) for k, v in model.named_parameters()})
        expected = state.tensors(model)
        del expected["rng"]  # its size depends on the device
        if any(name.startswith("best.") for name in tensors):
            expected |= {f"best.{name}": weight for name, weight in model.named_parameters()}
        checkpoint.check_tensors(folder / _TENSORS, tensors, expected)
        state.restore(model, tensors | {"rng": rng}, numbers)
    except OtherVersion as error:
        raise error.within(f"{folder} was kept by another version of chargen") from error
    except ChargenError as error:
        raise error.within(f"{folder} is damaged") from error
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ChargenError(f"{folder} is damaged: its files do not hold a state ({error})") from error
    return ResumePoint(writer, config, state, values["settings"], values["place"], values["lines"])


def _environment(writer: TextGenerator, state: TrainingState) -> dict[str, Any]:
    """Returns all besides the state that the rounding of sums depends on."""
    device = writer.model.head.weight.device.type
    threads = min(state.threads or torch.get_num_threads(), torch.get_num_threads())
    return {"torch": torch.__version__, "device": device, "threads": threads}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
