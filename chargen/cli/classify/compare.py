"""`chargen classify compare`: trains cells, depths and directions on the same texts."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import click

from chargen.cli.classify.data_options import describe, read, table_options
from chargen.cli.classify.training_options import (
    TrainingOptions,
    describe_score,
    new_classifier,
    training_options,
)
from chargen.cli.options import Number, Several, Source, json_option
from chargen.cli.progress_bar import watch
from chargen.cli.terminal import say


@click.command
@click.argument("data", required=False, type=Source())
@click.option(
    "--cells",
    type=Several(click.Choice(["rnn", "gru", "lstm"])),
    default="rnn,gru,lstm",
    help="Recurrent cells.",
)
@click.option(
    "--bidirectional",
    type=click.Choice(["no", "yes", "both"]),
    default="both",
    help="Whether texts are read in both directions.",
)
@click.option(
    "--layers", type=Several(click.IntRange(1, 100)), default="1,2", help="Numbers of layers."
)
@click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    default=0.5,
    help="Minutes of training for each classifier.",
)
@click.option("--val", type=Source(), metavar="FILE", help="Labelled texts to validate on.")
@training_options
@table_options
@json_option
def compare(
    data: str | None,
    cells: list[str],
    bidirectional: str,
    layers: list[int],
    minutes: float,
    val: str | None,
    options: TrainingOptions,
    as_json: bool,
    **table_settings: Any,
) -> None:
    """Trains a classifier of each shape on the same texts for the same time, and prints their scores
    as a table.

    A classifier also learns to predict each next character, a bidirectional one in both directions.

    \b
      chargen classify compare
      chargen classify compare ag_news.csv --cells rnn,lstm --layers 2 --minutes 2

    With --json: minutes, rows; each has cell, layers, bidirectional, parameters,
    characters_per_second, steps, accuracy, macro_f1.
    """
    from chargen.experiments import compare_classifiers

    texts = read(data, table_settings)
    validation = read(val, table_settings, texts.classes) if val else None
    say(describe(texts))
    directions = {"no": [False], "yes": [True], "both": [False, True]}[bidirectional]
    first = new_classifier(texts, options, cells[0], layers[0], directions[0])
    shapes = {
        f"{'bidirectional ' if both else ''}{cell} {depth} × {options.hidden}": replace(
            first.model.config, cell=cell, num_layers=depth, bidirectional=both
        )
        for cell, depth, both in product(cells, layers, directions)
    }
    rows: list[dict[str, Any]] = []
    for name, reader, steps in compare_classifiers(
        texts,
        first.tokenizer,
        shapes,
        validation,
        minutes=minutes,
        val_fraction=options.val_fraction,
        batch=options.batch,
        learning_rate=options.lr,
        balance=options.balance,
        max_length=options.max_length,
        seed=options.seed,
        device=next(first.model.parameters()).device,
    ):
        last = watch(steps, describe_score, "; nothing is saved")
        say(f"{name}: accuracy {last.score.accuracy:.1%}")
        config = reader.model.config
        rows.append(
            {
                "cell": config.cell,
                "layers": config.num_layers,
                "bidirectional": config.bidirectional,
                "parameters": config.parameters,
                "characters_per_second": round(last.characters_per_second),
                "steps": last.number,
                "accuracy": last.score.accuracy,
                "macro_f1": last.score.macro_f1,
            }
        )
    if as_json:
        click.echo(json.dumps({"minutes": minutes, "rows": rows}, allow_nan=False))
        return
    click.echo("cell  layers  directions  parameters  characters/s  accuracy  macro-F1")
    for row in rows:
        ways = "both" if row["bidirectional"] else "forward"
        click.echo(
            f"{row['cell']:4}  {row['layers']:6}  {ways:10}  {row['parameters']:10,}  "
            f"{row['characters_per_second']:12,}  {row['accuracy']:8.1%}  {row['macro_f1']:8.3f}"
        )
