"""`chargen classify eval`: measures a classifier on labelled texts."""

from __future__ import annotations

import json
from typing import Any

import click

from chargen.cli.classify.data_options import read, table_options
from chargen.cli.classify.report import measures, table
from chargen.cli.models import load_classifier
from chargen.cli.options import Source, json_option, model_option
from chargen.cli.terminal import say, say_notes


@click.command(name="eval")
@click.argument("data", type=Source())
@model_option("Folder of the classifier", "the newest under ./checkpoints")
@table_options
@json_option
def evaluate(data: str, model: str | None, as_json: bool, **options: Any) -> None:
    """Measures a classifier on labelled texts: accuracy, macro-F1, calibration, and each class.

    \b
      chargen classify eval test.csv
      chargen classify eval -m checkpoints/ag_news test.csv --json

    With --json: accuracy, macro_f1, calibration_error, nats, classes, per_class, confusion.
    """
    _, reader = load_classifier(model)
    texts = read(data, options, reader.classes)
    counts = texts.counts()
    if unknown := sorted(set(counts) - set(reader.classes)):
        count = sum(counts[label] for label in unknown)
        more = f" and {len(unknown) - 1} more of the labels" if len(unknown) > 1 else ""
        say(f"note: the classifier has no class {unknown[0]!r}{more}: {count:,} texts count as wrong")
    say_notes(reader.coverage(texts.texts).notes(reader.longest))
    score = reader.evaluate(texts)
    if as_json:
        click.echo(json.dumps(measures(score), ensure_ascii=False, allow_nan=False))
        return
    click.echo(
        f"accuracy {score.accuracy:.1%}, macro-F1 {score.macro_f1:.3f}, calibration error "
        f"{score.calibration_error:.3f}, {len(texts):,} texts\n{table(score)}"
    )
