"""JSON from a file, checked before anything is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chargen.errors import ChargenError


def parse(path: Path, data: bytes) -> dict[str, Any]:
    """Parses a JSON object; `path` is for the error.

    Raises ChargenError for anything else, and for the NaN and Infinity that Python's parser takes.
    """
    try:
        value = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ChargenError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise ChargenError(f"{path} is damaged: it does not hold a JSON object")
    return value


def conform(value: Any, schema: Any, name: str) -> None:
    """Raises ChargenError, with the `name` of the value, unless a JSON value fits a schema.

    {"step": int, "note": str | None}    an object with at least these keys
    str                                  a value of the type
    int | float                          a number from 0 to 2**63 - 1
    """
    if isinstance(schema, dict):
        fits = isinstance(value, dict) and schema.keys() <= value.keys()
    else:
        fits = isinstance(value, schema)
        fits &= not isinstance(value, int | float) or 0 <= value < 1 << 63
    if not fits:
        shown = repr(value)
        raise ChargenError(f"{name} is {shown[:60]}{'…' * (len(shown) > 60)}")
    if isinstance(schema, dict):
        for key, inner in schema.items():
            conform(value[key], inner, f"{name}.{key}")


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a number")
