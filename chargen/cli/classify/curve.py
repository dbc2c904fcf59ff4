"""`chargen classify curve`: trains on shares of the texts, to see whether more texts would help."""

from __future__ import annotations

import json
from typing import Any

import click

from chargen.cli.classify.data_options import describe, read, table_options
from chargen.cli.classify.training_options import (
    TrainingOptions,
    describe_score,
    new_classifier,
    shape_options,
    training_options,
)
from chargen.cli.options import Number, Source, json_option
from chargen.cli.progress_bar import watch
from chargen.cli.terminal import say


@click.command
@click.argument("data", required=False, type=Source())
@click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    help="Minutes of training for each share.",
)
@click.option(
    "--epochs",
    type=Number(min=0, min_open=True),
    help="Passes over the texts of each share.  [default: as many as suit the texts]",
)
@click.option("--val", type=Source(), metavar="FILE", help="Labelled texts to validate on.")
@shape_options
@training_options
@table_options
@json_option
def curve(
    data: str | None,
    minutes: float | None,
    epochs: float | None,
    val: str | None,
    cell: str,
    layers: int,
    bidirectional: bool,
    options: TrainingOptions,
    as_json: bool,
    **table_settings: Any,
) -> None:
    """Trains a classifier on 10, 30 and 100 % of the training texts, and prints the scores as a table.
    It is a learning curve, and says whether more texts would help.

    Each share holds the smaller ones and has its part of every class. All are validated on the same
    held-out texts. Nothing is saved.

    \b
      chargen classify curve
      chargen classify curve reviews.csv --epochs 5

    With --json: minutes, epochs, held_out, rows (each has share, texts, steps, accuracy, macro_f1),
    more_texts_help (true, false, or null where it cannot be told).
    """
    if minutes is not None and epochs is not None:
        raise click.UsageError("give one budget: --minutes or --epochs")
    if not val and not options.val_fraction:
        raise click.UsageError(
            "there is nothing to validate on: give --val, or a --val-fraction above 0"
        )
    from chargen.experiments import SHARES, learning_curve, more_texts_help
    from chargen.rendering.describe import more_texts

    texts = read(data, table_settings)
    validation = read(val, table_settings, texts.classes) if val else None
    say(describe(texts))
    rows: list[dict[str, Any]] = []
    scores = []
    for share, (part, _, steps) in zip(
        SHARES,
        learning_curve(
            texts,
            lambda part: new_classifier(part, options, cell, layers, bidirectional, wide=True),
            validation,
            minutes=minutes,
            epochs=epochs,
            val_fraction=options.val_fraction,
            batch=options.batch,
            learning_rate=options.lr,
            balance=options.balance,
            seed=options.seed,
        ),
        strict=True,
    ):
        last = watch(steps, describe_score, "; nothing is saved")
        say(f"{share:.0%}, {len(part):,} texts: accuracy {last.score.accuracy:.1%}")
        scores.append(last.score)
        rows.append(
            {
                "share": share,
                "texts": len(part),
                "steps": last.number,
                "accuracy": last.score.accuracy,
                "macro_f1": last.score.macro_f1,
            }
        )
    held_out, helps = len(scores[-1].labels), more_texts_help(*scores[-2:])
    if as_json:
        record = {
            "minutes": minutes,
            "epochs": epochs,
            "held_out": held_out,
            "rows": rows,
            "more_texts_help": helps,
        }
        click.echo(json.dumps(record, allow_nan=False))
        return
    click.echo("share    texts    steps  accuracy  macro-F1")
    for row in rows:
        click.echo(
            f"{row['share']:5.0%}  {row['texts']:7,}  {row['steps']:7,}  {row['accuracy']:8.1%}  "
            f"{row['macro_f1']:8.3f}"
        )
    gain = scores[-1].accuracy - scores[-2].accuracy
    click.echo(more_texts(helps, held_out, SHARES[-2], gain))
