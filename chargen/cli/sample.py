"""`chargen sample`: writes text."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

import click

from chargen.cli.inspect import copies
from chargen.cli.inspect.copies import find_index
from chargen.cli.models import load_model, model_folder
from chargen.cli.options import Number, Source, model_option
from chargen.cli.terminal import read_text, say, shown

if TYPE_CHECKING:
    from chargen.generation.decoder import Clamp
    from chargen.generation.prefix import Prefix


class Clamping(click.ParamType):  # type: ignore[type-arg]
    """A component of the state and the value that it is held at."""

    name = "clamp"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from chargen.generation.decoder import Clamp

        if isinstance(value, Clamp):
            return value
        found = re.fullmatch(r"(\d{1,9}):(\d{1,9})=([-+]?[\d.]+(?:e[-+]?\d+)?)", value.strip())
        try:
            assert found
            return Clamp(int(found[1]), int(found[2]), float(found[3]))
        except (AssertionError, ValueError):
            self.fail(f"{value!r} is not of the form LAYER:COMPONENT=VALUE, such as 1:170=-2.5")


@click.command(short_help="Write text, streamed as it is drawn.")
@model_option
@click.option("-p", "--prompt", default="", metavar="TEXT", help="What the text begins with.")
@click.option(
    "--prompt-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Read the prompt from a file; - is standard input. A last newline is dropped.",
)
@click.option(
    "-n", "--length", type=click.IntRange(0), default=500, help="Characters of new text, at most."
)
@click.option(
    "--temperature",
    type=Number(min=0),
    default=0.8,
    help="0 always takes the likeliest character, below 1 is safer, above 1 wilder.",
)
@click.option("--top-k", type=click.IntRange(1), help="Draw among the k likeliest only.")
@click.option(
    "--top-p",
    type=Number(min=0, max=1, min_open=True),
    help="Draw among the fewest likeliest whose probabilities add up to p.",
)
@click.option(
    "--min-p",
    type=Number(min=0, max=1),
    help="Draw among those at least this likely, relative to the likeliest.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="The same seed writes the same text.  [default: drawn and shown]",
)
@click.option("--num", type=click.IntRange(1, 10_000), default=1, help="How many texts.")
@click.option(
    "--max-copy",
    type=click.IntRange(1),
    metavar="N",
    help="Never copy more than N characters in a row from the corpus.",
)
@click.option("--report-copies", is_flag=True, help="Say, on stderr, what is copied from the corpus.")
@click.option(
    "--corpus",
    multiple=True,
    type=Source(),
    help="Where the corpus is, for these two.  [default: where it was in training]",
)
@click.option(
    "--clamp",
    multiple=True,
    type=Clamping(),
    metavar="LAYER:COMPONENT=VALUE",
    help="Hold a component of the state at a value; repeatable. See `chargen inspect states`.",
)
@click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; repeatable.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "skip"]),
    default="error",
    help="What happens to a character of the prompt that the model has never seen, and whose "
    'relatives (é: e, “: ") it has not seen either.',
)
@click.option(
    "--weights",
    type=click.Choice(["fp32", "int8"]),
    default="fp32",
    help="int8 is faster for large models and many texts, and a little less exact.",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    help="Where to write; a GPU pays for many texts.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def sample(
    model: str | None,
    prompt: str,
    prompt_file: IO[bytes] | None,
    seed: int | None,
    num: int,
    unknown: str,
    max_copy: int | None,
    report_copies: bool,
    corpus: tuple[str, ...],
    clamp: tuple[Clamp, ...],
    weights: str,
    device: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Writes text that begins with a prompt, and streams it to stdout as it is drawn.

    A model of documents (trained with --split-on) ends where a document ends; with --num, several
    texts are written side by side, one after the other on the screen.

    \b
      chargen sample --prompt "The function "
      chargen sample -m checkpoints/shakespeare -p "ROMEO:" --temperature 0.7 --seed 7
      chargen sample -m checkpoints/names --num 20
      echo "def read(self" | chargen sample --prompt-file - --stop "def "

    What a model has learned by heart it copies: --report-copies says how much, and --max-copy keeps it
    from doing so. --clamp holds one number of its state, to see what that one is for.

    \b
      chargen sample -m checkpoints/poems --max-copy 30 --report-copies
      chargen sample -m checkpoints/code --prompt "def " --clamp 1:170=-1

    With --json: model, prompt, seed, samples and, with --report-copies, copies.
    """
    if prompt_file is not None:
        if prompt:
            raise click.UsageError("give --prompt or --prompt-file, not both")
        prompt = read_text(prompt_file, "the prompt")
    folder = model_folder(model)
    writer = load_model(folder)
    prompt, notes = writer.tokenizer.adapt(prompt, skip=unknown == "skip")
    for note in notes:
        say(f"note: {note}")
    index = None
    if max_copy is not None or report_copies:
        index = find_index(folder, corpus, writer=writer)
    elif corpus:
        raise click.UsageError("--corpus is for --max-copy and --report-copies; give one of them")
    mark = writer.read(prompt, weights, device).clamped(*clamp)
    if max_copy is not None and index:
        mark = mark.limited(index.limit(max_copy))
    if seed is None:
        seed = secrets.randbits(32)
        say(f"seed: {seed}")
    options["seed"] = seed

    if as_json or num > 1:
        texts = [mark.text + new for new in mark.generate_many(num=num, **options)]
    if as_json:
        record = {"model": folder, "prompt": prompt, "seed": seed, "samples": texts}
        if index and report_copies:
            record["copies"] = [copies.record(index.report(text)) for text in texts]
        click.echo(json.dumps(record, ensure_ascii=False))
        return
    if num > 1:
        documents = writer.tokenizer.end_id is not None
        for text in texts:
            click.echo(shown(text, sys.stdout) + ("" if documents else "\n"))
    else:
        texts = [_streamed(mark, options)]
    if index and report_copies:
        for number, text in enumerate(texts, start=1):
            say(f"copies{f' in text {number:,}' if num > 1 else ''}:")
            for line in copies.lines(index.report(text)):
                say(f"  {line}")


def _streamed(mark: Prefix, options: dict[str, Any]) -> str:
    """Writes a text to stdout as it is drawn; returns it."""
    written, flushed = [], time.monotonic()
    for piece in chain([mark.text], mark.stream(**options)):
        written.append(piece)
        sys.stdout.write(shown(piece, sys.stdout))
        if time.monotonic() - flushed > 0.02:  # a flush takes longer than a character
            sys.stdout.flush()
            flushed = time.monotonic()
    click.echo()
    return "".join(written)
