"""Plots need matplotlib, and say so."""

import numpy as np
import pytest

from chargen import ChargenError
from chargen.rendering import plots


def test_without_matplotlib_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ChargenError, match=r"chargen\[plots\]"):
        plots.plot_heatmap("a.png", "ab", [{"hidden": np.zeros((2, 3), np.float32)}], "hidden")
