"""Numbers that a visitor or a program has sent, checked by one rule before anything uses them."""

from __future__ import annotations

import math
from typing import Any

from chargen.errors import ChargenError

_SHOWN = 40  # characters of a refused value


def typed(text: str | None) -> int | float | str | None:
    """Returns the number that the content of a field spells, or else the content; None if it is empty.

    A comma may stand for the decimal point.
    """
    text = (text or "").strip()
    for read, spelled in ((int, text), (float, text), (float, text.replace(",", "."))):
        try:
            return read(spelled)
        except ValueError:
            continue
    return text or None


def integer(value: Any, label: str, low: int | None = None, high: int | None = None) -> int:
    """Returns `value` as a whole number; `label` names it in the error.

    Raises ChargenError for everything else that a request may hold: nothing, a text, a fraction,
    infinity, and a number outside `low` to `high`, both of which are allowed.
    """
    result = _finite(value)
    if result is None or result != math.floor(result) or not _within(result, low, high):
        raise _refusal(value, label, "a whole number", low, high)
    return int(result)


def number(value: Any, label: str, low: float | None = None, high: float | None = None) -> float:
    """Returns `value` as a finite number; raises ChargenError as `integer` does."""
    result = _finite(value)
    if result is None or not _within(result, low, high):
        raise _refusal(value, label, "a number", low, high)
    return float(result)


def _finite(value: Any) -> int | float | None:
    """Returns a number, or None for anything that is none or has no finite float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # an integer of more than 308 digits
        return None


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _refusal(value: Any, label: str, kind: str, low: float | None, high: float | None) -> ChargenError:
    if low is not None and high is not None:
        kind += f" from {_written(low)} to {_written(high)}"
    elif low is not None:
        kind += f", at least {_written(low)}"
    elif high is not None:
        kind += f", at most {_written(high)}"
    return ChargenError(f"{label} must be {kind}; it is {_shown(value)}")


def _written(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:,g}"


def _shown(value: Any) -> str:
    """Returns a refused value in a few words."""
    if value is None or value == "":
        return "empty or no number"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return "far too large"  # Python refuses to print more than 4,300 digits
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
