"""JSON from a file, checked before anything is made of it."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from chargen.errors import ChargenError

T = TypeVar("T")


class OtherVersion(ChargenError):
    """Raised for a file whose names are not those that this version of chargen writes.

    `message` says which one is missing or unknown. A file with the right sum is as it was written, so
    another version has written it.
    """


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


def make(cls: type[T], values: dict[str, Any]) -> T:
    """Returns the dataclass with the fields `values`.

    Raises OtherVersion for a field that it does not have, or that is missing; whatever else it raises
    is about the values.
    """
    defaults = {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(cls)}  # type: ignore[arg-type]
    for name in values.keys() - defaults:
        raise OtherVersion(f"it has a {name!r}, which this version does not know")
    for name, is_required in defaults.items():
        if is_required and name not in values:
            raise OtherVersion(f"it lacks a {name!r}")
    return cls(**values)


def conform(value: Any, schema: Any, name: str) -> None:
    """Raises ChargenError, with the `name` of the value, unless a JSON value fits a schema.

    {"step": int, "note": str | None}    an object with at least these keys
    str                                  a value of the type
    int | float                          a number from 0 to 2**63 - 1

    For a key that is missing, it is an OtherVersion.
    """
    if isinstance(schema, dict):
        fits = isinstance(value, dict)
        for key in schema.keys() - value.keys() if fits else ():
            raise OtherVersion(f"it lacks {name}.{key}")
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
