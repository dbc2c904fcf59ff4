"""`chargen classify train`: trains a classifier on labelled texts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.classify.data_options import describe, read, table_options
from chargen.cli.classify.report import measures, table
from chargen.cli.classify.training_options import (
    GENERATOR_DROPOUT,
    TrainingOptions,
    chosen_device,
    describe_score,
    new_classifier,
    shape_options,
    training_options,
)
from chargen.cli.options import Number, Source, was_given
from chargen.cli.output_folder import free_folder
from chargen.cli.progress_bar import watch
from chargen.cli.terminal import say
from chargen.rendering.progress import format_seconds

if TYPE_CHECKING:
    from chargen.classifier import TextClassifier
    from chargen.data.labelled import Labelled
    from chargen.evaluation.classes import ClassScore
    from chargen.training.loop import Step

# Options that --from leaves no choice for: the generator brings its tokenizer and its stack.
_OF_GENERATOR = ("tokenizer", "vocab_size", "cell", "layers", "hidden", "embedding", "bidirectional")


@click.command
@click.argument("data", required=False, type=Source())
@click.option(
    "-o", "--out", metavar="DIR", help="Folder of the classifier.  [default: checkpoints/NAME]"
)
@click.option("--overwrite", is_flag=True, help="Replace the model that is in the folder.")
@click.option("--minutes", type=Number(min=0, min_open=True), help="Budget in minutes.")
@click.option(
    "--epochs",
    type=Number(min=0, min_open=True),
    help="Budget in passes over the texts and their crops.  [default: as many as suit the texts]",
)
@click.option("--steps", type=click.IntRange(1), help="Budget in optimiser steps.")
@click.option("--val", type=Source(), metavar="FILE", help="Labelled texts to validate on.")
@click.option(
    "--from",
    "generator",
    metavar="DIR",
    help="Start with the tokenizer and the stack of a generator that `chargen train` made.",
)
@click.option(
    "--stack-share",
    type=Number(min=0, max=1, min_open=True),
    default=1.0,
    help="Factor on the learning rate of the stack; below 1, pretrained weights change slowly.",
)
@shape_options
@click.option(
    "--wide/--no-wide",
    default=True,
    help="Whether the network adds to a linear classifier over n-grams, or is alone.",
)
@training_options
@table_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
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
    stack_share: float,
    cell: str,
    layers: int,
    bidirectional: bool,
    wide: bool,
    options: TrainingOptions,
    as_json: bool,
    **table_settings: Any,
) -> None:
    """Trains a classifier on DATA: a CSV, TSV or JSON Lines file, or a folder (a sub-folder or file
    per class).

    Without DATA, it learns to tell languages apart, from short sentences that come with chargen. First
    a linear classifier over n-grams is fitted. The recurrent network learns what that leaves, and
    beside it to predict each next character; therefore a few thousand texts are enough.

    \b
      chargen classify train
      chargen classify train ag_news.csv --minutes 5
      chargen classify train names/ --balance
      chargen classify train reviews.jsonl --text review --label stars --from checkpoints/reviews

    With --json: checkpoint, parameters, steps, seconds, accuracy, macro_f1, calibration_error,
    ngrams (accuracy and macro_f1 of the n-grams alone), classes, per_class, confusion, seed.
    """
    if sum(budget is not None for budget in (minutes, epochs, steps)) > 1:
        raise click.UsageError("give one budget: --minutes, --epochs or --steps")
    from chargen.data.text import name_of
    from chargen.storage.lock import claimed

    folder = free_folder(out, name_of([data or "languages"]), overwrite)
    with claimed(folder):
        texts = read(data, table_settings)
        validation = read(val, table_settings, texts.classes) if val else None
        say(describe(texts))
        if generator is None:
            reader = new_classifier(texts, options, cell, layers, bidirectional, wide)
        else:
            _refuse_shape(context)
            reader = _from_generator(generator, texts, options, wide)
        config = reader.model.config
        trained = reader.train(
            texts,
            validation,
            minutes=minutes,
            epochs=epochs,
            steps=steps,
            val_fraction=options.val_fraction,
            batch=options.batch,
            learning_rate=options.lr,
            balance=options.balance,
            stack_share=stack_share,
            seed=options.seed,
        )
        steps_of_training = reader.keep(trained, folder)
        first = next(steps_of_training)  # from here on, the record says how it is trained
        say(_held_out(validation, options))
        say(_describe(reader, options, generator is not None))
        stopped = f"; the best classifier so far is in {folder}"
        last = watch(_from_first(first, steps_of_training), describe_score, stopped)
    _report(last, reader.record.scores.get("ngrams"))
    say(f"model    {folder}\npredict  chargen classify predict -m {shlex.quote(str(folder))} …")
    if as_json:
        record = {
            "checkpoint": str(folder),
            "parameters": config.parameters,
            "steps": last.number,
            "seconds": round(last.seconds, 2),
            "seed": options.seed,
            "ngrams": reader.record.scores.get("ngrams"),
            **(measures(last.score) if last.score else {"accuracy": None, "macro_f1": None}),
        }
        click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))


def _from_first(first: Step, steps: Generator[Step]) -> Iterator[Step]:
    """Yields a step that was taken already, then the others."""
    try:
        yield first
        yield from steps
    finally:
        steps.close()


def _held_out(validation: Labelled | None, options: TrainingOptions) -> str:
    """Returns a line on the texts to validate on."""
    if validation is not None:
        return f"         validated on the {len(validation):,} texts of {validation.name} (--val)"
    if not options.val_fraction:
        return "         not validated (--val-fraction, --val)"
    return f"         validated on {options.val_fraction:.0%} of each class (--val-fraction, --val)"


def _describe(reader: TextClassifier, options: TrainingOptions, from_generator: bool) -> str:
    """Returns lines on the model and its training, with the options that decide them."""
    config, training = reader.model.config, reader.record.training
    directions = "bidirectional " if config.bidirectional else ""
    beside = "added to n-grams" if reader.linear else "alone"
    shape = "--pooling" if from_generator else "--cell, --layers, --hidden, --bidirectional, --pooling"
    unit, amount = next(
        (unit, training[unit]) for unit in ("minutes", "epochs", "steps") if training[unit] is not None
    )
    weighted = "small classes weigh more" if training["balance"] else "every text weighs the same"
    limited = ", at most a quarter of all" if training["batch"] < options.batch else ""
    return (
        f"model    {directions}{config.cell} {config.num_layers} × {config.hidden_size}, "
        f"{config.pooling} pooling, {config.parameters / 1e6:.2f} M parameters ({shape})\n"
        f"         {beside} (--wide, --no-wide)\n"
        f"         reads up to {reader.longest} of each text (--max-length), in a vocabulary of "
        f"{len(reader.tokenizer):,} ({'--from' if from_generator else '--tokenizer'})\n"
        f"training for {amount:g} {unit} (--minutes, --epochs, --steps), {training['batch']} texts a "
        f"step{limited} (--batch)\n"
        f"         learning rate {training['learning_rate']:g} (--lr), dropout {config.dropout:g} "
        f"(--dropout), {weighted} (--balance)\n"
        f"         seed {training['seed']} (--seed), on {next(reader.model.parameters()).device} "
        "(--device)"
    )


def _refuse_shape(context: click.Context) -> None:
    """Raises UsageError for an option whose value comes from the generator."""
    for name in _OF_GENERATOR:
        if was_given(context, name):
            raise click.UsageError(
                f"--{name.replace('_', '-')} comes from the generator of --from; leave it out"
            )


def _from_generator(
    folder: str, data: Labelled, options: TrainingOptions, wide: bool
) -> TextClassifier:
    from chargen.classifier import TextClassifier
    from chargen.generator import TextGenerator

    device = chosen_device(options)
    reader = TextClassifier.from_generator(
        TextGenerator.load(folder),
        data,
        dropout=GENERATOR_DROPOUT if options.dropout is None else options.dropout,
        pooling=options.pooling,
        max_length=options.max_length,
        wide=wide,
        seed=options.seed,
    )
    reader.model.to(device)
    return reader


def _report(last: Step, ngrams: dict[str, float] | None) -> None:
    score: ClassScore | None = last.score
    if score:
        say(
            f"done     accuracy {score.accuracy:.1%}, macro-F1 {score.macro_f1:.3f}, on "
            f"{len(score.labels):,} held-out texts; best at step {last.best_step:,} of "
            f"{last.number:,}, in {format_seconds(last.seconds)}"
        )
        if ngrams:
            say(
                f"         n-grams alone: accuracy {ngrams['accuracy']:.1%}, macro-F1 "
                f"{ngrams['macro_f1']:.3f}"
            )
        say(table(score))
    else:
        say(f"done     {last.number:,} steps in {format_seconds(last.seconds)}, without validation")
