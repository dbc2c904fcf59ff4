"""`chargen classify compare`: cells, depths and directions side by side."""

from __future__ import annotations

import json
from typing import Any

import click

from chargen.cli.classify.data_options import describe, read, table_options
from chargen.cli.classify.training_options import line, new, shape_options, train_on
from chargen.cli.options import Number, Source
from chargen.cli.progress_bar import watch
from chargen.cli.terminal import say


class Several(click.ParamType):  # type: ignore[type-arg]
    """Values separated by commas, each one of a kind."""

    name = "list"

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, list):
            return value
        return [self._kind.convert(part.strip(), param, ctx) for part in value.split(",")]


@click.command(short_help="Compare cells, depths and directions.")
@click.argument("data", required=False, type=Source())
@click.option(
    "--cells",
    type=Several(click.Choice(["rnn", "gru", "lstm"])),
    default="rnn,gru,lstm",
    help="Which.",
)
@click.option(
    "--bidirectional", type=click.Choice(["no", "yes", "both"]), default="both", help="Directions."
)
@click.option("--layers", type=Several(click.IntRange(1, 100)), default="1,2", help="Depths.")
@click.option("--minutes", type=Number(min=0, min_open=True), default=0.5, help="For each of them.")
@click.option("--val", type=Source(), metavar="FILE", help="Labelled texts to measure by.")
@shape_options
@table_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def compare(
    data: str | None,
    cells: list[str],
    bidirectional: str,
    layers: list[int],
    minutes: float,
    val: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Trains each shape on the same texts for the same time, and prints what came out as a table.

    Those that read in one direction also learn to read while they learn to judge; a bidirectional one
    sees each next character beforehand, so it learns to judge alone.

    \b
      chargen classify compare
      chargen classify compare ag_news.csv --cells rnn,lstm --layers 2 --minutes 2

    With --json: minutes, rows; each has cell, layers, bidirectional, parameters,
    characters_per_second, steps, accuracy, macro_f1.
    """
    texts = read(data, options)
    apart = read(val, options) if val else None
    say(describe(texts))
    directions = {"no": [False], "yes": [True], "both": [False, True]}[bidirectional]
    rows: list[dict[str, Any]] = []
    for cell in cells:
        for depth in layers:
            for both in directions:
                name = f"{'bidirectional ' if both else ''}{cell} {depth} × {options['hidden']}"
                shape = {"cell": cell, "layers": depth, "bidirectional": both}
                reader = new(texts, None, [], options | shape)
                steps = train_on(reader, texts, apart, {"minutes": minutes}, options)
                last = watch(steps, line, "; nothing is saved")
                say(f"{name}: accuracy {last.score.accuracy:.1%}")
                rows.append(
                    {
                        "cell": cell,
                        "layers": depth,
                        "bidirectional": both,
                        "parameters": reader.model.config.parameters,
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
