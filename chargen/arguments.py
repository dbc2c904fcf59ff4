"""Checks of arguments: each returns the value as a plain type, or an error that says what to write.

Numbers of NumPy and torch are taken like Python's own.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from typing import Any

from chargen.errors import ChargenError

LARGEST = (1 << 63) - 1  # that a seed, a tensor and a file can hold


def count(value: Any, name: str, least: int = 0, most: int = LARGEST) -> int:
    """Returns a whole number from `least` to `most`; 3.0 is taken for 3.

    Raises ChargenError for anything else.
    """
    number = _plain(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or not least <= number <= most:
        limit = f"from {least}" + (f" to {most:,}" if most != LARGEST else "")
        raise ChargenError(f"{name} must be a whole number {limit}, got {shown(value)}")
    return number


def number(
    value: Any,
    name: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """Returns a finite number within the limits that are given.

    Raises ChargenError for anything else.
    """
    limits = {"{:g} or more": least, "above {:g}": above, "at most {:g}": most, "below {:g}": below}
    allowed = [form.format(limit) for form, limit in limits.items() if limit is not None]
    if most is None and below is None:
        allowed.append("finite")
    result = _plain(value)
    if (
        result is None
        or not math.isfinite(result)
        or (least is not None and result < least)
        or (above is not None and result <= above)
        or (most is not None and result > most)
        or (below is not None and result >= below)
    ):
        raise ChargenError(f"{name} must be {' and '.join(allowed)}, got {shown(value)}")
    return result


def text(value: Any, name: str, instead: str = "") -> str:
    """Returns a string as it is.

    Raises ChargenError for anything else; its hint is `instead`, or how to make a string of the value.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray):
        instead = f"decode it: {name}.decode()"
    elif isinstance(value, os.PathLike):
        instead = f"read the file: Path({os.fspath(value)!r}).read_text()"
    elif hasattr(value, "read"):
        instead = f"read it: {name}.read()"
    raise ChargenError(f"{name} must be a string, got {shown(value)}", instead)


def data(value: Any, name: str) -> bytes:
    """Returns bytes; raises ChargenError for anything else."""
    if not isinstance(value, bytes | bytearray | memoryview):
        hint = f"write {name}.encode()" if isinstance(value, str) else ""
        raise ChargenError(f"{name} must be bytes, got {shown(value)}", hint)
    return bytes(value)


def texts(value: Any, name: str) -> list[str]:
    """Returns the strings of an iterable as a list; a single string counts as one, None as none.

    Raises ChargenError for anything else, naming the number of the value that is not a string.
    """
    values = [] if value is None else several(value, name)
    return [text(one, f"{name}[{index}]") for index, one in enumerate(values)]


def several(value: Any, name: str) -> Iterable[Any]:
    """Returns an iterable as it is, and a single string as a list of one.

    Raises ChargenError for anything else.
    """
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable) or isinstance(value, bytes | bytearray):
        raise ChargenError(f"{name} must be strings, got {shown(value)}", "give a list of strings")
    return value


def sources(value: Any, name: str) -> list[str]:
    """Returns the paths of files and folders as strings; a single one counts as a list of one.

    Raises ChargenError for anything else, and for an empty list.
    """
    values = [value] if isinstance(value, str | os.PathLike) else value
    if not isinstance(values, Iterable) or isinstance(values, bytes | bytearray):
        raise ChargenError(f"{name} must be paths, got {shown(value)}", "give a list of paths")
    paths = [os.fspath(one) if isinstance(one, os.PathLike) else one for one in values]
    if not paths:
        raise ChargenError(f"{name} is empty", "give the path of a file or a folder")
    return [text(path, f"{name}[{index}]") for index, path in enumerate(paths)]


def check_ids(ids: Any) -> None:
    """Raises ChargenError unless `ids` is a tensor (T, B) of int64 or int32."""
    kind = str(getattr(ids, "dtype", ""))
    if kind in ("torch.int64", "torch.int32") and ids.ndim == 2:
        return
    form = f"{tuple(ids.shape)} of {kind}" if kind else shown(ids)
    raise ChargenError(
        f"the model reads a tensor of tokens, time × batch, of torch.int64, not {form}",
        'for one text: torch.tensor(writer.tokenizer.encode("…").astype("int64"))[:, None]',
    )


def shown(value: Any) -> str:
    """Returns a value as an error shows it: its repr, unless that is long."""
    form = repr(value)
    return form if len(form) <= 60 and "\n" not in form else f"a value of type {type(value).__name__}"


def _plain(value: Any) -> int | float | None:
    """Returns a number as Python's own int or float, or None where `value` is no single number."""
    if type(value) in (int, float):
        return value  # type: ignore[no-any-return]
    if isinstance(value, bool):
        return None
    for kind, method in ((operator.index, "__index__"), (float, "__float__")):
        try:
            if hasattr(value, method) and not getattr(value, "ndim", 0):
                return kind(value)
        except (TypeError, ValueError, RuntimeError):
            continue
    return None
