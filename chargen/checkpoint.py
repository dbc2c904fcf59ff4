"""A trained model as a folder that can be read by eye, written so that it is never half there.

    config.json           what it is, how it was trained, on what, how good it became
    tokenizer.json        with tokenizer.model beside it where SentencePiece made the pieces
    model.safetensors     the weights; nothing is ever unpickled
    metrics.jsonl         a line per evaluation
    samples.txt           what it wrote along the way
    manifest.json         sha256 of each of the first three

A save writes every file anew under the ending `.new`, then the manifest, and renames the files last.
The manifest is the moment of truth: a file that does not have the sum that it names is looked for
under its `.new` name. So whenever the plug is pulled, the folder holds the old model or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from chargen.errors import ChargenError
from chargen.model import LanguageModel, ModelConfig
from chargen.tokenizer import Tokenizer, load_tokenizer

FORMAT = 1
KIND = "language-model"
MANIFEST = "manifest.json"


def save(
    folder: Path,
    model: LanguageModel,
    tokenizer: Tokenizer,
    record: dict[str, Any],
    half: bool = False,
) -> None:
    """Writes a model, its weights in 32 or 16 bits; `record` is what else config.json says of it.

    Raises ChargenError where the folder cannot be written.
    """
    dtype = torch.float16 if half else torch.float32
    weights = {name: w.detach().to("cpu", dtype).contiguous() for name, w in _weights(model)}
    config = {"format": FORMAT, "kind": KIND, "model": asdict(model.config), **record}
    files = {
        "config.json": (json.dumps(config, indent=1, allow_nan=False) + "\n").encode(),
        **tokenizer.dump(),
        "model.safetensors": save_tensors(weights),
    }
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            _write(folder / f"{name}.new", data)
        _write(folder / f"{MANIFEST}.new", (json.dumps(sums, indent=1) + "\n").encode())
        for name in [MANIFEST, *files]:
            os.replace(folder / f"{name}.new", folder / name)
        _sync(folder)
    except OSError as error:
        raise ChargenError(f"{folder} cannot be written: {error.strerror or error}") from error


def load(folder: Path) -> tuple[LanguageModel, Tokenizer, dict[str, Any]]:
    """The model, its tokenizer, and the whole of config.json.

    Raises ChargenError, with the file and the cause, for anything that `save` did not write: all is
    checked before anything is allocated from it.
    """
    files = _verified(folder)
    record = _record(folder, files)
    try:
        config = ModelConfig(**record["model"])
        tokenizer = load_tokenizer(files)
        if len(tokenizer) != config.vocab_size:
            raise ChargenError(
                f"the tokenizer has {len(tokenizer)} ids, the model {config.vocab_size}"
            )
        if config.parameters * 2 > len(files["model.safetensors"]):
            raise ChargenError(f"model.safetensors is too small for {config.parameters:,} weights")
        weights = load_tensors(files["model.safetensors"])
        model = LanguageModel.new(config, seed=0)
        for name, expected in _weights(model):
            if name not in weights:
                raise ChargenError(f"model.safetensors lacks {name}")
            found = weights.pop(name)
            if found.shape != expected.shape or not found.is_floating_point():
                raise ChargenError(
                    f"model.safetensors holds {name} as {found.dtype} {tuple(found.shape)}, "
                    f"config.json asks for {tuple(expected.shape)}"
                )
            if not found.isfinite().all():
                raise ChargenError(f"model.safetensors holds numbers in {name} that are not finite")
            expected.data.copy_(found)
        if weights:
            raise ChargenError(f"model.safetensors holds {sorted(weights)[0]}, which no model has")
    except ChargenError as error:
        raise ChargenError(f"{folder} is damaged: {error}") from error
    except (SafetensorError, TypeError, KeyError) as error:
        raise ChargenError(f"{folder} is damaged: {error!r}") from error
    return model, tokenizer, record


def newest(checkpoints: Path) -> Path | None:
    """The model that was saved last among the folders below, None where there is none."""
    found = checkpoints.glob(f"*/{MANIFEST}") if checkpoints.is_dir() else ()
    return max((m.parent for m in found), key=lambda f: (f / MANIFEST).stat().st_mtime, default=None)


def _weights(model: LanguageModel) -> list[tuple[str, torch.Tensor]]:
    return list(model.named_parameters())


def _verified(folder: Path) -> dict[str, bytes]:
    """The files that the manifest names, each with the sum that it names."""
    try:
        sums = json.loads((folder / MANIFEST).read_bytes())
        if not isinstance(sums, dict) or "config.json" not in sums:
            raise ChargenError(f"{folder / MANIFEST} is not a manifest of chargen")
        files = {}
        for name, expected in sums.items():
            if Path(name).name != name:
                raise ChargenError(f"{folder / MANIFEST} names {name!r}, which is outside the folder")
            for path in (folder / name, folder / f"{name}.new"):
                data = path.read_bytes() if path.exists() else b""
                if hashlib.sha256(data).hexdigest() == expected:
                    files[name] = data
                    break
            else:
                raise ChargenError(
                    f"{folder / name} is missing or was changed: its sha256 is not the one in "
                    f"{MANIFEST}"
                )
        return files
    except FileNotFoundError as error:
        raise ChargenError(
            f"there is no model in {folder}: {MANIFEST} is missing; `chargen train` makes one"
        ) from error
    except OSError as error:
        raise ChargenError(f"{folder} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        if isinstance(error, ChargenError):
            raise
        raise ChargenError(f"{folder / MANIFEST} is damaged: {error}") from error


def _record(folder: Path, files: dict[str, bytes]) -> dict[str, Any]:
    try:
        record = json.loads(files["config.json"])
    except ValueError as error:
        raise ChargenError(f"{folder / 'config.json'} is damaged: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("model"), dict):
        raise ChargenError(f"{folder / 'config.json'} does not describe a model")
    if record.get("format") != FORMAT:
        raise ChargenError(
            f"{folder} has the format {record.get('format')!r}, this chargen reads {FORMAT}: "
            "it was written by a newer one; update with: pip install -U chargen"
        )
    if record.get("kind") != KIND:
        raise ChargenError(f"{folder} holds a {record.get('kind')!r}, not a {KIND!r}")
    return record


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Makes the renames themselves survive a power cut; Windows does not open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
