"""`chargen train`: learns from a text."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import Number, Source, was_given
from chargen.cli.output_folder import folder_of, refuse_other_files
from chargen.cli.progress_bar import clock, watch
from chargen.cli.terminal import say, shown
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.data.corpus import Corpus
    from chargen.data.text import Text
    from chargen.runs.run import Run
    from chargen.runs.state import ResumePoint
    from chargen.training.distributed import Ranks
    from chargen.training.loop import Step


@click.command(short_help="Learn from a text.")
@click.argument("corpus", nargs=-1, type=Source())
@click.option(
    "-o",
    "--out",
    metavar="DIR",
    help="Where the model is written.  [default: checkpoints/NAME, or the next free NAME-2]",
)
@click.option("--overwrite", is_flag=True, help="Replace the model in the folder of --out.")
@click.option("--resume", is_flag=True, help="Go on with a training that was stopped or killed.")
@click.option(
    "--save-every",
    type=Number(min=0),
    default=60,
    metavar="SECONDS",
    help="How often the state is kept, beside every evaluation.",
)
@click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    help="At most so much time; a short text takes less.  [default: 5]",
)
@click.option(
    "--epochs", type=Number(min=0, min_open=True), help="Or a budget of passes over the text."
)
@click.option("--steps", type=click.IntRange(1), help="Or a budget of optimiser steps.")
@click.option(
    "--tokenizer",
    type=click.Choice(["char", "byte", "bpe", "unigram"]),
    default="char",
    help="What an id stands for: a character, a byte of UTF-8, or a piece by SentencePiece.",
)
@click.option(
    "--vocab-size",
    type=click.IntRange(300, 60_000),
    default=1024,
    help="Pieces of bpe and unigram.",
)
@click.option(
    "--split-on",
    metavar="line|blank-line|TEXT",
    help="The corpus is a collection of documents (names, poems); learn where one ends.",
)
@click.option("--encoding", default="utf-8", help="Of the corpus.")
@click.option(
    "--val-fraction",
    type=Number(min=0, max=0.9),
    default=0.1,
    help="The last part of the text is kept apart to measure by; 0 for none.",
)
@click.option(
    "--cell", type=click.Choice(["lstm", "gru", "rnn"]), default="lstm", help="Of the stack."
)
@click.option("--layers", type=click.IntRange(1, 100), default=2, help="Depth of the stack.")
@click.option("--hidden", type=click.IntRange(1), help="Hidden size.  [default: chosen]")
@click.option(
    "--embedding", type=click.IntRange(1), help="Numbers that stand for an id.  [default: chosen]"
)
@click.option("--dropout", type=Number(min=0, max=0.95), help="Between layers.  [default: chosen]")
@click.option("--batch", type=click.IntRange(1), help="Lanes read in parallel.  [default: chosen]")
@click.option("--window", type=click.IntRange(1), help="Ids per step and lane.  [default: chosen]")
@click.option("--lr", type=Number(min=0, min_open=True), help="Peak learning rate.  [default: chosen]")
@click.option(
    "--generations",
    type=click.IntRange(1, 100),
    help="Networks that share the budget, each taught by the one before it.  [default: chosen]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of all randomness.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Where."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    help="auto is fp16 on a GPU, bf16 on a CPU that multiplies it, else fp32.",
)
@click.option("--json", "as_json", is_flag=True, help="At the end, print one JSON object.")
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
    device: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Trains a model on CORPUS: files, folders (their text files), or - for standard input.

    Without CORPUS, learns from python-docs, the text of Python's own help topics. The sizes of the
    model are chosen from the corpus, the budget and the speed of the device, and said. The model is
    written whenever it became better.

    \b
      chargen train corpus.txt
      chargen train src/ --minutes 15 -o checkpoints/code
      chargen train names.txt --split-on line --minutes 1
      chargen train novel.txt --tokenizer bpe --vocab-size 2000
      cat *.txt | chargen train -

    All of a training is kept at every evaluation and every minute: stopped with Ctrl-C or killed, it
    goes on with --resume as if nothing had happened, also with a larger budget.

    \b
      chargen train corpus.txt --resume
      chargen train --resume -o checkpoints/code --minutes 30

    With --json: checkpoint, parameters, steps, seconds, characters_per_second, val_nats_per_token,
    val_bits_per_character, best_step, seed.
    """
    budget: dict[str, Any] = {"minutes": minutes, "epochs": epochs, "steps": steps}
    if sum(value is not None for value in budget.values()) > 1:
        raise click.UsageError("give one budget: --minutes, --epochs or --steps")
    if resume and overwrite:
        raise click.UsageError("give --resume or --overwrite, not both")
    from chargen.training.distributed import join

    with join() as ranks, _one_voice(ranks):
        folder = ranks.broadcast_object(lambda: folder_of(out, corpus, resume, overwrite))
        _train(context, ranks, folder, corpus, budget, resume, save_every, device, options)
        if as_json and ranks.is_main:
            click.echo(json.dumps(_result(folder), allow_nan=False))


