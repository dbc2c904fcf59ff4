"""`chargen info`: describes a model."""

from __future__ import annotations

import json

import click

from chargen.cli.models import load_model
from chargen.cli.options import model_option


@click.command
@model_option()
@click.option("--json", "as_json", is_flag=True, help="Print config.json instead, on one line.")
def info(model: str | None, as_json: bool) -> None:
    """Shows the sizes, the corpus, the scores and the settings of a model.

    \b
      chargen info
      chargen info -m checkpoints/shakespeare --json
    """
    from chargen.shapes import weight_shapes
    from chargen.storage import checkpoint

    writer = load_model(model)
    if as_json:
        click.echo(json.dumps(checkpoint.to_config(writer.config, writer.record.to_json())))
        return
    config = writer.config
    click.echo(
        f"model       {config.cell}, {config.num_layers} layers, hidden size {config.hidden_size}, "
        f"embedding {config.embedding_size}: {config.parameters:,} parameters"
    )
    click.echo(f"tokenizer   {writer.tokenizer.kind}: {writer.tokenizer.describe()}")
    for title, fields in writer.record.to_json().items():
        if isinstance(fields, dict):
            shown = (f"{k.replace('_', ' ')} {_plain(v)}" for k, v in fields.items() if v is not None)
            click.echo(f"{title:<11} {', '.join(shown)}")
    click.echo("weights")
    for name, shape in weight_shapes(config).items():
        click.echo(f"  {name:<32} {' × '.join(map(str, shape))}")


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
