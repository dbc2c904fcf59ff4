"""`chargen classify eval`: measures a classifier on labelled texts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.classify.data_options import read, table_options
from chargen.cli.classify.report import length_table, measures, mistake_list, table
from chargen.cli.models import load_classifier
from chargen.cli.options import Source, at_least_option, json_option, model_option
from chargen.cli.terminal import say, say_notes

if TYPE_CHECKING:
    from chargen.classifier import TextClassifier
    from chargen.data.labelled import Labelled


@click.command(name="eval")
@click.argument("data", type=Source())
@model_option("Folder of the classifier", "the newest under ./checkpoints")
@click.option(
    "--crops",
    is_flag=True,
    help="Measure also on pairs of neighbouring words and on single words of the texts.",
)
@click.option(
    "--mistakes", type=click.IntRange(0), default=10, help="Number of confident mistakes to show."
)
@at_least_option
@table_options
@json_option
def evaluate(
    data: str,
    model: str | None,
    crops: bool,
    mistakes: int,
    at_least: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measures a classifier on labelled texts: accuracy, macro-F1, calibration, and each class; the
    accuracy by length of text, and the most confident mistakes, whose labels may be wrong.

    \b
      chargen classify eval test.csv
      chargen classify eval test.csv --crops --at-least 0.6
      chargen classify eval -m checkpoints/ag_news test.csv --json

    With --json: accuracy, macro_f1, calibration_error, nats, classes, per_class, confusion, by_length
    (each has words, texts, accuracy), mistakes (each has text, label, prediction, confidence), with
    --crops also crops (pairs and words, each with texts, accuracy, macro_f1), and with --at-least also
    answered (at_least, share, accuracy).
    """
    from chargen.evaluation.lengths import by_length
    from chargen.evaluation.mistakes import confident_mistakes

    _, reader = load_classifier(model)
    texts = read(data, options, reader.classes)
    counts = texts.counts()
    if unknown := sorted(set(counts) - set(reader.classes)):
        count = sum(counts[label] for label in unknown)
        more = f" and {len(unknown) - 1} more of the labels" if len(unknown) > 1 else ""
        say(f"note: the classifier has no class {unknown[0]!r}{more}: {count:,} texts count as wrong")
    say_notes(reader.coverage(texts.texts).notes(reader.longest))
    score = reader.evaluate(texts)
    lengths = by_length(score, texts.texts)
    confident = confident_mistakes(score, texts, mistakes)
    cropped = _measure_crops(reader, texts) if crops else None
    answered = None if at_least is None else score.answered(at_least)
    if as_json:
        record = measures(score) | {
            "by_length": [asdict(one) for one in lengths],
            "mistakes": [asdict(one) for one in confident],
        }
        if cropped is not None:
            record["crops"] = cropped
        if answered is not None:
            share, accuracy = answered
            record["answered"] = {
                "at_least": at_least,
                "share": share,
                "accuracy": accuracy if share else None,
            }
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
        return
    click.echo(
        f"accuracy {score.accuracy:.1%}, macro-F1 {score.macro_f1:.3f}, calibration error "
        f"{score.calibration_error:.3f}, {len(texts):,} texts"
    )
    if answered is not None:
        share, accuracy = answered
        right = f", accuracy {accuracy:.1%} on those" if share else ""
        click.echo(f"at least {at_least:g} sure: {share:.1%} of the texts get an answer{right}")
    click.echo(table(score))
    click.echo(length_table(lengths, cropped))
    if confident:
        click.echo(mistake_list(confident))


def _measure_crops(reader: TextClassifier, texts: Labelled) -> dict[str, dict[str, Any]]:
    """Returns how well pairs of words and single words are classified, as --json prints it."""
    from chargen.evaluation.lengths import crops

    measured: dict[str, dict[str, Any]] = {}
    for kind, cut in zip(("pairs", "words"), crops(texts), strict=True):
        say_notes(cut.notes)
        score = reader.evaluate(cut) if len(cut) else None
        measured[kind] = {
            "texts": len(cut),
            "accuracy": score.accuracy if score else None,
            "macro_f1": score.macro_f1 if score else None,
        }
    return measured
