"""Options that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from chargen.data.text import BUILTIN

if TYPE_CHECKING:
    pass


class Number(click.FloatRange):
    """A finite number within a range: Click's own ranges let NaN and infinity through."""

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
    """Where a text comes from: a file, a folder, - for standard input, or the built-in corpus."""

    name = "source"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value not in ("-", BUILTIN) and not os.path.exists(value):
            self.fail(f"there is no file or folder {value!r}; the built-in corpus is {BUILTIN!r}")
        return value


def model_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """-m/--model, the same for every command that reads a model."""
    return click.option(
        "-m",
        "--model",
        metavar="DIR",
        help="The checkpoint folder.  [default: the newest under ./checkpoints, "
        "else the starter model in the package]",
    )(command)


def was_given(context: click.Context, name: str) -> bool:
    """Whether a person said it, as an option or as a variable, rather than left it to its default."""
    source = context.get_parameter_source(name)
    return source in (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)


# What an option is called where its name is not that of the library's parameter.
_OPTIONS = {
    "embedding_size": "--embedding",
    "hidden_size": "--hidden",
    "learning_rate": "--lr",
    "num_layers": "--layers",
    "skip_unknown": "--unknown skip",
    "train": "`chargen train`",
}


def option_name(term: str) -> str:
    """Returns what a term of the library's errors is called on the command line."""
    return _OPTIONS.get(term, f"--{term.replace('_', '-')}")
