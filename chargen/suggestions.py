"""Suggestions: errors for a name that a class or a function lacks, which say what to write."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from difflib import get_close_matches
from functools import wraps
from types import FunctionType
from typing import Any, TypeVar

Kind = TypeVar("Kind")

# Our parameters, each with the names that other libraries have for it.
_THEIRS = {
    "hidden_size": "hidden units hidden_dim rnn_size n_hidden",
    "num_layers": "layers n_layers depth",
    "embedding_size": "embedding embedding_dim emb_size embed_size",
    "cell": "cell_type rnn rnn_type model_type",
    "length": "n size max_length max_len chars characters num_chars max_tokens max_new_tokens",
    "num": "num_samples n_samples num_texts num_return_sequences count n",
    "temperature": "temp t T",
    "top_k": "topk k",
    "top_p": "topp p nucleus",
    "seed": "random_state random_seed rng",
    "sampler": "temperature top_k top_p min_p",
    "stop": "stops until end stop_strings stop_words",
    "learning_rate": "lr rate eta",
    "batch": "batch_size bs",
    "window": "seq_len seq_length sequence_length block_size bptt",
    "epochs": "n_epochs num_epochs max_epochs passes",
    "steps": "iterations iters n_iter max_steps max_iters",
    "minutes": "seconds hours time",
    "val_fraction": "val_split validation_split test_size validation",
    "folder": "path dir directory file filename",
    "sources": "path paths file filename folder",
    "source": "path file filename folder",
    "prompt": "text prefix start seed_text context",
    "text": "prompt corpus prefix X x",
    "data": "text texts X x",
    "labels": "y target targets classes",
}


_VALUES = {"sampler": "Sampler(temperature=0.5)"}
# How to make an object, for a call of its class without all arguments.
MAKES = {
    "TextGenerator": "TextGenerator.new(text) makes one, TextGenerator.load(folder) loads one",
    "TextClassifier": "TextClassifier.new(data) makes one, TextClassifier.load(folder) loads one",
    "Prefix": "TextGenerator.read(text) makes one",
    "Copies": "Copies.of(text) indexes a corpus",
    "Corpus": "writer.prepare(text) makes one",
    "Text": "Text.from_string(text) holds a string, Text.open(path) a file",
    "Labelled": "Labelled(texts, labels) takes two lists, Labelled.open(path) reads a table",
}
_EVALUATED = "(step.score is None without an evaluation)"
# What to write, with the attributes of each class for which people look instead.
_ATTRIBUTES = {
    "TextGenerator": {
        'writer.generate("…")': "sample write complete",
        'writer.read("…").expected()': "predict expected probabilities",
        "writer.score(text)": "evaluate eval",
        "writer.score(text).nats_per_token": "loss",
        "writer.score(text).perplexity": "perplexity",
        "writer.score(text).bits_per_character": "bits_per_character bpc",
        "for step in writer.train(text): …, which yields each step": "history losses",
        "writer.model.parameters()": "parameters",
        "writer.model.state_dict()": "state_dict",
        "writer.model.to(device)": "to cuda cpu",
        "writer.model.config": "config hidden_size num_layers cell",
        "writer.model.config.vocab_size": "vocab_size",
        "writer.tokenizer.pieces": "vocab vocabulary chars characters",
        "writer.tokenizer.encode(text)": "encode tokenize",
        "writer.tokenizer.decode(ids)": "decode",
    },
    "TextClassifier": {
        'reader.predict("…")': "classify predict_proba",
        "reader.evaluate(data)": "score eval test",
        "reader.evaluate(data).accuracy": "accuracy",
        "reader.evaluate(data).confusion": "confusion confusion_matrix",
        "reader.classes": "labels classes_",
        "for step in reader.train(data): …, which yields each step": "history losses",
        "reader.model.parameters()": "parameters",
        "reader.model.config": "config",
        "reader.explain(text)": "attention weights",
        "TextClassifier.from_generator(writer, data)": "from_pretrained",
    },
    "Prefix": {
        "writer.states(prefix.text), which has all states and gates": "state states hidden cell",
        "writer.tokenizer.encode(prefix.text)": "tokens ids",
        "prefix.expected()": "probabilities logits predict next",
        "prefix.generate()": "sample write",
    },
    "Step": {
        f"step.score.validation_loss {_EVALUATED}, or step.val_bits_per_character": "val_loss",
        f"step.score.accuracy {_EVALUATED}": "accuracy val_accuracy",
        "step.mean_loss": "train_loss training_loss",
        "step.number": "step iteration",
        "step.number, or step.progress": "epoch",
        "step.val_bits_per_character": "bpc bits_per_character",
        "step.seconds": "time elapsed",
        "step.characters_per_second": "speed",
    },
    "Score": {
        "score.nats_per_token": "loss nats_per_character cross_entropy",
        "score.bits_per_character": "bpc bits",
        "score.perplexity": "ppl",
    },
    "ClassScore": {
        "score.macro_f1": "f1",
        "score.per_class": "precision recall report",
        "score.confusion": "confusion_matrix",
        "score.nats": "loss",
    },
    "Copies": {
        "copies.report(text).share": "share copied",
        "copies.report(text).longest": "longest",
        "copies.report(text).passages": "passages",
    },
    "Surprise": {
        "surprise.bits_per_character": "mean score",
        '"".join(character.text for character in surprise.characters())': "text",
        "surprise.worst(5)": "top",
    },
    "Labelled": {
        "data[:5]": "head sample",
        "len(data)": "shape size",
        "data.split(0.1, seed=0)": "train_test_split",
    },
}


def suggests(kind: type[Kind]) -> type[Kind]:
    """Makes a class answer a name that it does not have with what to write.

    Its public functions raise TypeError for a parameter that they lack, its objects AttributeError for
    an attribute that they lack.
    """
    for name, member in list(vars(kind).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, FunctionType):
            setattr(kind, name, _answering(member, kind))
        elif isinstance(member, classmethod):
            setattr(kind, name, classmethod(_answering(member.__func__, kind)))
    table = _ATTRIBUTES.get(kind.__name__, {})
    instead = {name: advice for advice, names in table.items() for name in names.split()}

    def __getattr__(self: Any, name: str) -> Any:
        raise AttributeError(no_attribute(f"{kind.__name__!r} object", name, dir(self), instead))

    kind.__getattr__ = __getattr__  # type: ignore[attr-defined]
    return kind


def no_attribute(owner: str, name: str, names: Iterable[str], instead: dict[str, str]) -> str:
    """Returns the message for a `name` that `owner` lacks, whose attributes are `names`."""
    message = f"{owner} has no attribute {name!r}"
    if name.startswith("_"):
        return message
    public = [other for other in names if not other.startswith("_")]
    close = get_close_matches(name.lower(), public, cutoff=0.7)
    suggestion = instead.get(name) or " or ".join(close)
    return f"{message}; write {suggestion}" if suggestion else message


def _answering(function: Any, kind: type[Any]) -> Any:
    """Returns `function` with a TypeError that says what to write for arguments it does not take."""
    parameters = list(inspect.signature(function).parameters.values())[1:]  # without self or cls
    names = {parameter.name for parameter in parameters}
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    required = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    is_init = function.__name__ == "__init__"
    label = kind.__name__ if is_init else f"{kind.__name__}.{function.__name__}"
    missing = MAKES.get(kind.__name__, "") if is_init else ""

    @wraps(function)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.keys() <= names:
            unknown = next(name for name in kwargs if name not in names)
            raise TypeError(
                f"{label}() has no parameter {unknown!r}; {_instead(unknown, names, kind)}"
            )
        if len(args) > len(positional) and not variadic:
            named = ", ".join(f"{name}=…" for name in sorted(names - {*positional}))
            accepted = f"only {', '.join(positional)}" if positional else "nothing"
            advice = missing or (f"name the others: {named}" if named else "leave the rest out")
            raise TypeError(f"{label}() takes {accepted} without a name; {advice}")
        if missing and any(name not in kwargs for name in required[len(args) :]):
            raise TypeError(f"{label}() needs {', '.join(required)}; {missing}")
        return function(self, *args, **kwargs)

    return call


def _instead(unknown: str, names: set[str], kind: type[Any]) -> str:
    """Returns what to write for a parameter that is not among `names`."""
    ours = [name for name, theirs in _THEIRS.items() if unknown in theirs.split()]
    if known := [name for name in ours if name in names]:
        return f"write {known[0]}={_VALUES.get(known[0], '…')}"
    if close := get_close_matches(unknown.lower(), names, n=1, cutoff=0.7):
        return f"write {close[0]}=…"
    synonyms = {unknown, *ours}
    others = [
        name
        for name in dir(kind)
        if not name.startswith("_")
        and callable(function := getattr(kind, name))
        and synonyms & set(inspect.signature(function).parameters)
    ]
    if others:
        return f"it belongs to {' and '.join(f'{name}()' for name in others)}"
    return f"it has {', '.join(sorted(names)) or 'none'}"
