"""A trained model as a folder that can be read by eye and is never half written.

    config.json           the shape of the model, and how it came to be: corpus, training, scores
    tokenizer.json        the vocabulary; with tokenizer.model beside it if SentencePiece made it
    model.safetensors     the weights, in a format that can hold no code, unlike a pickle
    ngrams.safetensors    the linear part of a classifier, if it has one
    manifest.json         sha256 of each of these files, written last

A training keeps more files in the same folder; see `chargen.runs.run`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from chargen.errors import ChargenError
from chargen.linear import LinearClassifier
from chargen.model import Classifier, ClassifierConfig, LanguageModel, ModelConfig
from chargen.modes import default_modes
from chargen.storage import atomic
from chargen.storage.schema import OtherVersion, conform, make, parse
from chargen.tokenizers.base import Tokenizer
from chargen.tokenizers.build import load_tokenizer

KIND, CLASSIFIER = "language-model", "classifier"
TRAINING, CLASSIFIER_TRAINING = "training", "classifier-training"  # their states
FORMAT = 1  # as it is written
WIDE_FORMAT = 2  # of a classifier with a linear part, without which it would be another one
STATE_FORMATS = {TRAINING: 2, CLASSIFIER_TRAINING: 1}  # `corpus.split_seed` is there since 2
_FORMATS = {  # that are read
    KIND: (FORMAT,),
    CLASSIFIER: (FORMAT, WIDE_FORMAT),
    TRAINING: (1, 2),
    CLASSIFIER_TRAINING: (1,),
}
_CONFIGS = {
    KIND: ModelConfig,
    TRAINING: ModelConfig,
    CLASSIFIER: ClassifierConfig,
    CLASSIFIER_TRAINING: ClassifierConfig,
}
_CORPUS = {  # the known keys of the corpus in config.json; each may be missing
    **{"name": str, "sha256": str, "bytes": int, "texts": int},
    **{"split_on": str | None, "val_fraction": int | float, "split_seed": int | None},
}
_MAX_CONFIG_BYTES, _MAX_TOKENIZER_BYTES = 1 << 20, 1 << 26  # longer files are refused unread
_NGRAMS = "ngrams.safetensors"
_MAX_NGRAMS_BYTES = 1 << 28


class Loaded(NamedTuple):
    """The parts of a saved model, as `save` was given them."""

    model: Any  # LanguageModel or Classifier
    tokenizer: Tokenizer
    record: dict[str, Any]
    linear: LinearClassifier | None


@default_modes()
def save(
    folder: Path,
    model: LanguageModel | Classifier,
    tokenizer: Tokenizer,
    record: dict[str, Any],
    half: bool = False,
    linear: LinearClassifier | None = None,
) -> None:
    """Saves a model, its tokenizer and the `linear` part, with `record` as the rest of config.json.

    The weights are stored as float32, or as float16 with `half`. Raises ChargenError if the folder
    cannot be written, or if files of the same names in it are not a model's.
    """
    dtype = torch.float16 if half else torch.float32
    weights = {name: weight.detach().to(dtype) for name, weight in model.named_parameters()}
    config = to_config(model, record)
    files = {**tokenizer.dump(), "model.safetensors": tensor_bytes(weights)}
    if linear is not None:
        config["format"] = WIDE_FORMAT
        files[_NGRAMS] = tensor_bytes(linear_tensors(linear))
    atomic.commit(folder, {"config.json": json_bytes(config), **files})


@default_modes()
def load(folder: Path, kind: str = KIND) -> Loaded:
    """Loads a model of a kind, and what was saved with it.

    The weights are float32, however they were stored. A checkpoint may come from anyone, so every
    file is checked before memory is allocated by what it says. Raises ChargenError, with the file
    and the cause, for anything that `save` did not write.
    """

    def read(sums: dict[str, str]) -> tuple[Any, ...]:
        values, config, tokenizer = read_config(folder, sums, kind)
        model, tensors = read_tensors(folder, sums, "model.safetensors", config)
        try:
            check_tensors(folder / "model.safetensors", tensors, dict(model.named_parameters()))
        except OtherVersion as error:
            raise error.within(f"{folder} was written by another version of chargen") from error
        linear = read_linear(folder, sums, config) if values["format"] == WIDE_FORMAT else None
        return values, tokenizer, model, tensors, linear

    try:
        values, tokenizer, model, tensors, linear = atomic.read_committed(folder, read)
    except FileNotFoundError:
        raise ChargenError(
            f"there is no model in {folder}: {atomic.MANIFEST} is missing", "{train} makes one"
        ) from None
    for name, weight in model.named_parameters():
        weight.data.copy_(tensors[name])
    for key in ("format", "kind", "model"):
        del values[key]
    return Loaded(model, tokenizer, values, linear)


def newest(checkpoints: Path, kind: str = KIND) -> Path | None:
    """Returns the folder below `checkpoints` whose model of this kind was saved last, if any."""
    manifests = checkpoints.glob(f"*/{atomic.MANIFEST}") if checkpoints.is_dir() else ()
    for manifest in sorted(manifests, key=lambda path: path.stat().st_mtime, reverse=True):
        folder = manifest.parent
        try:
            config = parse(folder, atomic.read_committed(folder, partial(_config_bytes, folder)))
        except FileNotFoundError:
            continue  # removed since, by a training that begins there
        except ChargenError:
            return folder  # loading it gives the error; skipping it would load an older model instead
        if config.get("kind") == kind:
            return folder
    return None


def _config_bytes(folder: Path, sums: dict[str, str]) -> bytes:
    return atomic.read(folder, sums, "config.json", _MAX_CONFIG_BYTES)


def to_config(model: LanguageModel | Classifier, record: dict[str, Any]) -> dict[str, Any]:
    """Returns what config.json says of a model: its kind, its shape, and its record."""
    kind = CLASSIFIER if isinstance(model, Classifier) else KIND
    return {"format": FORMAT, "kind": kind, "model": asdict(model.config), **record}


def read_values(folder: Path, sums: dict[str, str], kind: str) -> dict[str, Any]:
    """Reads config.json, with the types of what chargen writes there.

    Raises ChargenError for another kind of model, a newer format, or a damaged file.
    """
    path = folder / "config.json"
    values = parse(path, _config_bytes(folder, sums))
    if values.get("kind") != kind:
        raise ChargenError(f"{folder} holds a {values.get('kind')!r}, not a {kind!r}")
    if values.get("format") not in _FORMATS[kind]:
        raise ChargenError(
            f"{folder} has the format {values.get('format')!r}, this chargen reads "
            f"{_FORMATS[kind][-1]}: it was written by a newer one",
            "update with: pip install -U chargen",
        )
    try:
        conform(values, {"model": dict}, "config.json")
        for section in values.keys() & {"corpus", "training", "scores"}:
            conform(values, {section: dict}, "config.json")
        corpus = values.get("corpus", {})
        conform(corpus, {key: _CORPUS[key] for key in corpus.keys() & _CORPUS}, "corpus")
    except ChargenError as error:
        raise error.within(f"{path} is damaged") from error
    return values


def read_config(
    folder: Path, sums: dict[str, str], kind: str
) -> tuple[dict[str, Any], ModelConfig, Tokenizer]:
    """Reads config.json, with the shape of the model and the tokenizer that it belongs to.

    Raises ChargenError for another kind of model, a newer format, or damaged files.
    """
    values = read_values(folder, sums, kind)
    corpus = values.get("corpus", {})
    names = [name for name in sums if name in ("tokenizer.json", "tokenizer.model")]
    files = {name: atomic.read(folder, sums, name, _MAX_TOKENIZER_BYTES) for name in names}
    try:
        config = make(_CONFIGS[kind], values["model"])
        tokenizer = load_tokenizer(files)
    except OtherVersion as error:
        raise error.within(f"{folder} was written by another version of chargen") from error
    except ChargenError as error:
        raise error.within(f"{folder} is damaged") from error
    except TypeError as error:  # a value of another type
        raise ChargenError(f"{folder} is damaged: {error}") from error
    split_on = corpus.get("split_on")
    if split_on is not None and (not split_on or tokenizer.end_id is None):
        raise ChargenError(
            f"{folder} is damaged: corpus.split_on is {split_on!r}, and the tokenizer "
            f"{'has no' if tokenizer.end_id is None else 'has an'} end symbol"
        )
    if len(tokenizer) != config.vocab_size:
        raise ChargenError(
            f"{folder} is damaged: its tokenizer has {len(tokenizer)} tokens, "
            f"its model {config.vocab_size}"
        )
    return values, config, tokenizer


def read_tensors(
    folder: Path, sums: dict[str, str], name: str, config: ModelConfig
) -> tuple[Any, dict[str, Tensor]]:
    """Reads the tensors of a file, with a model of the shape `config` that still has random weights.

    Raises ChargenError if the file is damaged, or of a size that does not fit the shape: a config
    that claims a billion parameters is refused before they are allocated.
    """
    path = folder / name
    # The state of a training is the largest: the weights, their average, the best weights and a
    # teacher's, two moments of SOAP, for each matrix its bases and what they come from, and a few
    # carried states.
    limit = 20 * config.parameters + 8 * config.basis_size + (1 << 28)
    data = atomic.read(folder, sums, name, limit)
    if len(data) < 2 * config.parameters:  # two bytes each, if they were saved in half precision
        raise ChargenError(f"{path} is too small for {config.parameters:,} weights")
    tensors = _parsed(path, data)
    if isinstance(config, ClassifierConfig):
        return Classifier.new(config, seed=0), tensors
    return LanguageModel.new(config, seed=0), tensors


def _parsed(path: Path, data: bytes) -> dict[str, Tensor]:
    """Returns the tensors of a file's bytes; raises ChargenError for anything else."""
    try:
        return load_tensors(data)
    except Exception as error:  # bytes made to mislead the parser can raise anything
        raise ChargenError(f"{path} is damaged: {error}") from error


