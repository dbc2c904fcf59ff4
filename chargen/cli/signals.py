"""Stops a loop on Ctrl-C, SIGTERM or SIGHUP, after its current step; a second signal exits at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, `kill`, a terminal that was closed


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """Yields a list that fills with the numbers of received signals.

    Signals that are ignored, as SIGHUP is under nohup, stay ignored.
    """
    received: list[int] = []

    def on_signal(number: int, _frame: Any) -> None:
        if received:
            os._exit(128 + number)  # without any cleaning up: what was saved last is complete
        received.append(number)

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, on_signal) for number in handled}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