def _train(
    context: click.Context,
    ranks: Ranks,
    folder: Path,
    corpus: tuple[str, ...],
    budget: dict[str, Any],
    resume: bool,
    save_every: float,
    device: str,
    options: dict[str, Any],
) -> None:
    from chargen.device import find_device
    from chargen.runs.run import Run

    place = find_device(device)
    with Run(folder, save_every, ranks) as run:
        saved = run.saved(place) if resume else None
        if saved:
            _refuse_changes(context, saved, folder)
        given = [(name, value) for name, value in budget.items() if value is not None]
        if saved and saved.finished and given in ([], [saved.config.budget]):
            _already(saved, folder)
            return
        if saved:
            writing, baselines, kept_apart = _resume(run, saved, corpus, budget)
        else:
            if resume:
                refuse_other_files(folder)
                say(f"note: nothing was kept in {folder} yet: this is the first step")
            writing, baselines, kept_apart = _begin(run, corpus, budget, place, options)
        _report(_watch(writing, folder, ranks), baselines, folder, kept_apart)


@contextmanager
def _one_voice(ranks: Ranks) -> Iterator[None]:
    """Of several processes, only the first one is heard."""
    if ranks.is_main:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
            yield
        except ChargenError:
            raise SystemExit(1) from None  # the first one says why


# What a training is made of, and what it has to be better than: (steps, baselines, ids kept apart).
_Training = tuple[Iterator["Step"], dict[str, float], int]


def _begin(
    run: Run, sources: Sequence[str], budget: dict[str, Any], device: Any, options: dict[str, Any]
) -> _Training:
    from chargen.data.text import Text
    from chargen.evaluation.baselines import baseline_bits
    from chargen.generator import TextGenerator
    from chargen.model import LanguageModel
    from chargen.training.config import TrainConfig
    from chargen.training.planner import plan

    if not sources:
        say("no CORPUS given: learning from python-docs, the text of Python's help topics")
        sources = ("python-docs",)
    if all(value is None for value in budget.values()):
        budget = {"minutes": 5.0}
    training = TrainConfig(
        **budget,
        seed=options["seed"],
        precision=options["precision"],
    )
    sizes = {
        "cell": options["cell"],
        "num_layers": options["layers"],
        "hidden_size": options["hidden"],
        "embedding_size": options["embedding"],
        "dropout": options["dropout"],
        "batch": options["batch"],
        "window": options["window"],
        "learning_rate": options["lr"],
        "generations": options["generations"],
    }
    corpus = _prepare(run, Text.open(sources, options["encoding"]), options)
    say(_describe(corpus))
    if len(corpus.validation) < 2 and corpus.val_fraction:
        say("note: too little is kept apart to measure by: there will be no score")
    chosen = run.ranks.broadcast_object(lambda: plan(corpus, device, training, sizes))
    say(f"model    {chosen.reason}")
    baselines = baseline_bits(corpus)
    settings = options | {
        # So that the corpus is found again from wherever it is asked for.
        "corpus": [str(Path(s).absolute()) if Path(s).exists() else s for s in sources],
        "hidden": chosen.model.hidden_size,
        "embedding": chosen.model.embedding_size,
        "lr": chosen.training.learning_rate,
        "dropout": chosen.model.dropout,
        "batch": chosen.training.batch,
        "window": chosen.training.window,
        "generations": chosen.training.generations,
    }
    model = LanguageModel.new(chosen.model, options["seed"]).to(device)
    writer = TextGenerator(model, corpus.tokenizer)
    steps = run.begin(writer, corpus, chosen.training, settings, chosen.threads)
    return steps, baselines, len(corpus.validation)


def _resume(run: Run, saved: ResumePoint, sources: Sequence[str], budget: dict[str, Any]) -> _Training:
    from chargen.data.text import Text
    from chargen.evaluation.baselines import baseline_bits

    for fault in saved.faults:
        say(f"note: {fault}; going on from the state before it")
    sources = sources or saved.settings["corpus"]
    text = Text.open(sources, saved.settings["encoding"])
    saved.refuse_other_text(text.name, text.sha256)
    corpus = _prepare(run, text, saved.settings)
    if corpus.tokenizer.dump() != saved.writer.tokenizer.dump():
        # Another version of SentencePiece made other pieces of the same text.
        corpus = saved.writer.prepare(text, saved.settings["val_fraction"])
    say(_describe(corpus))
    config, now = saved.writer.model.config, saved.progress
    say(
        f"model    {config.cell} {config.num_layers} × {config.hidden_size}, "
        f"{config.parameters / 1e6:.2f} M parameters, at step {now.step:,} after {clock(now.seconds)}"
    )
    baselines = baseline_bits(corpus)
    steps = run.resume(saved, corpus, **budget)
    if note := saved.inexact():
        say(f"note: {note}")
    return steps, baselines, len(corpus.validation)


