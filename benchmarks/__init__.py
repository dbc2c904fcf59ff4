"""Speeds as ratios, each measured beside its limit in one run on one machine."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from typing import Any

import torch

BUDGET = 3.0  # seconds in which a call is timed again and again


def seconds(call: Callable[[], Any]) -> float:
    """Returns the shortest time of a call within `BUDGET`, in seconds: disturbances only ever add."""
    call()
    best, ends = float("inf"), time.perf_counter() + BUDGET
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
    """Names the processor, the number of threads and the version of torch behind a figure."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        name = models[0] if models else name
    except OSError:
        pass  # a system without /proc
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return str(value)
