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
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chargen.errors import ChargenError
from chargen.shapes import ClassifierConfig, ModelConfig, weight_shapes
from chargen.storage import atomic
from chargen.storage.arrays import Arrays, array_bytes, check_arrays, parsed
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
_WEIGHTS, NGRAMS = "model.safetensors", "ngrams.safetensors"  # names of files
_MAX_NGRAMS_BYTES = 1 << 28


class Loaded(NamedTuple):
    """The parts of a saved model, as `save` was given them."""

    config: Any  # ModelConfig or ClassifierConfig
    weights: Arrays
    tokenizer: Tokenizer
    record: dict[str, Any]
    ngrams: Arrays | None


def save(
    folder: Path,
    config: ModelConfig,
    weights: Arrays,
    tokenizer: Tokenizer,
    record: dict[str, Any],
    half: bool = False,
    ngrams: Arrays | None = None,
) -> None:
    """Saves the weights of a model and its tokenizer, with `record` as the rest of config.json.

    `ngrams` are the arrays of the linear part of a classifier. The weights are stored as float32, or
    as float16 with `half`. Raises ChargenError if the folder cannot be written, or if files of the
    same names in it are not a model's.
    """
    dtype = np.float16 if half else np.float32
    weights = {name: weight.astype(dtype, copy=False) for name, weight in weights.items()}
    values = to_config(config, record)
    files = {**tokenizer.dump(), _WEIGHTS: array_bytes(weights)}
    if ngrams is not None:
        values["format"] = WIDE_FORMAT
        files[NGRAMS] = array_bytes(ngrams)
    atomic.commit(folder, {"config.json": json_bytes(values), **files})


def load(folder: Path, kind: str = KIND) -> Loaded:
    """Loads a model of a kind, and what was saved with it.

    The weights are float32, however they were stored. A checkpoint may come from anyone, so every
    file is checked before memory is allocated by what it says. Raises ChargenError, with the file
    and the cause, for anything that `save` did not write.
    """

    def read(sums: dict[str, str]) -> Loaded:
        values, config, tokenizer = read_config(folder, sums, kind)
        path = folder / _WEIGHTS
        weights = parsed(path, read_weights(folder, sums, _WEIGHTS, config))
        try:
            check_arrays(path, weights, weight_shapes(config))
        except OtherVersion as error:
            raise error.within(f"{folder} was written by another version of chargen") from error
        weights = {name: weight.astype(np.float32, copy=False) for name, weight in weights.items()}
        is_wide = values["format"] == WIDE_FORMAT
        ngrams = parsed(folder / NGRAMS, _ngrams_bytes(folder, sums)) if is_wide else None
        for key in ("format", "kind", "model"):
            del values[key]
        return Loaded(config, weights, tokenizer, values, ngrams)

    try:
        return atomic.read_committed(folder, read)
    except FileNotFoundError:
        raise ChargenError(
            f"there is no model in {folder}: {atomic.MANIFEST} is missing", "{train} makes one"
        ) from None


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


def _ngrams_bytes(folder: Path, sums: dict[str, str]) -> bytes:
    return atomic.read(folder, sums, NGRAMS, _MAX_NGRAMS_BYTES)


def to_config(config: ModelConfig, record: dict[str, Any]) -> dict[str, Any]:
    """Returns what config.json says of a model: its kind, its shape, and its record."""
    kind = CLASSIFIER if isinstance(config, ClassifierConfig) else KIND
    return {"format": FORMAT, "kind": kind, "model": config.to_json(), **record}


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
        if values["model"].get("bidirectional"):  # those of earlier versions do not say so
            values["model"] = {"joined": True} | values["model"]
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


def read_weights(folder: Path, sums: dict[str, str], name: str, config: ModelConfig) -> bytes:
    """Reads a file that holds at least the weights of a model of the shape `config`.

    Raises ChargenError if the file was changed, or is of a size that does not fit the shape: a config
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
    return data


def checked_classes(classes: Any, config: ClassifierConfig) -> list[str]:
    """Returns the names of the classes; raises ChargenError unless they are those of the shape."""
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not named or len(set(classes)) != len(classes) or len(classes) != config.classes:
        raise ChargenError("it does not name its classes")
    names: list[str] = classes
    return names


def json_bytes(values: dict[str, Any]) -> bytes:
    """Returns the bytes of config.json."""
    return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()
