"""Options that several commands share, the types of their values, and their names in errors."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Number(click.FloatRange):
    """A finite number within a range; Click's own ranges accept NaN and infinity."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Several(click.ParamType):  # type: ignore[type-arg]
    """Values separated by commas, each checked by the type `kind`."""

    name = "list"

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, list):
            return value
        return [self._kind.convert(part.strip(), param, ctx) for part in value.split(",")]


class Source(click.ParamType):  # type: ignore[type-arg]
    """The source of a text: a file, a folder, - for standard input, or the built-in corpus."""

    name = "source"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from chargen.data.text import BUILTIN

        if value not in ("-", BUILTIN) and not os.path.exists(value):
            self.fail(f"there is no file or folder {value!r}; the built-in corpus is {BUILTIN!r}")
        return value


def model_option(
    what: str = "Checkpoint folder",
    default: str = "the newest under ./checkpoints, else the starter model in the package",
) -> Decorator:
    """Returns -m/--model, whose help says `what` it is and describes its `default`."""
    shown = f"{what}, or hf:user/name on the Hugging Face Hub.  [default: {default}]"
    return click.option("-m", "--model", metavar="DIR", help=shown)


def seed_option(what: str = "Seed of all randomness.", default: int | None = 0) -> Decorator:
    """Returns --seed, whose help says `what` it decides."""
    return click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=default, help=what)


device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    help="Device to train on.",
)

encoding_option = click.option("--encoding", default="utf-8", help="Encoding of the text.")

unknown_option = click.option(
    "--unknown",
    type=click.Choice(["error", "skip"]),
    default="error",
    help="What to do with a character that the model does not know and that has no substitute, such "
    "as e for é.",
)

tokenizer_option = click.option(
    "--tokenizer",
    type=click.Choice(["char", "byte", "bpe", "unigram"]),
    default="char",
    help="What a token is: a character, a byte of UTF-8, or a piece found by SentencePiece.",
)

vocab_size_option = click.option(
    "--vocab-size",
    type=click.IntRange(300, 60_000),
    default=1024,
    help="Number of pieces in the vocabulary of bpe and unigram.",
)

at_least_option = click.option(
    "--at-least",
    type=Number(min=0, max=1),
    help="Probability below which the likeliest class is no answer.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of text."
)


def was_given(context: click.Context, name: str) -> bool:
    """Returns whether a person set the option `name`, on the command line or by a variable."""
    source = context.get_parameter_source(name)
    return source in (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)


# Terms whose name is not just that of an option with dashes.
_OPTIONS = {
    "compress": "`chargen compress`",
    "embedding_size": "--embedding",
    "hidden_size": "--hidden",
    "learning_rate": "--lr",
    "num_layers": "--layers",
    "skip_unknown": "--unknown skip",
    "train": "`chargen train`",
}


def option_name(term: str) -> str:
    """Returns the command line's name for a term in the hint of a ChargenError."""
    return _OPTIONS.get(term, f"--{term.replace('_', '-')}")
