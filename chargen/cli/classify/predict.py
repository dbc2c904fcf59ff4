"""`chargen classify predict`: predicts the classes of texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.models import load_classifier
from chargen.cli.options import json_option, model_option
from chargen.cli.terminal import shown
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.classifier import TextClassifier

BATCH = 64  # texts predicted together


@click.command
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@model_option("Folder of the classifier", "the newest under ./checkpoints")
@click.option(
    "--file",
    type=click.File("rb"),
    metavar="FILE",
    help="File with one text per line; - is standard input, the default in a pipe.",
)
@click.option("--top", type=click.IntRange(1), default=3, help="Number of classes to show.")
@click.option(
    "--explain",
    is_flag=True,
    help="Show how much each character mattered: its attention weight, else gradient times input.",
)
@json_option
def predict(
    texts: tuple[str, ...],
    model: str | None,
    file: Any,
    top: int,
    explain: bool,
    as_json: bool,
) -> None:
    """Predicts the class of each TEXT: one line each, likeliest class first.

    \b
      chargen classify predict "où est la gare ?"
      chargen classify predict --file sentences.txt
      cat sentences.txt | chargen classify predict --json
      chargen classify predict --explain "guten Morgen"

    With --json: model, texts; each has text, classes and, with --explain, weights.
    """
    lines: Iterable[str] = texts
    if file is None and not texts:
        if sys.stdin is None or sys.stdin.isatty():
            raise click.UsageError("give a TEXT, --file FILE, or texts on standard input")
        file = sys.stdin.buffer
    if file is not None:
        if texts:
            raise click.UsageError("give TEXT or --file, not both")
        lines = _lines(file)
    folder, reader = load_classifier(model)
    predictions = _predictions(reader, lines, explain)
    if as_json:
        record = {"model": folder, "texts": list(predictions)}
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
        return
    for prediction in predictions:
        likeliest = list(prediction["classes"].items())[:top]
        classes = "  ".join(f"{name} {probability:.2f}" for name, probability in likeliest)
        text = shown(prediction["text"], sys.stdout)
        click.echo(classes if len(texts) == 1 else f"{classes}\t{text}")
        if explain:
            click.echo(_heat(prediction["weights"]))


def _lines(file: Any) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ChargenError(
                f"line {number:,} is not UTF-8: {error.reason}", "convert it to UTF-8 first"
            ) from error


def _predictions(
    reader: TextClassifier, texts: Iterable[str], explain: bool
) -> Iterator[dict[str, Any]]:
    """Yields text, classes and, if `explain`, weights of each text, as --json prints them."""
    if explain:
        for text in texts:
            classes, weights = reader.explain(text)
            yield {"text": text, "classes": classes, "weights": weights}
        return
    remaining = iter(texts)
    while batch := list(islice(remaining, BATCH)):
        for text, classes in zip(batch, reader.predict_many(batch), strict=True):
            yield {"text": text, "classes": classes}


def _heat(weights: list[tuple[str, float]]) -> str:
    """Returns the text with a bar below each character: its weight, a minus where it is negative."""
    largest = max((abs(weight) for _, weight in weights), default=0) or 1.0
    bars = " ▁▂▃▄▅▆▇█"
    text = "".join(piece.replace("\n", "↵").replace("\t", " ") for piece, _ in weights)
    levels = "".join(
        ("-" if weight < -largest / 8 else bars[max(0, round(8 * weight / largest))]) * len(piece)
        for piece, weight in weights
    )
    return f"{shown(text, sys.stdout)}\n{levels}"
