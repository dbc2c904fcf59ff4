"""Speeds as ratios, each measured beside its limit in one run on one machine."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from typing import Any

import torch


def seconds(call: Callable[[], Any], budget: float = 1.0) -> float:
    """The shortest time of a call among those that fit the budget: what disturbs only ever adds."""
    call()
    best, ends = float("inf"), time.perf_counter() + budget
    while time.perf_counter() < ends:
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best


def report(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Prints the rows as a table, or as one JSON object."""
    if as_json:
        print(json.dumps({"machine": machine(), "rows": rows}))
        return
    print(machine())
    table = [list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def machine() -> str:
    """The processor and the versions that a figure belongs to."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        name = models[0] if models else name
    except OSError:
        pass  # not Linux
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return str(value)