def read_linear(folder: Path, sums: dict[str, str], config: ModelConfig) -> LinearClassifier:
    """Reads the linear part of a classifier.

    Raises ChargenError if it is damaged, or does not fit the shape `config`.
    """
    data = atomic.read(folder, sums, _NGRAMS, _MAX_NGRAMS_BYTES)
    assert isinstance(config, ClassifierConfig)
    return to_linear(folder / _NGRAMS, _parsed(folder / _NGRAMS, data), config.classes)


def linear_tensors(linear: LinearClassifier) -> dict[str, Tensor]:
    """Returns the tensors of a linear classifier by the names that they are saved under."""
    return {
        "hashes": torch.from_numpy(linear.hashes.view(np.int64)),
        "idf": torch.from_numpy(linear.idf),
        "weights": linear.weights.half(),
        "bias": linear.bias.half(),
    }


def to_linear(path: Path, tensors: dict[str, Tensor], classes: int) -> LinearClassifier:
    """Returns the linear classifier that `linear_tensors` made these tensors from.

    Raises ChargenError, with the `path` of their file, if they are not of one for so many `classes`.
    """
    try:
        hashes = tensors.pop("hashes").numpy().view(np.uint64)
    except (KeyError, TypeError, ValueError) as error:  # missing, or of another type
        raise ChargenError(f"{path} is damaged: {error}") from error
    if hashes.ndim != 1 or not (hashes[1:] > hashes[:-1]).all():
        raise ChargenError(f"{path} is damaged: its n-grams are not in ascending order")
    count = len(hashes)
    shapes = {"idf": (count,), "weights": (count, classes), "bias": (classes,)}
    expected = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    check_tensors(path, tensors, expected)
    idf, weights, bias = (tensors[name].float() for name in shapes)
    return LinearClassifier(hashes, idf.numpy(), weights, bias)


