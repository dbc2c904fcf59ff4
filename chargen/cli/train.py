"""`chargen train`: learns from a text."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli import Number, say
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.corpus import Corpus
    from chargen.text_generator import TextGenerator
    from chargen.training import Step


@click.command(short_help="Learn from a text.")
@click.argument("corpus", nargs=-1)
@click.option(
    "-o",
    "--out",
    metavar="DIR",
    help="Where the model is written.  [default: checkpoints/NAME, or the next free NAME-2]",
)
@click.option("--overwrite", is_flag=True, help="Replace the model in the folder of --out.")
@click.option("--minutes", type=Number(min=0, min_open=True), help="Budget of time.  [default: 5]")
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
@click.option("--embedding", type=click.IntRange(1), default=64, help="Numbers that stand for an id.")
@click.option("--dropout", type=Number(min=0, max=0.95), help="Between layers.  [default: chosen]")
@click.option("--batch", type=click.IntRange(1), help="Lanes read in parallel.  [default: chosen]")
@click.option("--window", type=click.IntRange(1), help="Ids per step and lane.  [default: chosen]")
@click.option("--lr", type=Number(min=0, min_open=True), default=4e-3, help="Peak learning rate.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of all randomness.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Where."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    help="auto is fp32 on a CPU and bf16 on a GPU.",
)
@click.option("--json", "as_json", is_flag=True, help="At the end, print one JSON object.")
def train(
    corpus: tuple[str, ...],
    out: str | None,
    overwrite: bool,
    minutes: float | None,
    epochs: float | None,
    steps: int | None,
    lr: float,
    device: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Trains a model on CORPUS: files, folders (their text files), or - for standard input.

    Without CORPUS, learns from python-docs, the text of Python's own help topics. The sizes of the
    model are chosen from the corpus, the budget and the speed of the device, and said. The model is
    written whenever it became better, so Ctrl-C loses nothing that matters.

    \b
      chargen train corpus.txt
      chargen train src/ --minutes 15 -o checkpoints/code
      chargen train names.txt --split-on line --minutes 1
      chargen train novel.txt --tokenizer bpe --vocab-size 2000
      cat *.txt | chargen train -

    With --json: checkpoint, parameters, steps, seconds, characters_per_second, val_nats_per_token,
    val_bits_per_character, best_step, seed.
    """
    budgets: dict[str, Any] = {"minutes": minutes, "epochs": epochs, "steps": steps}
    if sum(budget is not None for budget in budgets.values()) > 1:
        raise click.UsageError("give one budget: --minutes, --epochs or --steps")
    if all(budget is None for budget in budgets.values()):
        budgets["minutes"] = 5.0
    if not corpus:
        say("no CORPUS given: learning from python-docs, the text of Python's help topics")
    sources = corpus or ("python-docs",)
    sizes = {
        "cell": options["cell"],
        "num_layers": options["layers"],
        "hidden_size": options["hidden"],
        "embedding_size": options["embedding"],
        "dropout": options["dropout"],
        "batch": options["batch"],
        "window": options["window"],
    }
    folder = _folder(out, overwrite, sources)

    from chargen.corpus import prepare
    from chargen.model import LanguageModel
    from chargen.sizing import find_device, plan
    from chargen.text import Text
    from chargen.text_generator import TextGenerator
    from chargen.training import TrainConfig

    place = find_device(device)
    training = TrainConfig(
        **budgets, learning_rate=lr, seed=options["seed"], precision=options["precision"]
    )
    text = Text.open(sources, options["encoding"])
    for note in text.notes:
        say(f"note: {note}")
    prepared = prepare(
        text,
        kind=options["tokenizer"],
        vocab_size=options["vocab_size"],
        split_on=options["split_on"],
        val_fraction=options["val_fraction"],
    )
    say(_describe(prepared))
    chosen = plan(prepared, place, training, sizes)
    say(f"model    {chosen.reason}")
    beaten = _baselines(prepared)
    if beaten:
        bits = ", ".join(f"{name} {bits:.3f}" for name, bits in beaten.items())
        say(f"to beat  {bits} bits per character")

    model = LanguageModel.new(chosen.model, options["seed"]).to(place)
    writer = TextGenerator(model, prepared.tokenizer)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        last = _loop(writer, writer.train(prepared, **vars(chosen.training)), folder)
    except OSError as error:
        raise ChargenError(f"{folder} cannot be written: {error.strerror or error}") from error
    _report(last, beaten, folder, len(prepared.validation))
    if as_json:
        score = last.score
        record = {
            "checkpoint": str(folder),
            "parameters": chosen.model.parameters,
            "steps": last.number,
            "seconds": round(last.seconds, 2),
            "characters_per_second": round(last.characters_per_second),
            "val_nats_per_token": score.nats_per_token if score else None,
            "val_bits_per_character": score.bits_per_character if score else None,
            "best_step": last.best_step,
            "seed": options["seed"],
        }
        click.echo(json.dumps(record, allow_nan=False))


def _folder(out: str | None, overwrite: bool, sources: Sequence[str]) -> Path:
    """Where the model goes: the folder asked for if it is free, or the next free one."""
    from chargen.text import name_of

    if out is not None:
        folder = Path(out)
        if folder.exists() and not folder.is_dir():
            raise ChargenError(f"--out {out!r} is a file; name a folder")
        if (folder / "manifest.json").exists() and not overwrite:
            raise ChargenError(
                f"{folder} already holds a model; replace it with --overwrite, or name another --out"
            )
        return folder
    name, number = name_of(sources), 1
    folder = Path("checkpoints", name)
    while folder.exists() and not overwrite:
        number += 1
        folder = Path("checkpoints", f"{name}-{number}")
    if number > 1:
        say(f"note: checkpoints/{name} is taken; the model goes to {folder}")
    return folder


