"""`chargen classify probe`: measures what the state of a generator knows about a text."""

from __future__ import annotations

import json
from typing import Any

import click

from chargen.cli.classify.data_options import read, table_options
from chargen.cli.classify.report import label_text
from chargen.cli.models import load_model
from chargen.cli.options import Number, Source, json_option, model_option, seed_option
from chargen.cli.terminal import say_notes


@click.command
@click.argument("data", required=False, type=Source())
@model_option()
@click.option("--val", type=Source(), metavar="FILE", help="Labelled texts to validate on.")
@click.option(
    "--val-fraction",
    type=Number(min=0, max=0.9, min_open=True),
    default=0.1,
    help="Share of each class held out for validation, where there is no --val.",
)
@seed_option("Seed for the choice of the texts to validate on.")
@table_options
@json_option
def probe(
    data: str | None,
    model: str | None,
    val: str | None,
    val_fraction: float,
    seed: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Predicts labels from the final state of a generator that was never trained on them.

    A linear probe learns from all components of the state, while the generator stays frozen. The
    single component that separates the classes best is shown, too.

    \b
      chargen classify probe reviews.csv -m checkpoints/reviews

    With --json: accuracy, macro_f1, largest_class, component (layer, kind, place,
    accuracy, means).
    """
    from chargen.data.batches import MAX_LENGTH
    from chargen.data.encoding import encode_labelled
    from chargen.inspection import probe as probing

    texts = read(data, options)
    writer = load_model(model)
    training, validation = (
        texts.split(val_fraction, seed) if val is None else (texts, read(val, options, texts.classes))
    )
    classes = training.classes
    say_notes(validation.check_labels(classes))
    encoded = [encode_labelled(part, writer.tokenizer, classes) for part in (training, validation)]
    say_notes((encoded[0].coverage + encoded[1].coverage).notes(f"{MAX_LENGTH:,} tokens"))
    score, best = probing.probe(writer.model, encoded[0], encoded[1], classes)
    largest = max(training.counts().values()) / len(training)
    if as_json:
        record = {
            "accuracy": score.accuracy,
            "macro_f1": score.macro_f1,
            "largest_class": largest,
            "component": {
                "layer": best.component.layer,
                "kind": best.component.kind,
                "place": best.component.index,
                "accuracy": best.score.accuracy,
                "means": dict(zip(classes, best.means, strict=True)),
            },
        }
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
        return
    order = sorted(zip(best.means, map(label_text, classes), strict=True))
    component = best.component
    click.echo(
        f"all of the state    accuracy {score.accuracy:.1%}, macro-F1 {score.macro_f1:.3f} "
        f"(always the largest class: {largest:.1%})\n"
        f"one component       {component.kind} {component.index} of layer {component.layer}: "
        f"accuracy {best.score.accuracy:.1%}; it is lowest for {order[0][1]} ({order[0][0]:+.2f}) and "
        f"highest for {order[-1][1]} ({order[-1][0]:+.2f} standard deviations)"
    )
