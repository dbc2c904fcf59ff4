"""The README.md of a trained model: it explains the folder to whoever gets it.

Its head has the metadata that the Hugging Face Hub reads, so that `hf upload NAME FOLDER` makes a page
that explains itself (https://huggingface.co/docs/hub/model-cards). A person who edits the file keeps
it: only one that is as chargen wrote it is ever replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

from chargen.classifier import TextClassifier
from chargen.errors import writing
from chargen.generator import TextGenerator

NAME = "README.md"
SAMPLE_SEED, SAMPLE_LENGTH, SAMPLE_LINES = 1, 600, 10
_LONGEST_LINE = 100  # characters of a line of the sample
_SIGNATURE = re.compile(r"<!-- written by chargen, sha256 ([0-9a-f]{64}) -->\n\Z")
_CELLS = {"lstm": "an LSTM", "gru": "a GRU", "rnn": "a simple recurrent network"}
_FILL_IN = (
    "# language: en  # fill in: the languages of the texts",
    "# license: mit  # fill in: what others may do with the model",
)


def generator_card(name: str, writer: TextGenerator, baselines: dict[str, float]) -> str:
    """Returns the card of a generator called `name`.

    `baselines` are the bits per character of simpler models on the held-out text, by their names.
    """
    corpus, bits = writer.record.corpus, writer.record.scores.get("val_bits_per_character")
    scores = [("this model", bits), *sorted(baselines.items(), key=lambda item: item[1])]
    rows = [f"| {who} | {value:.3f} |" for who, value in scores if value is not None]
    measured = []
    if bits is not None:
        measured = [
            "## How well it predicts",
            "Bits per character on text that it was not trained on; lower is better.",
            "\n".join(["| | bits per character |", "|---|---|", *rows]),
        ]
    size = f", {corpus.bytes:,} bytes" if corpus.bytes else ""
    length, folder = SAMPLE_LENGTH, shlex.quote(name)
    if corpus.split_on is None:
        sample, number = writer.generate(length=length, seed=SAMPLE_SEED), ""
    else:
        texts = writer.generate_many(num=SAMPLE_LINES, length=length, seed=SAMPLE_SEED)
        sample, number = "\n".join(texts), f" --num {SAMPLE_LINES}"
    metadata = _metadata(name, "text-generation", str(corpus.name), "bits_per_character", bits)
    return _signed(
        metadata,
        f"# {name}",
        "A character-level language model, made with chargen: "
        f"{_shape(writer.config)}. It has learned `{corpus.name}`{size}; the text itself is not in "
        "this folder.",
        *measured,
        "## What it writes",
        f"`chargen sample -m {folder} -n {length}{number} --seed {SAMPLE_SEED}` begins with",
        _fenced(_lines(sample)),
        "## How to use it",
        _fenced(f'chargen sample -m {folder} --prompt "…"\nchargen info -m {folder}'),
        _fenced(
            f"import chargen\n\nwriter = chargen.TextGenerator.load({name!r})\n"
            'print(writer.generate("…", length=500))',
            "python",
        ),
        *_end(writer.record.training),
    )


def classifier_card(name: str, reader: TextClassifier) -> str:
    """Returns the card of a classifier called `name`."""
    corpus, scores = reader.record.corpus, reader.record.scores
    accuracy, ngrams = scores.get("accuracy"), scores.get("ngrams")
    rows = [("this model", accuracy, scores.get("macro_f1"))]
    if ngrams:
        rows.append(("n-grams alone", ngrams["accuracy"], ngrams["macro_f1"]))
    measured = []
    if accuracy is not None:
        table = [f"| {who} | {share:.1%} | {f1:.3f} |" for who, share, f1 in rows]
        measured = [
            "## How well it classifies",
            "On texts that it was not trained on.",
            "\n".join(["| | correct | macro-F1 |", "|---|---|---|", *table]),
        ]
    shown = ", ".join(f"`{label}`" for label in reader.classes[:20])
    more = f" and {len(reader.classes) - 20:,} more" if len(reader.classes) > 20 else ""
    beside = "" if reader.linear is None else ", beside a linear classifier over n-grams"
    return _signed(
        _metadata(name, "text-classification", str(corpus.name), "accuracy", accuracy),
        f"# {name}",
        f"A character-level text classifier, made with chargen: {_shape(reader.model.config)}"
        f"{beside}. It has learned {corpus.texts or 0:,} texts of `{corpus.name}`, which are not in "
        "this folder.",
        f"It tells {len(reader.classes):,} classes: {shown}{more}.",
        *measured,
        "## How to use it",
        _fenced(f'chargen classify predict -m {shlex.quote(name)} "…"'),
        _fenced(
            f"import chargen\n\nreader = chargen.TextClassifier.load({name!r})\n"
            'print(reader.predict("…"))',
            "python",
        ),
        *_end(reader.record.training),
    )


def write_card(folder: Path, card: str) -> None:
    """Writes a card to a folder, unless the README.md there is somebody's own.

    Raises ChargenError if the folder cannot be written.
    """
    path = folder / NAME
    if path.exists() and not _is_ours(path):
        return
    draft = path.with_suffix(".md.new")
    with writing(path):
        draft.write_text(card, encoding="utf-8", newline="\n")
        os.replace(draft, path)


def remove_card(folder: Path) -> None:
    """Removes the card of a model that is replaced, unless somebody has edited it."""
    if _is_ours(folder / NAME):
        with writing(folder):
            (folder / NAME).unlink()


def _is_ours(path: Path) -> bool:
    with suppress(OSError, UnicodeError):
        text = path.read_bytes().decode()
        if signature := _SIGNATURE.search(text):
            return hashlib.sha256(text[: signature.start()].encode()).hexdigest() == signature[1]
    return False


def _signed(*parts: str) -> str:
    """Returns the parts with a last line by which `_is_ours` knows them."""
    text = "\n\n".join(parts) + "\n\n"
    text = text.encode("utf-8", "replace").decode()
    return f"{text}<!-- written by chargen, sha256 {hashlib.sha256(text.encode()).hexdigest()} -->\n"


def _metadata(name: str, task: str, corpus: str, metric: str, value: float | None) -> str:
    """Returns the metadata in YAML, of which JSON's strings are a part."""
    lines = ["---", "library_name: chargen", f"pipeline_tag: {task}", *_FILL_IN]
    if value is not None:
        lines += [
            "model-index:",
            f"- name: {json.dumps(name)}",
            "  results:",
            "  - task:",
            f"      type: {task}",
            "    dataset:",
            f"      name: {json.dumps(corpus)}",
            "      type: text",
            "    metrics:",
            f"    - type: {metric}",
            f"      value: {value:.4f}",
            f"      name: {metric.replace('_', ' ')} on held-out text",
        ]
    return "\n".join([*lines, "---"])


def _shape(config: Any) -> str:
    layers = "one layer" if config.num_layers == 1 else f"{config.num_layers} layers"
    ways = " in each direction" if config.bidirectional else ""
    return (
        f"{_CELLS[config.cell]} of {layers} × {config.hidden_size}{ways} with "
        f"{config.parameters / 1e6:.2f} million parameters"
    )


def _lines(text: str) -> str:
    """Returns the first lines of a text, long ones cut."""
    lines = [line[:_LONGEST_LINE] for line in text.split("\n")]
    return "\n".join(lines[:SAMPLE_LINES]).rstrip()


def _fenced(text: str, language: str = "") -> str:
    """Returns a block of code in Markdown, whatever the text is."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _end(training: dict[str, Any]) -> list[str]:
    unit = next((unit for unit in ("minutes", "epochs", "steps") if training.get(unit)), None)
    budget = f" for {training[unit]:g} {unit}," if unit else ""
    seed = training.get("seed", 0)
    return [
        "## How it was made",
        f"It was trained{budget} with the seed {seed}. `config.json` has all settings and scores.",
        "## Licence",
        "Fill in what others may do with the model, and whether the text allows it.",
    ]
