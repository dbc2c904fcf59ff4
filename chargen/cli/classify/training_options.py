"""What is learned with: the options of a classifier, a new one, and its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import Number

if TYPE_CHECKING:
    from chargen.classifier import TextClassifier
    from chargen.data.labelled import Labelled
    from chargen.evaluation.classes import ClassScore
    from chargen.training.loop import Step

# What a generator settles for the classifier that begins with it.
_SETTLED = ("tokenizer", "vocab_size", "cell", "layers", "hidden", "embedding", "bidirectional")


def shape_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What is learned with, the same for every command that trains."""
    for option in (
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda", "mps"]),
            default="auto",
            help="Where to train.",
        ),
        click.option(
            "--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of all randomness."
        ),
        click.option("--lr", type=Number(min=0, min_open=True), default=4e-3, help="At its highest."),
        click.option("--batch", type=click.IntRange(1), default=16, help="Texts per step."),
        click.option(
            "--max-length", type=click.IntRange(1), default=1000, help="Ids of a text that are read."
        ),
        click.option(
            "--pooling",
            type=click.Choice(["last", "mean", "max", "attention"]),
            default="mean",
            help="What of a text goes into the head: its last state, the mean or the largest of all, "
            "or what attention picks.",
        ),
        click.option(
            "--dropout",
            type=Number(min=0, max=0.95),
            help="Between layers.  [default: 0.3, and 0.2 with --from]",
        ),
        click.option("--embedding", type=click.IntRange(1), default=64, help="Numbers per id."),
        click.option("--hidden", type=click.IntRange(1), default=192, help="Hidden size."),
        click.option(
            "--vocab-size", type=click.IntRange(300, 60_000), default=1024, help="Of pieces."
        ),
        click.option(
            "--tokenizer",
            type=click.Choice(["char", "byte", "bpe", "unigram"]),
            default="char",
            help="What an id stands for.",
        ),
        click.option("--balance", is_flag=True, help="Let small classes weigh as much as large ones."),
        click.option(
            "--val-fraction",
            type=Number(min=0, max=0.9),
            default=0.1,
            help="Of every class, kept apart to measure by.",
        ),
    ):
        command = option(command)
    return command


def new(
    data: Labelled, generator: str | None, given: list[str], options: dict[str, Any]
) -> TextClassifier:
    """A fresh one, or one that begins with a generator, of which `given` names what it settles."""
    from chargen.classifier import TextClassifier
    from chargen.device import find_device
    from chargen.generator import TextGenerator

    place = find_device(options["device"])
    same = {name: options[name] for name in ("pooling", "max_length", "seed")}
    if options["dropout"] is not None:
        same["dropout"] = options["dropout"]
    if generator is None:
        reader = TextClassifier.new(
            data,
            tokenizer=options["tokenizer"],
            vocab_size=options["vocab_size"],
            cell=options["cell"],
            num_layers=options["layers"],
            hidden_size=options["hidden"],
            embedding_size=options["embedding"],
            bidirectional=options["bidirectional"],
            **same,
        )
        reader.model.to(place)
        return reader
    for name in _SETTLED:
        if name in given:
            raise click.UsageError(
                f"--{name.replace('_', '-')} comes from the generator of --from; leave it out"
            )
    reader = TextClassifier.from_generator(TextGenerator.load(generator), data, **same)
    reader.model.to(place)
    return reader


def train_on(
    reader: TextClassifier,
    data: Labelled,
    validation: Labelled | None,
    budget: dict[str, Any],
    options: dict[str, Any],
) -> Iterator[Step]:
    """Its training, as the options want it."""
    return reader.train(
        data,
        validation,
        **budget,
        val_fraction=options["val_fraction"],
        batch=options["batch"],
        learning_rate=options["lr"],
        balance=options["balance"],
        stack_share=options.get("stack_share", 1.0),
        seed=options["seed"],
    )


def line(step: Step) -> tuple[str, str]:
    """What is said of an evaluation on the way."""
    score: ClassScore = step.score
    return f"accuracy {score.accuracy:.1%}", f"macro-F1 {score.macro_f1:.3f}, {score.nats:.3f} nats"
