"""The state of a training after one of its steps, in a folder of its own, and back.

The folder is `resume/state-0000042` in that of the training. It holds the network, the optimiser, the
state of the random number generator, and all else that the next step depends on. It is loaded intact
or not at all. What both kinds of training save alike is here.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from chargen.errors import ChargenError, writing
from chargen.model import Classifier, LanguageModel
from chargen.modes import default_modes
from chargen.runs.saved import LOGS, kind_of, state_folders
from chargen.storage import atomic, checkpoint
from chargen.storage.arrays import Arrays, check_arrays
from chargen.storage.schema import OtherVersion, conform
from chargen.tokenizers.base import Tokenizer
from chargen.training.config import TrainConfig
from chargen.training.state import TrainingState, number_schema

COMMANDS = {
    checkpoint.TRAINING: "chargen train",
    checkpoint.CLASSIFIER_TRAINING: "chargen classify train",
}
_KEPT_STATES = 2  # the older one is for the case that the newer one is damaged
_TENSORS = "state.safetensors"
_STATE = {  # the schema of config.json in the folder of a state
    "training": dict,
    "settings": dict,
    "place": {"torch": str, "device": str, "threads": int},
    "progress": number_schema(),
}
# States that were saved before there were generations, or a way out of half precision, lack these.
_ADDED = {"generation": 0, "first_step": 0, "first_second": 0.0, "single_precision": False}


class OtherKind(ChargenError):
    """Raised for the state of another kind of training."""


@dataclass(repr=False, kw_only=True)
class SavedState:
    """A saved state, loaded: what both kinds of training have."""

    config: TrainConfig
    state: TrainingState
    settings: dict[str, Any]  # those that the training was begun with
    environment: dict[str, Any]  # the torch version, device and number of threads at that time
    log_bytes: dict[str, int]  # the size of each of `LOGS` at that time
    faults: list[str] = field(default_factory=list)  # why newer states were not loaded
    finished: bool = False  # whether the training was at its end

    @property
    def model(self) -> LanguageModel | Classifier:
        """The network."""
        raise NotImplementedError

    @property
    def model_kind(self) -> str:
        """The kind of its checkpoint."""
        raise NotImplementedError

    @property
    def record(self) -> dict[str, Any]:
        """The corpus and the training, as config.json has them."""
        raise NotImplementedError

    @property
    def progress(self) -> str:
        """How far the training was, in words."""
        seconds = f"{self.state.seconds:,.0f} s" + (", finished" if self.finished else "")
        return f"step {self.state.step:,} after {seconds}"

    def inexact(self) -> str:
        """Returns why resuming here would not give the same bits as never stopping, or ""."""
        before, now = self.environment, _environment(self.model, self.state)
        changed = [f"{k} {before[k]} then, {now[k]} now" for k in now if now[k] != before[k]]
        if not changed:
            return ""
        return (
            f"{', '.join(changed)}: sums are rounded differently, so from here on this training is "
            "not bit for bit what it would have been without the stop"
        )

    def limit_threads(self) -> None:
        """Has the state go on with as many threads as before, where sums depend on that."""
        if next(self.model.parameters()).device.type == "cpu":
            # The caller's number is the limit.
            self.state.threads = max(1, self.environment["threads"])

    def in_folder(self, folder: Path) -> bool:
        """Returns whether the model in `folder` is the one that this training ended with.

        The folder may hold the model of an earlier training, on another text or with other settings.
        """
        with suppress(ChargenError, FileNotFoundError):
            config, _, _ = checkpoint.read_config(folder, atomic.manifest(folder), self.model_kind)
            conform(config, {"scores": dict, "corpus": dict, "training": dict}, "config.json")
            scores: dict[str, Any] = config["scores"]
            return (
                self.state.over
                and scores.get("final") is True
                and scores.get("steps") == self.state.step
                and config["model"] == self.model.config.to_json()
                and {name: config[name] for name in self.record} == self.record
            )
        return False


@dataclass(repr=False)
class StateFiles:
    """The files of a saved state, as far as they are checked without knowing the kind of training."""

    folder: Path
    values: dict[str, Any]  # config.json
    shape: Any  # ModelConfig or ClassifierConfig
    tokenizer: Tokenizer
    tensors: dict[str, Tensor]

    def restore(
        self, model: Any, config: TrainConfig, device: torch.device, stack_share: float = 1.0
    ) -> TrainingState:
        """Moves a model of the saved shape to `device`, restores its weights, and returns its state.

        Raises ChargenError, or what `damaged` turns into one, where the files do not fit together.
        """
        numbers, tensors, model = self.values["progress"], self.tensors, model.to(device)
        if numbers["first_step"] > numbers["step"] or numbers["generation"] >= config.generations:
            raise ChargenError("its generation is not one of this training")
        rng = tensors.pop("rng")
        state = TrainingState.begin(model, config, stack_share)
        if any(name.startswith("teacher.") for name in tensors):
            state.set_teacher({k: torch.empty_like(v) for k, v in model.named_parameters()})
        expected = state.tensors(model)
        del expected["rng"]  # its size depends on the device
        if any(name.startswith("best.") for name in tensors):
            expected |= {f"best.{name}": weight for name, weight in model.named_parameters()}
        shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
        check_arrays(self.folder / _TENSORS, _arrays(tensors), shapes)
        state.restore(model, tensors | {"rng": rng}, numbers)
        return state


def _arrays(tensors: dict[str, Tensor]) -> Arrays:
    """Returns tensors as arrays for a check; NumPy knows no bf16, in which a state may be carried."""
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in tensors.items()
    }


@contextmanager
def damaged(folder: Path) -> Iterator[None]:
    """Turns what is found wrong in the files of a state into one sentence."""
    try:
        yield
    except OtherVersion as error:
        raise error.within(f"{folder} was kept by another version of chargen") from error
    except ChargenError as error:
        raise error.within(f"{folder} is damaged") from error
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ChargenError(f"{folder} is damaged: its files do not hold a state ({error})") from error


def read_state(folder: Path, kind: str) -> StateFiles:
    """Reads the state of a training of a kind.

    Raises OtherKind for that of the other kind, and ChargenError for anything that `save_state` did
    not write.
    """
    try:
        sums = atomic.manifest(folder)
    except FileNotFoundError:
        raise ChargenError(f"{folder} lacks its {atomic.MANIFEST}") from None
    other = kind_of(folder)
    if other != kind and other in COMMANDS:
        run = folder.parent.parent
        raise OtherKind(
            f"the training in {run} is one of `{COMMANDS[other]}`, not of `{COMMANDS[kind]}`",
            f"continue it with: {COMMANDS[other]} --resume -o {shlex.quote(str(run))}",
        )
    values, shape, tokenizer = checkpoint.read_config(folder, sums, kind)
    data = checkpoint.read_weights(folder, sums, _TENSORS, shape)
    try:
        tensors = load_tensors(data)
    except Exception as error:  # bytes made to mislead the parser can raise anything
        raise ChargenError(f"{folder / _TENSORS} is damaged: {error}") from error
    with damaged(folder):
        values["progress"] = _ADDED | values["progress"]
        conform(values, _STATE | {"lines": dict.fromkeys(LOGS[kind], int)}, "config.json")
    return StateFiles(folder, values, shape, tokenizer, tensors)


@default_modes()
def save_state(
    folder: Path,
    kind: str,
    values: dict[str, Any],
    model: LanguageModel | Classifier,
    tokenizer: Tokenizer,
    state: TrainingState,
    more: Arrays | None = None,
) -> None:
    """Saves a state to the folder of its training, then removes all older ones but one.

    `values` and `more` are what this kind of training saves beside what all do. Raises ChargenError
    if it cannot be written; the states from before are then still there.
    """
    earlier = state_folders(folder)
    number = int(earlier[-1].name.removeprefix("state-")) + 1 if earlier else 0
    config_json = {
        "format": checkpoint.STATE_FORMATS[kind],
        "kind": kind,
        "model": model.config.to_json(),
        **values,
        "place": _environment(model, state),
        "lines": {name: _size(folder / name) for name in LOGS[kind]},
        "progress": state.numbers(),
    }
    tensors = state.tensors(model) | {k: torch.from_numpy(v) for k, v in (more or {}).items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
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
                    **tokenizer.dump(),
                    _TENSORS: save_tensors(tensors),
                },
            )
        except ChargenError:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        draft.rename(path)
        atomic.sync(path.parent)
        for old in earlier[: 1 - _KEPT_STATES]:
            shutil.rmtree(old, ignore_errors=True)


def refuse_spent(unit: str, amount: float, spent: float) -> None:
    """Raises ChargenError for a budget of `amount` of a `unit` of which all is spent."""
    if amount <= spent:
        raise ChargenError(
            f"{amount:g} {unit} are spent: this training has had {spent:.3g}",
            "give a larger budget, counted from its beginning",
        )


def _environment(model: LanguageModel | Classifier, state: TrainingState) -> dict[str, Any]:
    """Returns all besides the state that the rounding of sums depends on."""
    device = model.head.weight.device.type
    threads = min(state.threads or torch.get_num_threads(), torch.get_num_threads())
    return {"torch": torch.__version__, "device": device, "threads": threads}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
