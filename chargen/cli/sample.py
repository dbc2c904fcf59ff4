"""`chargen sample`: writes text."""

from __future__ import annotations

import json
import secrets
import sys
import time
from typing import IO, Any

import click

from chargen.cli import Number, load_model, model_option, read_text, say, shown


@click.command(short_help="Write text, streamed as it is drawn.")
@model_option
@click.option("-p", "--prompt", default="", metavar="TEXT", help="What the text begins with.")
@click.option(
    "--prompt-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Read the prompt from a file; - is standard input. A last newline is dropped.",
)
@click.option(
    "-n", "--length", type=click.IntRange(0), default=500, help="Characters of new text, at most."
)
@click.option(
    "--temperature",
    type=Number(min=0),
    default=0.8,
    help="0 always takes the likeliest character, below 1 is safer, above 1 wilder.",
)
@click.option("--top-k", type=click.IntRange(1), help="Draw among the k likeliest only.")
@click.option(
    "--top-p",
    type=Number(min=0, max=1, min_open=True),
    help="Draw among the fewest likeliest whose probabilities add up to p.",
)
@click.option(
    "--min-p",
    type=Number(min=0, max=1),
    help="Draw among those at least this likely, relative to the likeliest.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="The same seed writes the same text.  [default: drawn and shown]",
)
@click.option("--num", type=click.IntRange(1, 10_000), default=1, help="How many texts.")
@click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; repeatable.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "skip"]),
    default="error",
    help="What happens to a character of the prompt that the model has never seen, and whose "
    'relatives (é: e, “: ") it has not seen either.',
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def sample(
    model: str | None,
    prompt: str,
    prompt_file: IO[bytes] | None,
    seed: int | None,
    num: int,
    unknown: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Writes text that begins with a prompt, and streams it to stdout as it is drawn.

    A model of documents (trained with --split-on) ends where a document ends; with --num, several
    texts are written side by side, one after the other on the screen.

    \b
      chargen sample --prompt "The function "
      chargen sample -m checkpoints/shakespeare -p "ROMEO:" --temperature 0.7 --seed 7
      chargen sample -m checkpoints/names --num 20
      echo "def read(self" | chargen sample --prompt-file - --stop "def "

    With --json: model, prompt, seed, samples.
    """
    if prompt_file is not None:
        if prompt:
            raise click.UsageError("give --prompt or --prompt-file, not both")
        prompt = read_text(prompt_file, "the prompt")
    writer = load_model(model)
    prompt, notes = writer.tokenizer.adapt(prompt, skip=unknown == "skip")
    for note in notes:
        say(f"note: {note}")
    if seed is None:
        seed = secrets.randbits(32)
        say(f"seed: {seed}")
    options["seed"] = seed

    if as_json:
        texts = writer.generate_many(prompt, num=num, **options)
        record = {"model": str(model or ""), "prompt": prompt, "seed": seed, "samples": texts}
        click.echo(json.dumps(record, ensure_ascii=False))
    elif num > 1:
        documents = writer.tokenizer.end_id is not None
        for text in writer.generate_many(prompt, num=num, **options):
            click.echo(shown(text, sys.stdout) + ("" if documents else "\n"))
    else:
        flushed = time.monotonic()
        for piece in writer.stream(prompt, **options):
            sys.stdout.write(shown(piece, sys.stdout))
            if time.monotonic() - flushed > 0.02:  # a flush takes longer than a character
                sys.stdout.flush()
                flushed = time.monotonic()
        click.echo()
