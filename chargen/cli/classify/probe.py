"""`chargen classify probe`: what the state of a generator knows."""

from __future__ import annotations

import json
from typing import Any

import click

from chargen.cli.classify.data_options import read, table_options
from chargen.cli.models import load_model
from chargen.cli.options import Number, Source


@click.command(short_help="What the state of a generator knows.")
@click.argument("data", required=False, type=Source())
@click.option("-m", "--model", metavar="DIR", help="The generator.  [default: the newest]")
@click.option("--val", type=Source(), metavar="FILE", help="Labelled texts to measure by.")
@click.option(
    "--val-fraction", type=Number(min=0, max=0.9, min_open=True), default=0.1, help="Kept apart."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of what is kept apart.")
@table_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def probe(
    data: str | None,
    model: str | None,
    val: str | None,
    val_fraction: float,
    seed: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Asks the frozen final state of a generator for labels that it was never told.

    A linear probe learns from all components of the state; and the one that tells the classes apart
    best alone is named.

    \b
      chargen classify probe reviews.csv -m checkpoints/reviews

    With --json: accuracy, macro_f1, largest_class, component (layer, kind, place,
    accuracy, means).
    """
    from chargen.data.batches import encode_labelled
    from chargen.inspection.probe import probe as ask

    texts = read(data, options)
    writer = load_model(model)
    first, second = texts.split(val_fraction, seed) if val is None else (texts, read(val, options))
    classes = first.classes
    parts = [encode_labelled(part, writer.tokenizer, classes) for part in (first, second)]
    score, alone = ask(writer.model, parts[0], parts[1], classes)
    largest = max(first.counts().values()) / len(first)
    if as_json:
        component = {
            "layer": alone.component.layer,
            "kind": alone.component.kind,
            "place": alone.component.index,
            "accuracy": alone.score.accuracy,
            "means": dict(zip(classes, alone.means, strict=True)),
        }
        record = {
            "accuracy": score.accuracy,
            "macro_f1": score.macro_f1,
            "largest_class": largest,
            "component": component,
        }
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
        return
    order = sorted(zip(alone.means, classes, strict=True))
    best = alone.component
    click.echo(
        f"all of the state    accuracy {score.accuracy:.1%}, macro-F1 {score.macro_f1:.3f} "
        f"(always the largest class: {largest:.1%})\n"
        f"one component       {best.kind} {best.index} of layer {best.layer}: accuracy "
        f"{alone.score.accuracy:.1%}; it is lowest at {order[0][1]} ({order[0][0]:+.2f}) and "
        f"highest at {order[-1][1]} ({order[-1][0]:+.2f} standard deviations)"
    )
