"""`chargen classify train`: trains a classifier on labelled texts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
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
from chargen.cli.output_folder import classifier_folder, refuse_other_files
from chargen.cli.resuming import refuse_changes, say_finished, watch_kept
from chargen.cli.terminal import say
from chargen.errors import ChargenError
from chargen.rendering.progress import format_seconds

if TYPE_CHECKING:
    import chargen
    from chargen.classifier import TextClassifier
    from chargen.data.labelled import Labelled
    from chargen.evaluation.classes import ClassScore
    from chargen.runs.classifier_run import ClassifierResumePoint
    from chargen.training.loop import Step

# Parameters that are none of the settings of a training, or may change when it is resumed.
_NOT_SAVED = (
    *("out", "overwrite", "resume", "save_every", "minutes", "epochs", "steps", "device", "as_json"),
)

# Options that --from leaves no choice for: the generator brings its tokenizer and its stack.
_OF_GENERATOR = ("tokenizer", "vocab_size", "cell", "layers", "hidden", "embedding", "bidirectional")


@click.command
@click.argument("data", required=False, type=Source())
@click.option(
    "-o", "--out", metavar="DIR", help="Folder of the classifier.  [default: checkpoints/NAME]"
)
@click.option("--overwrite", is_flag=True, help="Replace the model that is in the folder.")
@click.option("--resume", is_flag=True, help="Resume a training that was stopped or killed.")
@click.option(
    "--save-every",
    type=Number(min=0),
    default=60,
    metavar="SECONDS",
    help="Time between two saved states; most evaluations save one, too.",
)
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
    resume: bool,
    save_every: float,
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

    The state of the training is saved as it goes. Stopped with Ctrl-C or killed, it continues with
    --resume as if nothing had happened, also with a larger budget.

    \b
      chargen classify train --resume
      chargen classify train ag_news.csv --resume --minutes 10

    With --json: checkpoint, parameters, steps, seconds, accuracy, macro_f1, calibration_error,
    ngrams (accuracy and macro_f1 of the n-grams alone), classes, per_class, confusion, seed.
    """
    if sum(budget is not None for budget in (minutes, epochs, steps)) > 1:
        raise click.UsageError("give one budget: --minutes, --epochs or --steps")
    if resume and overwrite:
        raise click.UsageError("give --resume or --overwrite, not both")
    if generator is not None:
        _refuse_shape(context)
    from chargen.runs.classifier_run import ClassifierRun

    budget: dict[str, Any] = {"minutes": minutes, "epochs": epochs, "steps": steps}
    folder = classifier_folder(out, data, resume, overwrite)
    with ClassifierRun(folder, save_every) as run:
        saved = run.saved(chosen_device(options)) if resume else None
        if saved:
            refuse_changes(context, saved.settings, folder, free=["data", "val"])
            texts, validation = _read_again(saved, data, val)
            reader = saved.reader
            if saved.finished and saved.is_spent(**budget):
                reader, score = _say_finished(saved, texts, validation, folder)
            else:
                _say_resumed(saved)
                remaining = run.resume(saved, texts, validation, **budget)
                score = _watch(remaining, reader, folder)
        else:
            if resume:
                refuse_other_files(folder)
                say(f"note: no state is saved in {folder} yet: starting with the first step")
            texts = read(data, table_settings)
            validation = read(val, table_settings, texts.classes) if val else None
            say(describe(texts))
            if generator is None:
                reader = new_classifier(texts, options, cell, layers, bidirectional, wide)
            else:
                reader = _from_generator(generator, texts, options, wide)
            say(_held_out(validation, options))
            prepared = reader.prepare(
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
            say(_describe(reader, prepared, options, generator is not None))
            score = _watch(run.begin(reader, prepared, _settings(context)), reader, folder)
    if as_json:
        click.echo(json.dumps(_as_json(reader, folder, score), ensure_ascii=False, allow_nan=False))


def _settings(context: click.Context) -> dict[str, Any]:
    """Returns what a state keeps of the command line, by the names of the parameters."""
    settings = {name: value for name, value in context.params.items() if name not in _NOT_SAVED}
    for name in ("data", "val"):
        if settings[name] not in (None, "-"):  # so that it is found again from another folder
            settings[name] = str(Path(settings[name]).absolute())
    return settings


def _read_again(
    saved: ClassifierResumePoint, data: str | None, val: str | None
) -> tuple[Labelled, Labelled | None]:
    """Reads the texts that a training began with, from where they were unless they are named anew."""
    settings = saved.settings
    if "data" not in settings:
        raise ChargenError(
            "this training was begun in Python, which does not keep how its texts were read: continue "
            "it with ClassifierRun.resume"
        )
    data, val = data or settings["data"], val or settings["val"]
    if data == "-":
        raise ChargenError("this training read its texts from standard input; name a file with them")
    texts = read(data, settings)
    return texts, read(val, settings, saved.reader.classes) if val else None


def _say_resumed(saved: ClassifierResumePoint) -> None:
    """Says where a training goes on."""
    for fault in saved.faults:
        say(f"note: {fault}; resuming from the state before it")
    config, state = saved.reader.model.config, saved.state
    say(
        f"model    {config.cell} {config.num_layers} × {config.hidden_size}, "
        f"{config.parameters / 1e6:.2f} M parameters, at step {state.step:,} after "
        f"{format_seconds(state.seconds)}"
    )
    if note := saved.inexact():
        say(f"note: {note}")


def _say_finished(
    saved: ClassifierResumePoint, texts: Labelled, validation: Labelled | None, folder: Path
) -> tuple[TextClassifier, ClassScore | None]:
    """Says that a training has spent its budget; returns its classifier and the score of that."""
    from chargen.classifier import TextClassifier

    held_out = saved.prepared(texts, validation).texts.validation
    reader = TextClassifier.load(folder)
    score = reader.evaluate(held_out) if len(held_out) else None
    accuracy = f"accuracy {score.accuracy:.1%}" if score else ""
    say_finished(folder, reader.record.scores, accuracy, saved.budget)
    return reader, score


def _watch(steps: Iterator[Step], reader: TextClassifier, folder: Path) -> ClassScore | None:
    """Shows the steps until the end, or until a signal; returns the score of the classifier."""
    command = f"chargen classify train --resume -o {shlex.quote(str(folder))}"
    last = watch_kept(steps, describe_score, command)
    _report(last, reader.record.scores.get("ngrams"))
    say(f"model    {folder}\npredict  chargen classify predict -m {shlex.quote(str(folder))} …")
    score: ClassScore | None = last.score
    return score


def _as_json(reader: TextClassifier, folder: Path, score: ClassScore | None) -> dict[str, Any]:
    scores = reader.record.scores
    return {
        "checkpoint": str(folder),
        "parameters": reader.model.config.parameters,
        "steps": scores["steps"],
        "seconds": scores["seconds"],
        "seed": reader.record.training["seed"],
        "ngrams": scores.get("ngrams"),
        **(measures(score) if score else {"accuracy": None, "macro_f1": None}),
    }


def _held_out(validation: Labelled | None, options: TrainingOptions) -> str:
    """Returns a line on the texts to validate on."""
    if validation is not None:
        return f"         validated on the {len(validation):,} texts of {validation.name} (--val)"
    if not options.val_fraction:
        return "         not validated (--val-fraction, --val)"
    return f"         validated on {options.val_fraction:.0%} of each class (--val-fraction, --val)"


def _describe(
    reader: TextClassifier,
    prepared: chargen.PreparedTraining,
    options: TrainingOptions,
    from_generator: bool,
) -> str:
    """Returns lines on the model and its training, with the options that decide them."""
    config, training = reader.model.config, prepared.preparation.config
    directions = "bidirectional " if config.bidirectional else ""
    beside = "added to n-grams" if prepared.preparation.linear else "alone"
    shape = "--pooling" if from_generator else "--cell, --layers, --hidden, --bidirectional, --pooling"
    unit, amount = training.budget
    weighted = "small classes weigh more" if options.balance else "every text weighs the same"
    limited = ", at most a quarter of all" if training.batch < options.batch else ""
    return (
        f"model    {directions}{config.cell} {config.num_layers} × {config.hidden_size}, "
        f"{config.pooling} pooling, {config.parameters / 1e6:.2f} M parameters ({shape})\n"
        f"         {beside} (--wide, --no-wide)\n"
        f"         reads up to {reader.longest} of each text (--max-length), in a vocabulary of "
        f"{len(reader.tokenizer):,} ({'--from' if from_generator else '--tokenizer'})\n"
        f"training for {amount:g} {unit} (--minutes, --epochs, --steps), {training.batch} texts a "
        f"step{limited} (--batch)\n"
        f"         learning rate {training.learning_rate:g} (--lr), dropout {config.dropout:g} "
        f"(--dropout), {weighted} (--balance)\n"
        f"         seed {training.seed} (--seed), on {next(reader.model.parameters()).device} "
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
