"""`chargen train`: trains a generator on a text."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chargen.cli.options import (
    Number,
    Source,
    device_option,
    encoding_option,
    seed_option,
    tokenizer_option,
    vocab_size_option,
)
from chargen.cli.output_folder import refuse_other_files, training_folder
from chargen.cli.resuming import refuse_changes, say_finished, watch_kept
from chargen.cli.terminal import say, say_notes, shown
from chargen.cli.training_report import say_corpus, say_result, scores_of
from chargen.errors import ChargenError, DeviceError
from chargen.rendering.progress import format_seconds

if TYPE_CHECKING:
    from chargen.runs.launch import NewTraining, ResumedTraining, TrainRequest
    from chargen.runs.run import ResumePoint, Run
    from chargen.training.distributed import Ranks
    from chargen.training.loop import Step


NO_CORPUS = "python-docs, the text of Python's help topics: no CORPUS was given"


@click.command
@click.argument("corpus", nargs=-1, type=Source())
@click.option(
    "-o",
    "--out",
    metavar="DIR",
    help="Folder of the model.  [default: checkpoints/NAME, or the next free NAME-2]",
)
@click.option("--overwrite", is_flag=True, help="Replace the model that is in the folder.")
@click.option("--resume", is_flag=True, help="Resume a training that was stopped or killed.")
@click.option(
    "--save-every",
    type=Number(min=0),
    default=60,
    metavar="SECONDS",
    help="Time between two saved states; every evaluation saves one, too.",
)
@click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    help="Budget in minutes; a short text needs fewer, and then training ends earlier.  [default: 5]",
)
@click.option(
    "--epochs",
    type=Number(min=0, min_open=True),
    help="Budget in passes over the text, instead of minutes.",
)
@click.option("--steps", type=click.IntRange(1), help="Budget in optimiser steps, instead of minutes.")
@tokenizer_option
@vocab_size_option
@click.option(
    "--text",
    multiple=True,
    metavar="COLUMN",
    help="CORPUS is a table: learn this column, by name or number, each row a document; repeatable.",
)
@click.option(
    "--split-on",
    metavar="line|blank-line|TEXT",
    help="What separates documents (names, poems) in the corpus; the model learns where one ends.",
)
@encoding_option
@click.option(
    "--val-fraction",
    type=Number(min=0, max=0.9),
    default=0.1,
    help="Share of the text, at its end, held out for validation; 0 for none.",
)
@click.option(
    "--cell", type=click.Choice(["lstm", "gru", "rnn"]), default="lstm", help="Recurrent cell."
)
@click.option("--layers", type=click.IntRange(1, 100), default=2, help="Number of layers.")
@click.option("--hidden", type=click.IntRange(1), help="Hidden size.  [default: chosen]")
@click.option("--embedding", type=click.IntRange(1), help="Embedding size.  [default: chosen]")
@click.option(
    "--dropout", type=Number(min=0, max=0.95), help="Dropout between layers.  [default: chosen]"
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    help="Lanes: places of the text that are read in parallel.  [default: chosen]",
)
@click.option(
    "--window",
    type=click.IntRange(1),
    help="Tokens of each lane that a step reads.  [default: chosen]",
)
@click.option("--lr", type=Number(min=0, min_open=True), help="Peak learning rate.  [default: chosen]")
@click.option(
    "--generations",
    type=click.IntRange(1, 100),
    help="Networks trained one after the other within the budget; each also learns from the one "
    "before it.  [default: chosen]",
)
@seed_option()
@device_option
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    help="auto is fp16 on a GPU, bf16 on a CPU with instructions for it, else fp32.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.pass_context
def train(
    context: click.Context,
    /,
    corpus: tuple[str, ...],
    out: str | None,
    overwrite: bool,
    resume: bool,
    save_every: float,
    minutes: float | None,
    epochs: float | None,
    steps: int | None,
    tokenizer: str,
    vocab_size: int,
    text: tuple[str, ...],
    split_on: str | None,
    encoding: str,
    val_fraction: float,
    cell: str,
    layers: int,
    hidden: int | None,
    embedding: int | None,
    dropout: float | None,
    batch: int | None,
    window: int | None,
    lr: float | None,
    generations: int | None,
    seed: int,
    device: str,
    precision: str,
    as_json: bool,
) -> None:
    """Trains a model on CORPUS: files, folders (their text files), or - for standard input.

    Without CORPUS, trains on python-docs, the text of Python's own help topics. The sizes of the model
    are chosen from the corpus, the budget and the speed of the device, and printed. The model is saved
    whenever it has become better.

    \b
      chargen train corpus.txt
      chargen train src/ --minutes 15 -o checkpoints/code
      chargen train names.txt --split-on line --minutes 1
      chargen train jokes.csv --text joke
      chargen train novel.txt --tokenizer bpe --vocab-size 2000
      cat *.txt | chargen train -

    The state of the training is saved at every evaluation and every minute. Stopped with Ctrl-C or
    killed, it continues with --resume as if nothing had happened, also with a larger budget.

    \b
      chargen train corpus.txt --resume
      chargen train --resume -o checkpoints/code --minutes 30

    With --json: checkpoint, parameters, steps, seconds, characters_per_second, val_nats_per_token,
    val_bits_per_character, best_step, seed.
    """
    if sum(budget is not None for budget in (minutes, epochs, steps)) > 1:
        raise click.UsageError("give one budget: --minutes, --epochs or --steps")
    if resume and overwrite:
        raise click.UsageError("give --resume or --overwrite, not both")
    if text and split_on is not None:
        raise click.UsageError(
            "give --text or --split-on, not both: each row of a table is a document"
        )
    from chargen.training.distributed import join

    with join(device) as ranks, _only_main_speaks(ranks):
        # At once: torch takes its time to load.
        say(f"reading  {', '.join(corpus) or NO_CORPUS}")
        from chargen.runs.launch import TrainRequest

        request = TrainRequest(
            sources=corpus,
            encoding=encoding,
            text=text,
            tokenizer=tokenizer,
            vocab_size=vocab_size,
            split_on=split_on,
            val_fraction=val_fraction,
            minutes=minutes,
            epochs=epochs,
            steps=steps,
            cell=cell,
            num_layers=layers,
            hidden_size=hidden,
            embedding_size=embedding,
            dropout=dropout,
            batch=batch,
            window=window,
            learning_rate=lr,
            generations=generations,
            seed=seed,
            precision=precision,
            device=device,
        )
        folder = ranks.broadcast_object(
            lambda: training_folder(out, corpus, encoding, text, resume, overwrite)
        )
        _train(context, request, ranks, folder, resume, save_every)
        if as_json and ranks.is_main:
            click.echo(json.dumps(scores_of(folder), allow_nan=False))


@contextmanager
def _only_main_speaks(ranks: Ranks) -> Iterator[None]:
    """Silences all processes of a training but the main one, up to the error that ends them."""
    if ranks.is_main:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
            yield
        except DeviceError:
            raise
        except ChargenError:
            if ranks.local_rank == 0:  # the main process may be on another machine, and dead
                raise
            raise SystemExit(1) from None  # the first process of this machine says why


def _train(
    context: click.Context,
    request: TrainRequest,
    ranks: Ranks,
    folder: Path,
    resume: bool,
    save_every: float,
) -> None:
    from chargen.device import device_notes, find_device
    from chargen.runs.run import Run

    say_notes(device_notes(request.device, request.precision))
    device = find_device(request.device, request.precision)
    if ranks.any_rank(device.type == "cpu"):  # as gradients are not exchanged between kinds of device
        device = find_device("cpu")
    request = replace(request, device=device.type)
    training: NewTraining | ResumedTraining
    with Run(folder, save_every, ranks) as run:
        saved = run.saved(device) if resume else None
        if saved:
            refuse_changes(context, saved.settings, folder, free=["corpus"])
            if saved.finished and request.budget in ({}, dict([saved.config.budget])):
                _say_finished(saved, folder)
                return
            training = _resume(run, saved, request)
        else:
            if resume:
                refuse_other_files(folder)
                say(f"note: no state is saved in {folder} yet: starting with the first step")
            training = _begin(run, request)
        baselines = training.baselines  # now, since a budget of time begins with the first step
        steps = training.start()
        if saved and (note := saved.inexact()):
            say(f"note: {note}")
        last = _watch(steps, folder, ranks)
        say_result(last, baselines, folder, len(training.corpus.validation))


def _begin(run: Run, request: TrainRequest) -> NewTraining:
    """Says what a new training is made of, stage by stage."""
    from chargen.evaluation.overlap import repeated_share, repetition_note
    from chargen.runs.launch import NewTraining

    training = NewTraining(run, request)
    say_corpus(training)
    if len(training.corpus.validation) < 2 and request.val_fraction:
        say("note: the held-out part is too short to be scored: there will be no score")
    if note := repetition_note(repeated_share(training.corpus)):
        say(f"note: {note}")
    say(f"model    {training.plan.reason}")
    return training


def _resume(run: Run, saved: ResumePoint, request: TrainRequest) -> ResumedTraining:
    """Says what a resumed training is made of, stage by stage."""
    from chargen.runs.launch import ResumedTraining

    for fault in saved.faults:
        say(f"note: {fault}; resuming from the state before it")
    training = ResumedTraining(run, saved, request)
    say_corpus(training)
    config, state = saved.writer.model.config, saved.state
    say(
        f"model    {config.cell} {config.num_layers} × {config.hidden_size}, "
        f"{config.parameters / 1e6:.2f} M parameters, at step {state.step:,} after "
        f"{format_seconds(state.seconds)}"
    )
    return training


def _say_finished(saved: ResumePoint, folder: Path) -> None:
    scores = scores_of(folder)
    bits = scores["val_bits_per_character"]
    score = f"{bits:.3f} bits per character" if bits else ""
    say_finished(folder, scores, score, saved.config.budget)


def _watch(steps: Iterator[Step], folder: Path, ranks: Ranks) -> Step:
    """Shows the steps until the end, or until a signal."""

    def describe(step: Step) -> tuple[str, str]:
        sample = shown(" ".join(step.sample.split()), sys.stderr)
        return f"{step.val_bits_per_character:.3f} bits per character", sample

    return watch_kept(steps, describe, f"chargen train --resume -o {shlex.quote(str(folder))}", ranks)
