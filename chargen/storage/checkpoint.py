"""A trained model as a folder that can be read by eye, written so that it is never half there.

    config.json           what it is, how it was trained, on what, how good it became
    tokenizer.json        with tokenizer.model beside it where SentencePiece made the pieces
    model.safetensors     the weights; nothing is ever unpickled
    manifest.json         sha256 of each of them, written last

Where the model was trained in the folder, `run.py` keeps more files beside these.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from chargen.errors import ChargenError
from chargen.model import Classifier, ClassifierConfig, LanguageModel, ModelConfig
from chargen.storage import atomic
from chargen.storage.schema import conform, parse
from chargen.tokenizers.base import Tokenizer
from chargen.tokenizers.build import load_tokenizer

FORMAT = 1
KIND, CLASSIFIER = "language-model", "classifier"
_CONFIGS = {KIND: ModelConfig, "training": ModelConfig, CLASSIFIER: ClassifierConfig}
_CONFIG_BYTES, _TOKENIZER_BYTES = 1 << 20, 1 << 26  # believed at most


def save(
    folder: Path,
    model: LanguageModel | Classifier,
    tokenizer: Tokenizer,
    record: dict[str, Any],
    half: bool = False,
) -> None:
    """Writes a model, its weights in 32 or 16 bits; `record` is what else config.json says of it.

    Raises ChargenError where the folder cannot be written.
    """
    dtype = torch.float16 if half else torch.float32
    weights = {name: w.detach().to(dtype) for name, w in model.named_parameters()}
    kind = CLASSIFIER if isinstance(model, Classifier) else KIND
    config = {"format": FORMAT, "kind": kind, "model": asdict(model.config), **record}
    atomic.commit(
        folder,
        {
            "config.json": to_json(config),
            **tokenizer.dump(),
            "model.safetensors": pack(weights),
        },
    )


def load(folder: Path, kind: str = KIND) -> tuple[Any, Tokenizer, dict[str, Any]]:
    """The model of a kind, its tokenizer, and the whole of config.json.

    Raises ChargenError, with the file and the cause, for anything that `save` did not write: all is
    checked before anything is allocated from it.
    """
    try:
        sums = atomic.manifest(folder)
    except FileNotFoundError:
        raise ChargenError(
            f"there is no model in {folder}: {atomic.MANIFEST} is missing; `chargen train` makes one"
        ) from None
    record, config, tokenizer = describe(folder, sums, kind)
    model, weights = build(folder, sums, "model.safetensors", config)
    check(folder / "model.safetensors", weights, dict(model.named_parameters()))
    for name, weight in model.named_parameters():
        weight.data.copy_(weights[name])
    return model, tokenizer, record


def newest(checkpoints: Path, kind: str = KIND) -> Path | None:
    """The model of a kind that was saved last among the folders below, None where there is none."""
    found = checkpoints.glob(f"*/{atomic.MANIFEST}") if checkpoints.is_dir() else ()
    for manifest in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        folder = manifest.parent
        try:
            record = parse(
                folder, atomic.read(folder, atomic.manifest(folder), "config.json", _CONFIG_BYTES)
            )
        except ChargenError:
            return folder  # whoever loads it will say what is wrong
        if record.get("kind") == kind:
            return folder
    return None


def describe(
    folder: Path, sums: dict[str, str], kind: str
) -> tuple[dict[str, Any], ModelConfig, Tokenizer]:
    """What config.json says, with the shape of the model and the tokenizer that it is for."""
    path = folder / "config.json"
    record = parse(path, atomic.read(folder, sums, "config.json", _CONFIG_BYTES))
    if record.get("format") != FORMAT:
        raise ChargenError(
            f"{folder} has the format {record.get('format')!r}, this chargen reads {FORMAT}: "
            "it was written by a newer one; update with: pip install -U chargen"
        )
    if record.get("kind") != kind:
        raise ChargenError(f"{folder} holds a {record.get('kind')!r}, not a {kind!r}")
    shape = _CONFIGS[kind]
    try:
        conform(record, {"model": dict}, "config.json")
        for section in record.keys() & {"corpus", "training", "scores"}:
            conform(record, {section: dict}, "config.json")
        conform(record.get("corpus", {}).get("split_on"), str | None, "corpus.split_on")
    except ChargenError as error:
        raise ChargenError(f"{path} is damaged: {error}") from error
    names = [name for name in sums if name in ("tokenizer.json", "tokenizer.model")]
    dump = {name: atomic.read(folder, sums, name, _TOKENIZER_BYTES) for name in names}
    try:
        config = shape(**record["model"])
        tokenizer = load_tokenizer(dump)
    except (ChargenError, TypeError) as error:
        raise ChargenError(f"{folder} is damaged: {error}") from error
    split_on = record.get("corpus", {}).get("split_on")
    if split_on is not None and (not split_on or tokenizer.end_id is None):
        raise ChargenError(
            f"{path} is damaged: corpus.split_on is {split_on!r}, and the tokenizer "
            f"{'has no' if tokenizer.end_id is None else 'has an'} end symbol"
        )
    if len(tokenizer) != config.vocab_size:
        raise ChargenError(
            f"{folder} is damaged: its tokenizer has {len(tokenizer)} ids, "
            f"its model {config.vocab_size}"
        )
    return record, config, tokenizer


def build(
    folder: Path, sums: dict[str, str], name: str, config: ModelConfig
) -> tuple[Any, dict[str, Tensor]]:
    """A model of this shape, its weights still its own, and the tensors of a file.

    The size of the file says whether it can hold the weights before anything is made for them.
    """
    path = folder / name
    # A training keeps weights, their averages, the best ones, two moments, for each matrix a basis
    # and what it comes from, and a few carried states.
    limit = 20 * config.parameters + 8 * config.basis_size + (1 << 28)
    data = atomic.read(folder, sums, name, limit)
    if len(data) < 2 * config.parameters:
        raise ChargenError(f"{path} is too small for {config.parameters:,} weights")
    try:
        tensors = load_tensors(data)
    except Exception as error:  # whatever a parser makes of bytes that were made to mislead it
        raise ChargenError(f"{path} is damaged: {error}") from error
    if isinstance(config, ClassifierConfig):
        return Classifier.new(config, seed=0), tensors
    return LanguageModel.new(config, seed=0), tensors


def check(path: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Raises ChargenError unless there are exactly these tensors, in these shapes, all finite."""
    for name, like in expected.items():
        if name not in found:
            raise ChargenError(f"{path} lacks {name}")
        if found[name].shape != like.shape or not found[name].is_floating_point():
            raise ChargenError(
                f"{path} holds {name} as {found[name].dtype} {tuple(found[name].shape)}, "
                f"config.json asks for {tuple(like.shape)}"
            )
        if not found[name].isfinite().all():
            raise ChargenError(f"{path} holds numbers in {name} that are not finite")
    if extra := sorted(found.keys() - expected.keys()):
        raise ChargenError(f"{path} holds {extra[0]}, which does not belong there")


def to_json(record: dict[str, Any]) -> bytes:
    """As it stands in config.json."""
    return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()


def pack(tensors: dict[str, Tensor]) -> bytes:
    """Tensors as the bytes of a safetensors file."""
    return save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
