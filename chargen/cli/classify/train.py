"""`chargen classify train`: learns from labelled texts."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.classify.data_options import describe, read, table_options
from chargen.cli.classify.report import measures, table
from chargen.cli.classify.training_options import line, new, shape_options, train_on
from chargen.cli.options import Number, Source, was_given
from chargen.cli.progress_bar import format_seconds, watch
from chargen.cli.terminal import say

if TYPE_CHECKING:
    from chargen.evaluation.classes import ClassScore

BUILTIN_MINUTES, MINUTES = 0.6, 5.0


@click.command(short_help="Learn from labelled texts.")
@click.argument("data", required=False, type=Source())
@click.option(
    "-o", "--out", metavar="DIR", help="Where the classifier is written.  [default: checkpoints/NAME]"
)
@click.option("--overwrite", is_flag=True, help="Replace the model in the folder of --out.")
@click.option("--minutes", type=Number(min=0, min_open=True), help="Budget of time.  [default: 5]")
@click.option("--epochs", type=Number(min=0, min_open=True), help="Or of passes over the texts.")
@click.option("--steps", type=click.IntRange(1), help="Or of optimiser steps.")
@click.option("--val", type=Source(), metavar="FILE", help="Labelled texts to measure by.")
@click.option(
    "--from",
    "generator",
    metavar="DIR",
    help="Begin with the tokenizer and the stack of a generator that `chargen train` made.",
)
@click.option(
    "--stack-share",
    type=Number(min=0, max=1, min_open=True),
    default=1.0,
    help="Of the learning rate, for the stack; less where it comes from a generator and should change "
    "slowly.",
)
@click.option(
    "--cell", type=click.Choice(["lstm", "gru", "rnn"]), default="lstm", help="Of the stack."
)
@click.option("--layers", type=click.IntRange(1, 100), default=2, help="Depth of the stack.")
@click.option("--bidirectional", is_flag=True, help="Read every text in both directions.")
@shape_options
@table_options
@click.option("--json", "as_json", is_flag=True, help="At the end, print one JSON object.")
@click.pass_context
def train(
    context: click.Context,
    /,
    data: str | None,
    out: str | None,
    overwrite: bool,
    minutes: float | None,
    epochs: float | None,
    steps: int | None,
    val: str | None,
    generator: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Learns from DATA: a CSV, TSV or JSON Lines file, or a folder (a sub-folder or file per class).

    Without DATA, learns to tell languages apart from short sentences that come with chargen. While it
    learns to judge, it also learns to read (to predict each next character), which is what makes a
    few thousand texts enough.

    \b
      chargen classify train
      chargen classify train ag_news.csv --minutes 5
      chargen classify train names/ --balance
      chargen classify train reviews.jsonl --text review --label stars --from checkpoints/reviews

    With --json: checkpoint, parameters, steps, seconds, accuracy, macro_f1, calibration_error,
    classes, per_class, confusion, seed.
    """
    budget: dict[str, Any] = {"minutes": minutes, "epochs": epochs, "steps": steps}
    if sum(value is not None for value in budget.values()) > 1:
        raise click.UsageError("give one budget: --minutes, --epochs or --steps")
    if all(value is None for value in budget.values()):
        budget["minutes"] = MINUTES if data else BUILTIN_MINUTES
    folder = _folder(out, data, overwrite)

    from chargen.storage.lock import claimed

    with claimed(folder):
        texts = read(data, options)
        apart = read(val, options) if val else None
        say(describe(texts))
        given = [name for name in options if was_given(context, name)]
        reader = new(texts, generator, given, options)
        config = reader.model.config
        both = "bidirectional " if config.bidirectional else ""
        say(
            f"model    {both}{config.cell} {config.num_layers} × {config.hidden_size}, "
            f"{config.pooling} pooling, {config.parameters / 1e6:.2f} M parameters"
        )
        kept = f"; the best classifier so far is in {folder}"
        training = reader.keep(train_on(reader, texts, apart, budget, options), folder)
        if longest := reader.record["training"]["longest"]:
            unit = "characters" if reader.tokenizer.kind == "char" else "tokens"
            say(
                f"note: of each text {longest:,} {unit} are shown at a time, each time others, so "
                "that the budget is enough for all texts several times"
            )
        last = watch(training, line, kept)
    score: ClassScore | None = last.score
    if score:
        say(
            f"done     accuracy {score.accuracy:.1%}, macro-F1 {score.macro_f1:.3f}, on "
            f"{len(score.labels):,} texts it never saw; best at step {last.best_step:,} of "
            f"{last.number:,}, in {format_seconds(last.seconds)}"
        )
        say(table(score))
    else:
        say(f"done     {last.number:,} steps in {format_seconds(last.seconds)}, without validation")
    say(f"model    {folder}\npredict  chargen classify predict -m {shlex.quote(str(folder))} …")
    if as_json:
        record = {
            "checkpoint": str(folder),
            "parameters": config.parameters,
            "steps": last.number,
            "seconds": round(last.seconds, 2),
            "seed": options["seed"],
            **(measures(score) if score else {"accuracy": None, "macro_f1": None}),
        }
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))


def _folder(out: str | None, data: str | None, overwrite: bool) -> Path:
    from chargen.cli.output_folder import free_folder
    from chargen.data.text import name_of

    return free_folder(out, name_of([data or "languages"]), overwrite, "")
