"""Work in a thread of its own: its result, its errors, and a visitor who leaves."""

import threading
import time

import pytest

from chargen import ChargenError
from chargen.web.apart import Closed, run_apart


def test_the_result_comes_last():
    items = list(run_apart(lambda check: [check(), 7][1]))
    assert [result for _, result in items][-1] == 7
    assert all(result is None for _, result in items[:-1])


def test_an_error_is_raised_where_the_result_is_asked_for():
    def fail(check):
        raise ChargenError("no")

    with pytest.raises(ChargenError, match="no"):
        list(run_apart(fail))


def test_a_visitor_who_leaves_ends_the_work():
    ended = threading.Event()

    def work(check):
        try:
            while True:
                check()
                time.sleep(0.01)
        except Closed:
            ended.set()
            raise

    items = run_apart(work)
    next(items)
    items.close()
    assert ended.wait(5)
