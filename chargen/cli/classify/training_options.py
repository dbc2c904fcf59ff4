"""The options of the commands that train classifiers, and the classifier that they describe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import Number, device_option, seed_option, tokenizer_option, vocab_size_option
from chargen.cli.terminal import say_notes

if TYPE_CHECKING:
    import torch

    from chargen.classifier import TextClassifier
    from chargen.data.labelled import Labelled
    from chargen.evaluation.classes import ClassScore
    from chargen.training.loop import Step

DROPOUT, GENERATOR_DROPOUT = 0.3, 0.2  # of a fresh stack, and of one that has been trained before


@dataclass(frozen=True)
class TrainingOptions:
    """The values of the options that `training_options` adds, by the names of the options."""

    val_fraction: float
    balance: bool
    tokenizer: str
    vocab_size: int
    hidden: int
    embedding: int
    dropout: float | None  # None for the default, which depends on --from
    pooling: str
    max_length: int
    batch: int
    lr: float
    seed: int
    device: str


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that all training commands share; the command gets them as `options`."""

    @wraps(command)
    def gathered(*args: Any, **params: Any) -> Any:
        values = {field.name: params.pop(field.name) for field in fields(TrainingOptions)}
        return command(*args, options=TrainingOptions(**values), **params)

    decorated: Callable[..., Any] = gathered
    for option in (
        device_option,
        seed_option(),
        click.option(
            "--lr", type=Number(min=0, min_open=True), default=4e-3, help="Peak learning rate."
        ),
        click.option("--batch", type=click.IntRange(1), default=16, help="Texts per step."),
        click.option(
            "--max-length",
            type=click.IntRange(1),
            default=1000,
            help="Number of tokens read of each text, from its beginning.",
        ),
        click.option(
            "--pooling",
            type=click.Choice(["last", "mean", "max", "attention"]),
            default="mean",
            help="What the head reads: the last output, the mean or the maximum of all, or a mean "
            "weighted by attention.",
        ),
        click.option(
            "--dropout",
            type=Number(min=0, max=0.95),
            help=f"Dropout between layers.  [default: {DROPOUT}, and {GENERATOR_DROPOUT} with --from]",
        ),
        click.option("--embedding", type=click.IntRange(1), default=64, help="Embedding size."),
        click.option("--hidden", type=click.IntRange(1), default=192, help="Hidden size."),
        vocab_size_option,
        tokenizer_option,
        click.option("--balance", is_flag=True, help="Give small classes more weight."),
        click.option(
            "--val-fraction",
            type=Number(min=0, max=0.9),
            default=0.1,
            help="Share of each class held out for validation.",
        ),
    ):
        decorated = option(decorated)
    return decorated


def shape_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options for the shape of one classifier."""
    for option in (
        click.option("--bidirectional", is_flag=True, help="Read every text in both directions."),
        click.option("--layers", type=click.IntRange(1, 100), default=2, help="Number of layers."),
        click.option(
            "--cell",
            type=click.Choice(["lstm", "gru", "rnn"]),
            default="lstm",
            help="Recurrent cell.",
        ),
    ):
        command = option(command)
    return command


def chosen_device(options: TrainingOptions) -> torch.device:
    """Returns the device of the options, and says where it is not the one that was expected."""
    from chargen.device import device_notes, find_device

    say_notes(device_notes(options.device))
    return find_device(options.device)


def new_classifier(
    data: Labelled,
    options: TrainingOptions,
    cell: str,
    num_layers: int,
    bidirectional: bool,
    wide: bool = False,
) -> TextClassifier:
    """Returns an untrained classifier, on the device of the options."""
    from chargen.classifier import TextClassifier

    device = chosen_device(options)
    reader = TextClassifier.new(
        data,
        tokenizer=options.tokenizer,
        vocab_size=options.vocab_size,
        cell=cell,
        num_layers=num_layers,
        hidden_size=options.hidden,
        embedding_size=options.embedding,
        dropout=DROPOUT if options.dropout is None else options.dropout,
        bidirectional=bidirectional,
        pooling=options.pooling,
        max_length=options.max_length,
        wide=wide,
        seed=options.seed,
    )
    reader.model.to(device)
    return reader


def describe_score(step: Step) -> tuple[str, str]:
    """Returns the two texts that `watch` prints for an evaluation."""
    score: ClassScore = step.score
    return f"accuracy {score.accuracy:.1%}", f"macro-F1 {score.macro_f1:.3f}, {score.nats:.3f} nats"