def checked_classes(classes: Any, config: ClassifierConfig) -> list[str]:
    """Returns the names of the classes; raises ChargenError unless they are those of the shape."""
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not named or len(set(classes)) != len(classes) or len(classes) != config.classes:
        raise ChargenError("it does not name its classes")
    names: list[str] = classes
    return names


def check_tensors(path: Path, tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Raises ChargenError unless `tensors` have the shapes of `expected` and are finite.

    For names that differ, it is an OtherVersion.
    """
    for name, like in expected.items():
        if name not in tensors:
            raise OtherVersion(f"{path.name} lacks {name}")
        tensor = tensors[name]
        if tensor.shape != like.shape or not tensor.is_floating_point():
            raise ChargenError(
                f"{path} holds {name} as {tensor.dtype} {tuple(tensor.shape)}, "
                f"config.json asks for {tuple(like.shape)}"
            )
        if not tensor.isfinite().all():
            raise ChargenError(f"{path} holds numbers in {name} that are not finite")
    if extra := sorted(tensors.keys() - expected.keys()):
        raise OtherVersion(f"{path.name} holds {extra[0]}, which this version does not know")


def json_bytes(values: dict[str, Any]) -> bytes:
    """Returns the bytes of config.json."""
    return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()


def tensor_bytes(tensors: dict[str, Tensor]) -> bytes:
    """Returns the bytes of a safetensors file."""
    return save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
