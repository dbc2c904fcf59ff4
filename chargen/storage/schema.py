"""JSON that is checked before anything is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chargen.errors import ChargenError


def parse(path: Path, data: bytes) -> dict[str, Any]:
    """A JSON object; raises ChargenError for anything else, NaN and Infinity included."""
    try:
        value = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ChargenError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise ChargenError(f"{path} is damaged: it does not hold a JSON object")
    return value


def conform(value: Any, shape: Any, name: str) -> None:
    """Raises ChargenError unless a JSON value is what it should be.

    The shape is a type, for all values of a list a list with one shape, for the values of a list or
    an object in turn a tuple or a dictionary of shapes. Numbers are not negative and below 2^63.
    """
    if isinstance(shape, dict):
        fits = isinstance(value, dict) and shape.keys() <= value.keys()
        inner = [(value[key], kind, f"{name}.{key}") for key, kind in shape.items()] if fits else []
    elif isinstance(shape, tuple):
        fits = isinstance(value, list) and len(value) == len(shape)
        inner = [(one, kind, name) for one, kind in zip(value, shape, strict=True)] if fits else []
    elif isinstance(shape, list):
        fits = isinstance(value, list)
        inner = [(one, shape[0], name) for one in value] if fits else []
    else:
        fits = isinstance(value, shape)
        fits &= not isinstance(value, int | float) or 0 <= value < 1 << 63
        inner = []
    if not fits:
        shown = repr(value)
        raise ChargenError(f"{name} is {shown[:60]}{'…' * (len(shown) > 60)}")
    for one in inner:
        conform(*one)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a number")
