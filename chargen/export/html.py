"""A page in one file that writes with a model, in any browser and without a network.

The model is in it with weights of eight bits, whose arithmetic is the same everywhere: the page writes
what chargen writes with `weights="int8"` for the same seed (docs/portable.md). A policy in the page
(Content-Security-Policy) forbids the browser to load anything else, or to send anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from html import escape
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from chargen.data.documents import separator
from chargen.data.text import BUILTIN
from chargen.generation.quantised import QuantisedModel
from chargen.shapes import ModelConfig
from chargen.storage.record import Record
from chargen.tokenizers.base import Tokenizer
from chargen.tokenizers.characters import CharTokenizer
from chargen.tokenizers.pieces import PieceTokenizer

if TYPE_CHECKING:
    from chargen.generation.weights import Weights

_ENGINE = ("portable.js", "tokenizer.js", "writer.js", "worker.js")  # what a worker runs
_PAGE = ("strings.js", "bars.js", "surprise.js", "microscope.js", "page.js")
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def export_page(weights: Weights, tokenizer: Tokenizer, record: Record, title: str) -> str:
    """Returns a page in HTML that writes with a model.

    Args:
        weights: of the model; they are rounded to eight bits.
        tokenizer: of the model.
        record: how the model came to be, which the foot of the page says.
        title: what the page calls the model.
    """
    engine, page = (_joined(names) for names in (_ENGINE, _PAGE))
    style = _source("page.css")
    model = {
        "title": title,
        "config": _shape(weights.config),
        "arrays": {
            name: [str(array.dtype), base64.b64encode(_little_endian(array)).decode()]
            for name, array in QuantisedModel.from_weights(weights).arrays().items()
        },
        "tokenizer": _vocabulary(tokenizer),
        "separator": record.corpus.split_on and separator(record.corpus.split_on),
        "card": _card(weights.config, tokenizer, record),
    }
    parts = {
        "title": escape(title),
        "policy": f"default-src 'none'; script-src {_hash(engine)} {_hash(page)} blob:; "
        f"worker-src blob:; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        "style": style,
        # "</script>" in a text of the model must not end the element.
        "model": json.dumps(model, ensure_ascii=False).replace("<", "\\u003c"),
        "engine": engine,
        "page": page,
    }
    return _PLACEHOLDER.sub(lambda match: parts[match[1]], _source("page.html"))


def _source(name: str) -> str:
    return files("chargen.export").joinpath(name).read_text(encoding="utf-8")


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join(map(_source, names))


def _hash(source: str) -> str:
    """Returns the source expression by which the policy allows one element."""
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _little_endian(array: Any) -> bytes:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def _shape(config: ModelConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "cell": config.cell,
        "num_layers": config.num_layers,
        "hidden_size": config.hidden_size,
        "embedding_size": config.embedding_size,
    }


def _vocabulary(tokenizer: Tokenizer) -> dict[str, Any]:
    """Returns what tokenizer.js needs of a tokenizer."""
    vocabulary: dict[str, Any] = {
        "kind": tokenizer.kind,
        "documents": tokenizer.end_id is not None,
    }
    if isinstance(tokenizer, CharTokenizer):
        return {**vocabulary, "characters": tokenizer.characters}
    if isinstance(tokenizer, PieceTokenizer):
        pieces, scores, kinds = tokenizer.vocabulary()
        return {**vocabulary, "pieces": pieces, "scores": scores, "kinds": kinds}
    return vocabulary


def _card(config: ModelConfig, tokenizer: Tokenizer, record: Record) -> dict[str, Any]:
    """Returns what the foot of the page says of the model; what is not recorded is None."""
    return {
        "corpus": record.corpus.name,
        "bytes": record.corpus.bytes,
        "bits": record.scores.get("val_bits_per_character"),
        "heldOut": record.scores.get("val_characters"),
        "parameters": config.parameters,
        "command": _command(config, tokenizer, record),
        "version": _version(),
    }


def _command(config: ModelConfig, tokenizer: Tokenizer, record: Record) -> str | None:
    """Returns the command that trains such a model, or None if no training is recorded."""
    name, training = record.corpus.name, record.training
    if not name or not training:
        return None
    options: list[tuple[str, Any]] = [
        ("--split-on", record.corpus.split_on),
        ("--tokenizer", None if tokenizer.kind == "char" else tokenizer.kind),
        ("--vocab-size", len(tokenizer) if tokenizer.kind in ("bpe", "unigram") else None),
        ("--cell", None if config.cell == "lstm" else config.cell),
        ("--layers", None if config.num_layers == 2 else config.num_layers),
        ("--hidden", config.hidden_size),
        *((f"--{unit}", training.get(unit)) for unit in ("minutes", "epochs", "steps")),
        ("--seed", training.get("seed") or None),
    ]
    text = name if name == BUILTIN else f"{name}.txt"
    words = ["chargen", "train", text]
    for option, value in options:
        if value is not None:
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def _version() -> str | None:
    try:
        return version("chargen")
    except PackageNotFoundError:  # a checkout that is not installed
        return None
