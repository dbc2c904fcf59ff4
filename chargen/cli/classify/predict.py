"""`chargen classify predict`: says the class of texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.models import load_classifier
from chargen.cli.terminal import shown
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.classifier import TextClassifier


@click.command(short_help="Say the class of texts.")
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("-m", "--model", metavar="DIR", help="The classifier.  [default: the newest]")
@click.option(
    "--file",
    type=click.File("rb"),
    metavar="FILE",
    help="A text in each line; - is standard input, also without this option where it is a pipe.",
)
@click.option("--top", type=click.IntRange(1), default=3, help="Classes shown per text.")
@click.option(
    "--explain",
    is_flag=True,
    help="Show how much each character mattered: where attention looked, else gradient times input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def predict(
    texts: tuple[str, ...],
    model: str | None,
    file: Any,
    top: int,
    explain: bool,
    as_json: bool,
) -> None:
    """Says which class each TEXT belongs to: a line for each, likeliest class first.

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
    if as_json:
        found = list(_predicted(reader, lines, explain))
        click.echo(json.dumps({"model": folder, "texts": found}, ensure_ascii=False, allow_nan=False))
        return
    alone = len(texts) == 1
    for one in _predicted(reader, lines, explain):
        classes = list(one["classes"].items())[:top]
        judged = "  ".join(f"{name} {probability:.2f}" for name, probability in classes)
        text = shown(one["text"], sys.stdout)
        click.echo(judged if alone else f"{judged}\t{text}")
        if explain:
            click.echo(_heat(one["weights"]))


def _lines(file: Any) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ChargenError(f"line {number:,} is not UTF-8: {error.reason}") from error


def _predicted(
    reader: TextClassifier, texts: Iterable[str], explain: bool
) -> Iterator[dict[str, Any]]:
    held: list[str] = []

    def several() -> Iterator[dict[str, Any]]:
        for text, classes in zip(held, reader.predict_many(held), strict=True):
            yield {"text": text, "classes": classes}

    for text in texts:
        if explain:
            classes, weights = reader.explain(text)
            yield {"text": text, "classes": classes, "weights": weights}
            continue
        held.append(text)
        if len(held) == 64:
            yield from several()
            held = []
    yield from several()


def _heat(weights: list[tuple[str, float]]) -> str:
    """The text with a bar below each character, as high as it mattered; a minus where against."""
    largest = max((abs(weight) for _, weight in weights), default=0) or 1.0
    bars = " ▁▂▃▄▅▆▇█"
    text = "".join(piece.replace("\n", "↵").replace("\t", " ") for piece, _ in weights)
    levels = "".join(
        ("-" if weight < -largest / 8 else bars[max(0, round(8 * weight / largest))]) * len(piece)
        for piece, weight in weights
    )
    return f"{shown(text, sys.stdout)}\n{levels}"
