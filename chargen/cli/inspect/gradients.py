"""`chargen inspect gradients`: how far back models can learn from, and remember."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.classify.compare import Several
from chargen.cli.options import Number, Source
from chargen.cli.progress_bar import watch
from chargen.cli.terminal import say

if TYPE_CHECKING:
    from chargen.inspection.gradients import GradientReach
    from chargen.training.loop import Step

SHOWN = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # characters back
COMPARED = 50  # characters back, at which cells are compared in words
LONGEST = 1 << 20  # characters of the text that are measured on


@click.command(short_help="How far back rnn, gru and lstm can learn from.")
@click.argument("corpus", nargs=-1, type=Source())
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="DIR",
    help="Measure this model instead of training some; repeatable.",
)
@click.option(
    "--cells",
    type=Several(click.Choice(["rnn", "gru", "lstm"])),
    default="rnn,gru,lstm",
    help="Which to train.",
)
@click.option("--minutes", type=Number(min=0, min_open=True), default=0.5, help="For each of them.")
@click.option("--hidden", type=click.IntRange(1), default=128, help="Hidden size of each.")
@click.option("--layers", type=click.IntRange(1, 100), default=1, help="Depth of each.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of all randomness.")
@click.option("--farthest", type=click.IntRange(1, 10_000), default=200, help="Characters back.")
@click.option("--encoding", default="utf-8", help="Of the corpus.")
@click.option("--plot", metavar="FILE", help="Draw it, too (png, svg, pdf).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def gradients(
    corpus: tuple[str, ...],
    models: tuple[str, ...],
    cells: list[str],
    minutes: float,
    hidden: int,
    layers: int,
    seed: int,
    farthest: int,
    encoding: str,
    plot: str | None,
    as_json: bool,
) -> None:
    """Measures how far back a model can learn from: the norm of the gradient of the loss at a
    character with respect to the embedding of the character k places before it.

    And how far back it remembers: how much its prediction changes when the character k places back is
    another one. Trains an rnn, a gru and an lstm for the same short time on CORPUS (by default
    python-docs), or takes models that are there.

    \b
      chargen inspect gradients --plot vanishing.png
      chargen inspect gradients shakespeare.txt --cells rnn,lstm --minutes 2
      chargen inspect gradients novel.txt -m checkpoints/novel -m checkpoints/novel-2

    With --json: models; each has name, val_bits_per_character, gradient (a number for each distance
    from 1), distances and change.
    """
    from chargen.data.text import Text

    text = Text.open(corpus or ("python-docs",), encoding)
    found: dict[str, tuple[float | None, GradientReach]] = {}
    if models:
        found = _given(models, text, farthest, seed)
    else:
        found = _trained(cells, text, farthest, seed, minutes, hidden, layers)
    if plot:
        from chargen.rendering import plots as pictures

        pictures.reaches(plot, {name: reach for name, (_, reach) in found.items()})
        say(f"written: {plot}")
    if as_json:
        rows = [
            {
                "name": name,
                "val_bits_per_character": bits,
                "gradient": reach.gradient.tolist(),
                "distances": reach.distances,
                "change": reach.change.tolist(),
            }
            for name, (bits, reach) in found.items()
        ]
        click.echo(json.dumps({"models": rows}, allow_nan=False))
        return
    _table({name: reach for name, (_, reach) in found.items()}, farthest)


def _given(
    models: tuple[str, ...], text: Any, farthest: int, seed: int
) -> dict[str, tuple[float | None, GradientReach]]:
    from chargen.generator import TextGenerator

    some = "".join(text.pieces())[:LONGEST]
    found: dict[str, tuple[float | None, GradientReach]] = {}
    for folder in models:
        writer = TextGenerator.load(folder)
        known, notes = writer.tokenizer.adapt(some, skip=True)
        if notes:
            say(f"note: {folder} does not know {len(notes):,} characters of {text.name}: adapted")
        bits = writer.record.get("scores", {}).get("val_bits_per_character")
        found[folder] = bits, writer.reach(known, farthest, seed)
    return found


def _trained(
    cells: list[str], text: Any, farthest: int, seed: int, minutes: float, hidden: int, layers: int
) -> dict[str, tuple[float | None, GradientReach]]:
    from chargen.data.corpus import prepare
    from chargen.generator import TextGenerator
    from chargen.inspection.gradients import reach
    from chargen.model import LanguageModel, ModelConfig

    corpus = prepare(text)
    say(f"corpus   {corpus.name}: {len(corpus.training):,} characters to learn from")
    found: dict[str, tuple[float | None, GradientReach]] = {}
    for cell in cells:
        config = ModelConfig(len(corpus.tokenizer), cell, layers, hidden)
        say(f"model    {cell} {layers} × {hidden}, {config.parameters:,} parameters")
        writer = TextGenerator(LanguageModel.new(config, seed), corpus.tokenizer)
        steps = writer.train(corpus, minutes=minutes, seed=seed)
        last = watch(steps, _line, "; nothing is saved")
        found[cell] = (
            last.val_bits_per_character,
            reach(writer.model, corpus.validation, farthest, seed),
        )
    return found


def _line(step: Step) -> tuple[str, str]:
    return f"{step.val_bits_per_character:.3f} bits per character", ""


def _table(found: dict[str, GradientReach], farthest: int) -> None:
    names = [name.rpartition("/")[2] for name in found]
    width = max(10, *map(len, names)) + 2
    click.echo("norm of the gradient of the loss, so many characters back")
    click.echo("back" + "".join(name.rjust(width) for name in names))
    for distance in [d for d in SHOWN if d <= farthest]:
        cells = [f"{reach.gradient[distance - 1]:.2g}".rjust(width) for reach in found.values()]
        click.echo(f"{distance:4}" + "".join(cells))
    click.echo("\nbits by which another character there changes the prediction")
    click.echo("back" + "".join(name.rjust(width) for name in names))
    first = next(iter(found.values()))
    for row, distance in enumerate(first.distances):
        cells = [f"{reach.change[row]:.2g}".rjust(width) for reach in found.values()]
        click.echo(f"{distance:4}" + "".join(cells))
    if farthest >= COMPARED and len(found) > 1:
        at = {
            name: reach.gradient[COMPARED - 1]
            for name, reach in zip(names, found.values(), strict=True)
        }
        most, least = max(at, key=at.__getitem__), min(at, key=at.__getitem__)
        if at[least] > 0:
            click.echo(
                f"\nat {COMPARED} characters back, the gradient of {most} is "
                f"{at[most] / at[least]:,.3g} times that of {least}"
            )
