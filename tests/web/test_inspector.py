"""Comparing cells trains in the server itself, and ends with whoever asked for it."""

import threading
import time

import pytest
import torch

from chargen.web import inspector as inspector_module
from chargen.web.generation import Engine
from chargen.web.inspector import CELLS, Inspector
from chargen.web.model_store import ModelStore

pytestmark = pytest.mark.slow


@pytest.fixture
def inspector(tmp_path):
    store = ModelStore(tmp_path)
    return Inspector(store, Engine(store))


def test_the_cells_are_compared_within_the_process(inspector, monkeypatch):
    monkeypatch.setattr(inspector_module, "CELL_SECONDS", 0.6)
    monkeypatch.setattr("subprocess.Popen", None)
    threads = torch.get_num_threads()
    *waiting, (_, gradients) = inspector.compare_cells()
    assert waiting
    assert all(not early for _, early in waiting)
    assert list(gradients) == list(CELLS)
    assert torch.get_num_threads() == threads


def test_a_comparison_that_nobody_waits_for_ends(inspector):
    before = threading.active_count()
    comparison = inspector.compare_cells()
    next(comparison)
    assert threading.active_count() == before + 1
    comparison.close()
    began = time.monotonic()
    while threading.active_count() > before:
        assert time.monotonic() - began < 20  # reading the corpus comes first
        time.sleep(0.05)