def _refuse_changes(context: click.Context, saved: ResumePoint, folder: Path) -> None:
    """A training goes on as it was begun: names the first option that asks for something else."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if was_given(context, name) and name != "corpus" and name in saved.settings:
            value, before = context.params[name], saved.settings[name]
            if value != before:
                raise click.UsageError(
                    f"{parameter.opts[0]} {value}: the training in {folder} began with {before}. "
                    "Leave the option out to go on with it, or train anew without --resume."
                )


def _prepare(run: Run, text: Text, options: dict[str, Any]) -> Corpus:
    from chargen.data.cache import tokenize
    from chargen.data.corpus import prepare

    for note in text.notes:
        say(f"note: {note}")
    recipe = {name: options[name] for name in ("vocab_size", "split_on", "val_fraction")}
    # Of several processes, the others find in the cache what the first one has put there.
    run.ranks.broadcast_object(lambda: str(tokenize(text, options["tokenizer"], **recipe)))
    return prepare(text, kind=options["tokenizer"], **recipe)


def _already(saved: ResumePoint, folder: Path) -> None:
    scores = _result(folder)
    bits = scores["val_bits_per_character"]
    unit, amount = saved.config.budget
    say(
        f"the training in {folder} is finished: {scores['steps']:,} steps in "
        f"{clock(scores['seconds'])}" + (f", {bits:.3f} bits per character" if bits else "") + "\n"
        f"give it a larger budget to go on, for example --{unit} {2 * amount:g}"
    )


def _result(folder: Path) -> dict[str, Any]:
    """What --json prints, as config.json has it."""
    from chargen.generator import TextGenerator

    writer = TextGenerator.load(folder)
    scores = writer.record["scores"]
    return {
        "checkpoint": str(folder),
        "parameters": writer.model.config.parameters,
        "steps": scores["steps"],
        "seconds": scores["seconds"],
        "characters_per_second": scores["characters_per_second"],
        "val_nats_per_token": scores["val_nats_per_token"],
        "val_bits_per_character": scores["val_bits_per_character"],
        "best_step": scores["step"],
        "seed": writer.record["training"]["seed"],
    }


def _describe(corpus: Corpus) -> str:
    characters, _ = corpus.tokenizer.measure(corpus.training[: 1 << 20])
    per_id = characters / min(len(corpus.training), 1 << 20)
    unit = "characters" if corpus.tokenizer.kind == "char" else "tokens"
    total = f"{len(corpus.training):,} {unit} to learn from, {len(corpus.validation):,} to measure by"
    if per_id > 1.005:
        total += f", {per_id:.2f} characters each"
    return f"corpus   {corpus.name}: {total}\n         {corpus.tokenizer.describe()}"


def _watch(steps: Iterator[Step], folder: Path, ranks: Ranks) -> Step:
    """Until the end, or until a signal, after which all is kept."""

    def line(step: Step) -> tuple[str, str]:
        text = shown(" ".join(step.sample.split()), sys.stderr)
        return f"{step.val_bits_per_character:.3f} bits per character", text

    def stopped(step: Step) -> str:
        return f", and all is kept; go on with: {_going_on(folder)}"

    try:
        return watch(steps, line, stopped, ranks)
    except ChargenError as error:
        if isinstance(error.__cause__, OSError):
            raise ChargenError(
                f"{error}; put that right, then go on from what was kept before: {_going_on(folder)}"
            ) from error
        raise


def _going_on(folder: Path) -> str:
    return f"chargen train --resume -o {shlex.quote(str(folder))}"


def _report(last: Step, baselines: dict[str, float], folder: Path, kept_apart: int) -> None:
    if last.score:
        part = f" (of {kept_apart:,} ids kept apart)" if last.score.tokens + 1 < kept_apart else ""
        than = ", ".join(f"{name} {bits:.3f}" for name, bits in baselines.items())
        say(
            f"done     {last.score.bits_per_character:.3f} bits per character ({than})\n"
            f"         {last.score.nats_per_token:.4f} nats per token, on "
            f"{last.score.characters:,} characters it never saw{part}\n"
            f"         best at step {last.best_step:,} of {last.number:,}, in {clock(last.seconds)}"
        )
    else:
        say(f"done     {last.number:,} steps in {clock(last.seconds)}, without validation")
    say(f"model    {folder}\nwrite    chargen sample -m {shlex.quote(str(folder))} --prompt …")
