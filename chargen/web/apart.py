"""Work in a thread of its own, while a visitor sees for how long it has been going on.

Gradio takes each item of a generator in another thread, but the number of torch's threads and the
flushing of denormals, which a training sets and puts back, belong to one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

R = TypeVar("R")


class Closed(Exception):
    """Raised in the thread where the visitor has left, or Python ends."""


def run_apart(work: Callable[[Callable[[], None]], R]) -> Iterator[tuple[float, R | None]]:
    """Runs `work(check)` in a thread; yields (seconds, None) about once a second, then its result.

    `work` calls `check` after each step. When the iterator is closed, `check` raises `Closed`. What
    else `work` raises is raised here.
    """
    began, closed, result = time.monotonic(), threading.Event(), Future[R]()

    def check() -> None:
        # Python waits for this thread before it exits.
        if closed.is_set() or not threading.main_thread().is_alive():
            raise Closed

    def run() -> None:
        try:
            result.set_result(work(check))
        except BaseException as error:  # raised again where the result is asked for
            result.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while not result.done():
            yield time.monotonic() - began, None
            thread.join(timeout=1)
    finally:
        closed.set()
    yield time.monotonic() - began, result.result()