def _describe(corpus: Corpus) -> str:
    characters, _ = corpus.tokenizer.measure(corpus.training[: 1 << 20])
    per_id = characters / min(len(corpus.training), 1 << 20)
    unit = "characters" if corpus.tokenizer.kind == "char" else "tokens"
    total = f"{len(corpus.training):,} {unit} to learn from, {len(corpus.validation):,} to measure by"
    if per_id > 1.005:
        total += f", {per_id:.2f} characters each"
    return f"corpus   {corpus.name}: {total}\n         {corpus.tokenizer.describe()}"


def _baselines(corpus: Corpus) -> dict[str, float]:
    """What a model has to be better than, in bits per character of the validation text."""
    from chargen.baselines import ngram_bits, xz_bits
    from chargen.training import QUICK_IDS

    ids = corpus.validation[:QUICK_IDS]
    if len(ids) < 2:
        return {}
    characters, _ = corpus.tokenizer.measure(ids[1:])
    vocab_size = len(corpus.tokenizer)
    bits = {
        f"{name} model": ngram_bits(corpus.training, ids, vocab_size, order)
        for name, order in (("unigram", 1), ("5-gram", 5))
    }
    bits["xz"] = xz_bits(corpus.tokenizer.decode(ids))
    return {name: value / characters for name, value in bits.items()}


def _loop(writer: TextGenerator, steps: Iterator[Step], folder: Path) -> Step:
    """Runs the training: shows where it is, keeps the best model on disk, heeds Ctrl-C."""
    from tqdm import tqdm

    bar = tqdm(
        total=100,
        disable=None,  # where stderr is no terminal
        leave=False,
        bar_format="{percentage:3.0f}% |{bar:20}| {desc}",
    )
    metrics = (folder / "metrics.jsonl").open("w", encoding="utf-8")
    samples = (folder / "samples.txt").open("w", encoding="utf-8")
    loss, bits, saved = 0.0, math.nan, False
    with bar, metrics, samples, _asked_to_stop() as asked:
        for step in steps:
            if step.finished:
                break
            loss += (step.loss - loss) * max(0.02, 1 / step.number)
            bar.n = 100 * step.progress
            bar.set_description_str(_status(step, loss, bits), refresh=False)
            bar.update(0)
            if step.score:
                bits = step.val_bits_per_character
                if step.best_step == step.number:
                    writer.save(folder)
                    saved = True
                text = writer.generate(length=200, seed=step.number)
                bar.write(_line(step, text), file=sys.stderr)
                print(json.dumps(_metrics(step, loss)), file=metrics, flush=True)
                print(f"--- step {step.number}\n{text}\n", file=samples, flush=True)
            if asked:
                if not saved:
                    writer.save(folder)
                bar.close()
                say(f"stopped at step {step.number:,}; the best model so far is in {folder}")
                raise SystemExit(130)
        print(json.dumps(_metrics(step, loss)), file=metrics)
        writer.save(folder)
    return step


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that Ctrl-C puts a signal in; a second Ctrl-C stops at once, as usual."""
    asked: list[int] = []

    def note(number: int, _frame: Any) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _status(step: Step, loss: float, bits: float) -> str:
    left = step.seconds * (1 / max(step.progress, 1e-3) - 1)
    score = "" if math.isnan(bits) else f", validation {bits:.3f} bits per character"
    speed = f"{step.characters_per_second:,.0f} characters/s"
    return f"loss {loss:.3f} nats{score}, {speed}, {_clock(left)} left"


def _line(step: Step, text: str) -> str:
    """One line for an evaluation: when, how good, and what the model writes now."""
    best = "" if step.best_step == step.number else f" (best at step {step.best_step:,})"
    head = f"{_clock(step.seconds):>6}  {step.val_bits_per_character:.3f} bits per character{best}  "
    room = max(30, shutil.get_terminal_size().columns - len(head) - 1)
    return head + " ".join(text.split())[:room]


def _metrics(step: Step, loss: float) -> dict[str, Any]:
    score = step.score
    return {
        "step": step.number,
        "seconds": round(step.seconds, 2),
        "ids": step.ids,
        "training_nats_per_token": loss,
        "val_nats_per_token": score.nats_per_token if score else None,
        "val_bits_per_character": score.bits_per_character if score else None,
        "final": step.finished,
    }


def _report(last: Step, beaten: dict[str, float], folder: Path, kept_apart: int) -> None:
    if last.remark:
        say(f"stopped early: {last.remark}")
    if last.score:
        part = f" (of {kept_apart:,} ids kept apart)" if last.score.tokens + 1 < kept_apart else ""
        than = ", ".join(f"{name} {bits:.3f}" for name, bits in beaten.items())
        say(
            f"done     {last.score.bits_per_character:.3f} bits per character ({than})\n"
            f"         {last.score.nats_per_token:.4f} nats per token, on "
            f"{last.score.characters:,} characters it never saw{part}\n"
            f"         best at step {last.best_step:,} of {last.number:,}, in {_clock(last.seconds)}"
        )
    else:
        say(f"done     {last.number:,} steps in {_clock(last.seconds)}, without validation")
    say(f"model    {folder}\nwrite    chargen sample -m {shlex.quote(str(folder))} --prompt …")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
