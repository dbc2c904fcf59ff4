"""Ctrl-C and its kin: the first one asks for a stop after the step, the second leaves at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, `kill`, a terminal that was closed


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """A list that the numbers of signals are put in; those that are ignored, as by nohup, stay so."""
    asked: list[int] = []

    def note(number: int, _frame: Any) -> None:
        if asked:
            os._exit(128 + number)  # nothing is tidied up: what was kept last is whole
        asked.append(number)

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
