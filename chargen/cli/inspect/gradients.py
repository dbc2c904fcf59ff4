"""`chargen inspect gradients`: how far back models learn from, and how far back they remember."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from chargen.cli.options import Number, Several, Source, encoding_option, json_option, seed_option
from chargen.cli.progress_bar import watch
from chargen.cli.terminal import say

if TYPE_CHECKING:
    from chargen.data.text import Text
    from chargen.inspection.gradients import GradientReach
    from chargen.training.loop import Step

    Result = tuple[float | None, GradientReach]  # validation score in bits per character, reach

SHOWN = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # characters back, rows of the table
COMPARED = 50  # characters back; the distance at which the gradients are compared in words
LONGEST = 1 << 20  # characters of the text that are measured on


@click.command
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
    help="Recurrent cells to train.",
)
@click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    default=0.5,
    help="Minutes of training for each model.",
)
@click.option("--hidden", type=click.IntRange(1), default=128, help="Hidden size of each model.")
@click.option("--layers", type=click.IntRange(1, 100), default=1, help="Layers of each model.")
@seed_option()
@click.option(
    "--farthest",
    type=click.IntRange(1, 10_000),
    default=200,
    help="The largest distance measured, in characters back.",
)
@encoding_option
@click.option("--plot", metavar="FILE", help="Write a plot, too (png, svg, pdf).")
@json_option
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
    character with respect to the embedding of the character that stands k characters earlier.

    It also measures how far back the model remembers: how much its prediction changes when that
    earlier character is replaced. Trains an rnn, a gru and an lstm for the same short time on CORPUS
    (by default python-docs), or measures models that were trained before.

    \b
      chargen inspect gradients --plot vanishing.png
      chargen inspect gradients shakespeare.txt --cells rnn,lstm --minutes 2
      chargen inspect gradients novel.txt -m checkpoints/novel -m checkpoints/novel-2

    With --json: models; each has name, val_bits_per_character, gradient (a number for each distance
    from 1), distances and change.
    """
    from chargen.data.text import BUILTIN, Text

    text = Text.open(corpus or (BUILTIN,), encoding)
    if models:
        results = _measure_models(models, text, farthest, seed)
    else:
        results = _train_and_measure(cells, text, farthest, seed, minutes, hidden, layers)
    reaches = {name: measured for name, (_, measured) in results.items()}
    if plot:
        from chargen.rendering import plots

        plots.plot_gradients(plot, reaches)
        say(f"written: {plot}")
    if as_json:
        rows = [
            {
                "name": name,
                "val_bits_per_character": bits,
                "gradient": measured.gradient.tolist(),
                "distances": measured.distances,
                "change": measured.change.tolist(),
            }
            for name, (bits, measured) in results.items()
        ]
        click.echo(json.dumps({"models": rows}, allow_nan=False))
        return
    _print_tables(reaches, farthest)


def _measure_models(
    folders: tuple[str, ...], text: Text, farthest: int, seed: int
) -> dict[str, Result]:
    """Returns for each folder the score that its model was saved with, and its reach on `text`."""
    from chargen.generator import TextGenerator

    beginning = "".join(text.pieces())[:LONGEST]
    results: dict[str, Result] = {}
    for folder in folders:
        writer = TextGenerator.load(folder)
        known, notes = writer.adapt(beginning, skip=True)
        if notes:
            say(f"note: {folder} does not know {len(notes):,} characters of {text.name}: adapted")
        bits = writer.record.scores.get("val_bits_per_character")
        results[folder] = bits, writer.gradients(known, farthest, seed)
    return results


def _train_and_measure(
    cells: list[str], text: Text, farthest: int, seed: int, minutes: float, hidden: int, layers: int
) -> dict[str, Result]:
    """Trains a model of each cell on `text`, and returns its score and its reach on what follows."""
    from chargen.data.corpus import prepare
    from chargen.experiments import compare_generators
    from chargen.inspection import gradients as inspection
    from chargen.shapes import ModelConfig

    corpus = prepare(text)
    say(f"corpus   {corpus.name}: {len(corpus.training):,} characters to train on")
    shapes = {cell: ModelConfig(len(corpus.tokenizer), cell, layers, hidden) for cell in cells}
    results: dict[str, Result] = {}
    for cell, writer, steps in compare_generators(corpus, shapes, minutes=minutes, seed=seed):
        say(f"model    {cell} {layers} × {hidden}, {writer.model.config.parameters:,} parameters")
        last = watch(steps, _describe_score, "; nothing is saved")
        results[cell] = (
            last.val_bits_per_character,
            inspection.gradients(writer.model, corpus.validation, farthest, seed),
        )
    return results


def _describe_score(step: Step) -> tuple[str, str]:
    return f"{step.val_bits_per_character:.3f} bits per character", ""


def _print_tables(reaches: dict[str, GradientReach], farthest: int) -> None:
    names = [name.rpartition("/")[2] for name in reaches]
    width = max(10, *map(len, names)) + 2
    header = "back" + "".join(name.rjust(width) for name in names)
    click.echo("norm of the gradient of the loss, by the number of characters back")
    click.echo(header)
    for distance in [distance for distance in SHOWN if distance <= farthest]:
        row = [f"{measured.gradient[distance - 1]:.2g}".rjust(width) for measured in reaches.values()]
        click.echo(f"{distance:4}" + "".join(row))
    click.echo("\nbits by which another character there changes the prediction")
    click.echo(header)
    first = next(iter(reaches.values()))
    for index, distance in enumerate(first.distances):
        row = [f"{measured.change[index]:.2g}".rjust(width) for measured in reaches.values()]
        click.echo(f"{distance:4}" + "".join(row))
    if farthest >= COMPARED and len(reaches) > 1:
        norms = {
            name: measured.gradient[COMPARED - 1]
            for name, measured in zip(names, reaches.values(), strict=True)
        }
        largest, smallest = max(norms, key=norms.__getitem__), min(norms, key=norms.__getitem__)
        if norms[smallest] > 0:
            click.echo(
                f"\nat {COMPARED} characters back, the gradient of {largest} is "
                f"{norms[largest] / norms[smallest]:,.3g} times that of {smallest}"
            )
