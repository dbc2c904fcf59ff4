"""`chargen classify predict`: predicts the classes of texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.classify.report import label_text
from chargen.cli.models import load_classifier
from chargen.cli.options import at_least_option, json_option, model_option
from chargen.cli.terminal import say_notes, shown
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.classifier import TextClassifier
    from chargen.data.batches import Coverage

_CHUNK = 1 << 16  # bytes of lines that are predicted before their answers are printed


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
@at_least_option
@click.option(
    "--explain",
    is_flag=True,
    help="Show how much each character mattered, for the network (its attention weight, else gradient "
    "times input) and for the n-grams.",
)
@json_option
def predict(
    texts: tuple[str, ...],
    model: str | None,
    file: Any,
    top: int,
    at_least: float | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Predicts the class of each TEXT: one line each, likeliest class first.

    \b
      chargen classify predict "où est la gare ?"
      chargen classify predict --file sentences.txt
      cat sentences.txt | chargen classify predict --json
      chargen classify predict --explain "guten Morgen"
      chargen classify predict --at-least 0.6 "no"

    A text whose characters are all unknown to the classifier gets no verdict. A program that keeps the
    command open gets an answer to each line that it writes, at once; with --json, all at the end.

    With --at-least, a text whose likeliest class has a lower probability is answered by: unknown. Its
    classes follow.

    With --json: model, texts; each has text, classes (none without a verdict), cut (whether only its
    beginning was read), unknown (characters), with --explain weights and their parts (network, ngrams)
    and, with --at-least, answer (null for an unknown one).
    """
    groups: Iterable[list[str]] = [list(texts)]
    if file is None and not texts:
        if sys.stdin is None or sys.stdin.isatty():
            raise click.UsageError("give a TEXT, --file FILE, or texts on standard input")
        file = sys.stdin.buffer
    if file is not None:
        if texts:
            raise click.UsageError("give TEXT or --file, not both")
        groups = _lines(file)
    from chargen.evaluation.classes import answer

    folder, reader = load_classifier(model)
    coverage = reader.coverage([])
    records: list[dict[str, Any]] = []
    for group in groups:
        for record, covered in _predictions(reader, group, explain):
            coverage += covered
            if at_least is not None:
                record["answer"] = answer(record["classes"], at_least)
            if as_json:
                records.append(record)
                continue
            verdict = _verdict(record, top)
            text = shown(record["text"], sys.stdout)
            click.echo(verdict if len(texts) == 1 else f"{verdict}\t{text}")
            if explain and record["classes"]:
                click.echo(_heat(record["parts"]))
    if as_json:
        record = {"model": folder, "texts": records}
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
    say_notes(coverage.notes(reader.longest))


def _lines(file: Any) -> Iterator[list[str]]:
    """Yields the lines of a file, as many at a time as there are without waiting for more."""
    number, parts = 0, list[bytes]()
    while chunk := file.read1(_CHUNK):
        *ended, rest = chunk.split(b"\n")
        if ended:
            ended[0] = b"".join([*parts, ended[0]])
            yield from _decoded(ended, number)
            number, parts = number + len(ended), []
        parts.append(rest)
    if last := b"".join(parts):
        yield from _decoded([last], number)


def _decoded(lines: list[bytes], before: int) -> Iterator[list[str]]:
    """Yields the text of lines that follow `before` others; those ahead of a fault come before it."""
    texts: list[str] = []
    for number, line in enumerate(lines, start=before + 1):
        try:
            texts.append(line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r"))
        except UnicodeDecodeError as error:
            yield texts
            raise ChargenError(
                f"line {number:,} is not UTF-8: {error.reason}", "convert it to UTF-8 first"
            ) from error
    yield texts


def _predictions(
    reader: TextClassifier, texts: list[str], explain: bool
) -> Iterator[tuple[dict[str, Any], Coverage]]:
    """Yields each text as --json prints it, and how much of it was read."""
    coverages = [reader.coverage([text]) for text in texts]
    predictions = reader.predict_many([] if explain else texts)
    for text, coverage in zip(texts, coverages, strict=True):
        record: dict[str, Any] = {"text": text, "classes": {}}
        if explain:
            record["weights"] = []
            if not coverage.blank:
                record["classes"], record["weights"] = reader.explain(text)
                _, network, ngrams = reader.explain_parts(text)
                record["parts"] = {"network": network, "ngrams": ngrams}
        else:
            record["classes"] = next(predictions)
        yield record | {"cut": bool(coverage.cut), "unknown": coverage.unknown}, coverage


def _verdict(record: dict[str, Any], top: int) -> str:
    """Returns the likeliest classes with their probabilities, or why there are none."""
    if not record["text"].strip():
        return "no verdict: the text is empty"
    if not record["classes"]:
        return "no verdict: the classifier knows none of its characters"
    likeliest = list(record["classes"].items())[:top]
    unknown = ["unknown"] if record.get("answer", "") is None else []
    shares = [f"{label_text(name)} {probability:.2f}" for name, probability in likeliest]
    return "  ".join([*unknown, *shares])


def _heat(parts: dict[str, list[tuple[str, float]]]) -> str:
    """Returns the text, and for each part a line of bars below it.

    Each character's bar is its weight, a minus where it is negative, on one scale for all parts.
    """
    bars = " ▁▂▃▄▅▆▇█"
    weights = [weight for part in parts.values() for _, weight in part]
    largest = max(map(abs, weights), default=0) or 1.0
    text = "".join(piece.replace("\n", "↵").replace("\t", " ") for piece, _ in parts["network"])
    lines = [shown(text, sys.stdout)]
    for name, part in parts.items():
        levels = "".join(
            ("-" if weight < -largest / 8 else bars[max(0, round(8 * weight / largest))]) * len(piece)
            for piece, weight in part
        )
        if part:
            lines.append(
                f"{levels}  {name.replace('ngrams', 'n-grams')}" if parts["ngrams"] else levels
            )
    return "\n".join(lines)
