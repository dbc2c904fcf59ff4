"""`chargen eval`: scores a text under a model."""

from __future__ import annotations

import json

import click

from chargen.cli.models import load_model
from chargen.cli.options import Source, encoding_option, json_option, model_option


@click.command(name="eval")
@click.argument("file", type=Source())
@model_option()
@click.option(
    "--window",
    type=click.IntRange(1),
    help="Empty the state after each N tokens, to compare with models of a bounded context.  "
    "[default: the state is carried through the whole text]",
)
@encoding_option
@json_option
def evaluate(file: str, model: str | None, window: int | None, encoding: str, as_json: bool) -> None:
    """Measures how well a model predicts a text: FILE, or - for standard input.

    Bits per character can be compared between tokenizers, and with what xz needs for the same text.

    \b
      chargen eval held-out.txt
      chargen eval -m checkpoints/shakespeare --window 256 hamlet.txt
      tail -c 10000 corpus.txt | chargen eval - --json

    With --json: characters, nats_per_token, bits_per_character, bits_per_byte, perplexity,
    xz_bits_per_character.
    """
    from chargen.data.text import Text
    from chargen.evaluation.baselines import xz_bits

    text = Text.open([file], encoding)
    score = load_model(model).score(text, window)
    xz = xz_bits("".join(text.pieces())) / score.characters
    if as_json:
        record = {
            "characters": score.characters,
            "nats_per_token": score.nats_per_token,
            "bits_per_character": score.bits_per_character,
            "bits_per_byte": score.bits_per_byte,
            "perplexity": score.perplexity,
            "xz_bits_per_character": xz,
        }
        click.echo(json.dumps(record))
        return
    context = "the state carried" if window is None else f"an empty state every {window} tokens"
    click.echo(f"{score.bits_per_character:.3f} bits per character   (xz: {xz:.3f})")
    click.echo(f"{score.bits_per_byte:.3f} bits per byte")
    click.echo(f"{score.nats_per_token:.4f} nats per token, perplexity {score.perplexity:.2f}")
    click.echo(f"{score.characters:,} characters in {score.tokens:,} tokens, {context}")
