"""`chargen classify predict`: predicts the classes of texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
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
    from chargen.evaluation.predictions import Predictions

UNKNOWN = "unknown"  # the answer to a text of which no class is likely enough
_CHUNK = 1 << 18  # bytes of lines that are predicted before their answers are printed


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
    names = [label_text(name) for name in reader.classes]
    for group in groups:
        if explain:
            for record, covered in _explanations(reader, group):
                coverage += covered
                classes = record["classes"]
                if at_least is not None:
                    record["answer"] = answer(classes, at_least)
                if as_json:
                    records.append(record)
                    continue
                shares = [f"{label_text(name)} {value:.2f}" for name, value in classes.items()][:top]
                unknown = [UNKNOWN] if classes and record.get("answer", "") is None else []
                verdict = "  ".join([*unknown, *shares]) or _no_verdict(record["text"])
                _answer([verdict], [record["text"]], len(texts) == 1)
                if classes:
                    click.echo(_heat(record["parts"]))
            continue
        for predictions in reader.predict_arrays(group):
            coverage += predictions.coverages.sum()
            if as_json:
                records += _records(predictions, at_least)
            else:
                verdicts = _verdicts(predictions, names, top, at_least)
                _answer(verdicts, predictions.texts, len(texts) == 1)
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


def _explanations(
    reader: TextClassifier, texts: list[str]
) -> Iterator[tuple[dict[str, Any], Coverage]]:
    """Yields each text as --json prints it with --explain, and how much of it was read."""
    coverages = [reader.coverage([text]) for text in texts]
    for text, coverage in zip(texts, coverages, strict=True):
        record: dict[str, Any] = {"text": text, "classes": {}, "weights": []}
        record["parts"] = {"network": [], "ngrams": []}
        if not coverage.blank:
            record["classes"], record["weights"], network, ngrams = reader.explain_parts(text)
            record["parts"] = {"network": network, "ngrams": ngrams}
        yield record | {"cut": bool(coverage.cut), "unknown": coverage.unknown}, coverage


def _records(predictions: Predictions, at_least: float | None) -> list[dict[str, Any]]:
    """Returns each text as --json prints it."""
    from chargen.evaluation.classes import answer

    coverages = predictions.coverages
    return [
        {"text": text, "classes": classes}
        | ({} if at_least is None else {"answer": answer(classes, at_least)})
        | {"cut": cut, "unknown": unknown}
        for text, classes, cut, unknown in zip(
            predictions.texts,
            predictions.by_class(),
            coverages.cut.tolist(),
            coverages.unknown.tolist(),
            strict=True,
        )
    ]


def _verdicts(
    predictions: Predictions, names: list[str], top: int, at_least: float | None
) -> list[str]:
    """Returns the verdict on each text; `names` are those of the classes, as they are shown."""
    order, probabilities = predictions.likeliest(top)
    pairs = zip(order.ravel().tolist(), probabilities.ravel().tolist(), strict=True)
    likeliest = (f"{names[index]} {probability:.2f}" for index, probability in pairs)
    verdicts = ["  ".join(islice(likeliest, order.shape[1])) for _ in predictions.texts]
    if at_least is not None:
        sure = (probabilities[:, 0] >= at_least).tolist()
        verdicts = [
            verdict if is_sure else f"{UNKNOWN}  {verdict}"
            for verdict, is_sure in zip(verdicts, sure, strict=True)
        ]
    blank = predictions.coverages.blank.tolist()
    return [
        _no_verdict(text) if is_blank else verdict
        for text, is_blank, verdict in zip(predictions.texts, blank, verdicts, strict=True)
    ]


def _answer(verdicts: list[str], texts: list[str], alone: bool) -> None:
    """Prints each verdict and, unless it is `alone`, the text behind it; all of them at once."""
    lines = verdicts
    if not alone:
        stream = sys.stdout
        lines = [
            f"{verdict}\t{shown(text, stream)}" for verdict, text in zip(verdicts, texts, strict=True)
        ]
    if lines:
        click.echo("\n".join(lines))


def _no_verdict(text: str) -> str:
    if not text.strip():
        return "no verdict: the text is empty"
    return "no verdict: the classifier knows none of its characters"


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
