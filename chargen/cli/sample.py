"""`chargen sample`: generates text."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from collections.abc import Iterable
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

import click

from chargen.cli.copy_report import as_lines, as_record, open_index
from chargen.cli.models import import_torch, load_model, model_folder
from chargen.cli.options import (
    Number,
    Source,
    json_option,
    model_option,
    seed_option,
    unknown_option,
)
from chargen.cli.terminal import read_text, say, say_escapes, say_notes, shown

if TYPE_CHECKING:
    from chargen.generation.decoder import Clamp

FLUSH_SECONDS = 0.02  # between two flushes: one takes longer than drawing a character


class ClampType(click.ParamType):  # type: ignore[type-arg]
    """A component of the state and the value that it is held at, LAYER:COMPONENT=VALUE."""

    name = "clamp"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from chargen.generation.decoder import Clamp

        if isinstance(value, Clamp):
            return value
        match = re.fullmatch(r"(\d{1,9}):(\d{1,9})=([-+]?[\d.]+(?:e[-+]?\d+)?)", value.strip())
        try:
            assert match
            return Clamp(int(match[1]), int(match[2]), float(match[3]))
        except (AssertionError, ValueError):
            self.fail(f"{value!r} is not of the form LAYER:COMPONENT=VALUE, such as 1:170=-2.5")


@click.command
@model_option()
@click.option("-p", "--prompt", default="", metavar="TEXT", help="Beginning of the text.")
@click.option(
    "--prompt-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Read the prompt from a file, or from standard input (-). A newline at its end is dropped.",
)
@click.option(
    "-n",
    "--length",
    type=click.IntRange(0),
    default=500,
    help="Maximum number of characters to generate.",
)
@click.option(
    "--temperature",
    type=Number(min=0),
    default=0.8,
    help="0 always takes the likeliest character, below 1 is safer, above 1 wilder.",
)
@click.option("--top-k", type=click.IntRange(1), help="Draw among the K likeliest characters only.")
@click.option(
    "--top-p",
    type=Number(min=0, max=1, min_open=True),
    help="Draw among the likeliest characters, as many as together have the probability P.",
)
@click.option(
    "--min-p",
    type=Number(min=0, max=1),
    help="Draw among the characters at least P times as likely as the likeliest one.",
)
@seed_option("The same seed gives the same text.  [default: drawn, and shown]", default=None)
@click.option("--num", type=click.IntRange(1, 10_000), default=1, help="Number of texts.")
@click.option(
    "--max-copy",
    type=click.IntRange(1),
    metavar="N",
    help="Never copy more than N characters in a row from the corpus.",
)
@click.option("--report-copies", is_flag=True, help="Report on stderr what is copied from the corpus.")
@click.option(
    "--corpus",
    multiple=True,
    type=Source(),
    help="Text that --max-copy and --report-copies compare with; repeatable.  "
    "[default: the one that the model was trained on]",
)
@click.option(
    "--clamp",
    multiple=True,
    type=ClampType(),
    metavar="LAYER:COMPONENT=VALUE",
    help="Hold a component of the state at a value; repeatable. See `chargen inspect states`.",
)
@click.option("--stop", multiple=True, metavar="TEXT", help="Stop before this text; repeatable.")
@unknown_option
@click.option(
    "--weights",
    type=click.Choice(["fp32", "int8"]),
    default="fp32",
    help="int8 writes the same text on every machine, and is faster for large models and many texts.",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    help="Device to generate on; a GPU pays off for many texts.",
)
@json_option
def sample(
    model: str | None,
    prompt: str,
    prompt_file: IO[bytes] | None,
    length: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    seed: int | None,
    num: int,
    max_copy: int | None,
    report_copies: bool,
    corpus: tuple[str, ...],
    clamp: tuple[Clamp, ...],
    stop: tuple[str, ...],
    unknown: str,
    weights: str,
    device: str,
    as_json: bool,
) -> None:
    """Generates text that begins with a prompt, and streams it to stdout as it is drawn.

    A model of documents (trained with --split-on) ends where a document ends. With --num, several
    texts are generated side by side and printed one after the other.

    \b
      chargen sample --prompt "The function "
      chargen sample -m checkpoints/shakespeare -p "ROMEO:" --temperature 0.7 --seed 7
      chargen sample -m checkpoints/names --num 20
      echo "def read(self" | chargen sample --prompt-file - --stop "def "

    A model copies what it has memorised: --report-copies shows how much, and --max-copy prevents it.
    --clamp holds one number of the state, to see what that number is for.

    \b
      chargen sample -m checkpoints/poems --max-copy 30 --report-copies
      chargen sample -m checkpoints/code --prompt "def " --clamp 1:170=-1

    With --json: model, prompt, seed, samples and, with --report-copies, copies.
    """
    if prompt_file is not None:
        if prompt:
            raise click.UsageError("give --prompt or --prompt-file, not both")
        prompt = read_text(prompt_file, "the prompt")
    if corpus and max_copy is None and not report_copies:
        raise click.UsageError("--corpus is for --max-copy and --report-copies; give one of them")
    folder = model_folder(model)
    if weights == "int8":
        import_torch(length * num)
    writer = load_model(folder)
    for option, typed in (("--prompt", prompt), *(("--stop", text) for text in stop)):
        say_escapes(typed, option, writer.tokenizer.knows("\\"))
    prompt, notes = writer.tokenizer.adapt(prompt, skip=unknown == "skip")
    say_notes(notes)
    index = None
    if max_copy is not None or report_copies:
        index = open_index(folder, corpus, writer=writer)
    prefix = writer.read(prompt, weights, device).clamped(*clamp)
    if index and max_copy is not None:
        prefix = prefix.limited(index.limit(max_copy))
    if seed is None:
        seed = secrets.randbits(32)
        say(f"seed: {seed}")
    sampling: dict[str, Any] = {
        "length": length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "seed": seed,
        "stop": stop,
    }
    if as_json or num > 1:
        texts = [prefix.text + new for new in prefix.generate_many(num=num, **sampling)]
    if as_json:
        record = {"model": folder, "prompt": prompt, "seed": seed, "samples": texts}
        if index and report_copies:
            record["copies"] = [as_record(index.report(text)) for text in texts]
        click.echo(json.dumps(record, ensure_ascii=False))
        return
    if num > 1:
        _print_texts(texts, writer.record.corpus.split_on)
    else:
        texts = [_print_stream(chain([prefix.text], prefix.stream(**sampling)))]
    if index and report_copies:
        for number, text in enumerate(texts, start=1):
            say(f"copies{f' in text {number:,}' if num > 1 else ''}:")
            for line in as_lines(index.report(text)):
                say(f"  {line}")


def _print_texts(texts: list[str], split_on: str | None) -> None:
    """Prints texts one after another, with what separates documents in their corpus between them.

    Texts of a model that was not trained on documents may hold anything: their beginnings are
    counted on stderr, too.
    """
    from chargen.data.rows import SEPARATOR

    for number, text in enumerate(texts, start=1):
        if split_on is None:
            say(f"--- text {number:,} of {len(texts):,}")
            click.echo(shown(text, sys.stdout) + "\n")
            continue
        if number > 1 and split_on != "line":
            click.echo("" if split_on in ("blank-line", SEPARATOR) else split_on.strip("\n"))
        click.echo(shown(text, sys.stdout))


def _print_stream(pieces: Iterable[str]) -> str:
    """Prints the pieces of a text as they come; returns the text."""
    printed, flushed = [], time.monotonic()
    for piece in pieces:
        printed.append(piece)
        sys.stdout.write(shown(piece, sys.stdout))
        if time.monotonic() - flushed > FLUSH_SECONDS:
            sys.stdout.flush()
            flushed = time.monotonic()
    click.echo()
    return "".join(printed)
