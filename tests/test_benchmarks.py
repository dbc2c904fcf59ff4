"""Each benchmark runs to its end, as small as it can be; what it measures is not looked at here."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import benchmarks
from benchmarks import (
    classification,
    classification_speed,
    copies,
    export,
    gpu,
    sampling,
    saving,
    scale,
    start,
    training,
)
from chargen.generator import STARTER

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Calls are timed for a moment, and what is written goes to a folder of its own."""
    monkeypatch.setattr(benchmarks, "BUDGET", 0.01)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the processes that some of them start


def is_sound(row):
    """Whether each figure is there, and above zero."""
    return all(value > 0 for value in row.values() if isinstance(value, float))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_export(monkeypatch, capsys):
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    monkeypatch.setattr(export, "LENGTH", 200)
    monkeypatch.setattr("sys.argv", ["export", "--json", "--hidden", "8"])
    export.main()
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert is_sound(row)
    assert row["requests"] == 0


def test_start(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["start", "--json", "--runs", "1"])
    start.main()
    assert is_sound(json.loads(capsys.readouterr().out)["rows"][0])


def test_sampling(monkeypatch, capsys):
    for name in ("STEPS", "LOOP_STEPS", "STREAMS", "READ"):
        monkeypatch.setattr(sampling, name, 4)
    row = sampling.measure(layers=1, hidden=16)
    assert is_sound(row)
    sampling.lost(str(STARTER), "python-docs")
    benchmarks.report([row], as_json=False)
    assert "1x16" in capsys.readouterr().out


def test_training(monkeypatch):
    monkeypatch.setattr(training, "GEMM", 64)
    assert is_sound(training.measure(layers=1, hidden=8, batch=2, window=8))
    assert is_sound(training.learn("python-docs", minutes=0.01, hidden=8))


def test_saving():
    row = saving.measure(hidden=8, minutes=0.02)
    assert is_sound(row)
    assert row["states"] >= 2


def test_scale(monkeypatch, tmp_path):
    monkeypatch.setattr(scale, "ROUNDS", 1)
    monkeypatch.setattr(scale, "STEPS", 1)
    rows = scale.measure([20_000, 40_000], tmp_path)
    assert [row["megabytes"] for row in rows] == [0.02, 0.04]


def test_classification_speed(monkeypatch):
    for name, count in (("LINES", 3000), ("ORDINARY", 100), ("ALONE", 2)):
        monkeypatch.setattr(classification_speed, name, count)
    row = classification_speed.measure(layers=1, hidden=8)
    assert is_sound(row)
    assert row["prefixes_per_token"] < 0.6


def test_copies(monkeypatch, tmp_path):
    monkeypatch.setattr(copies, "PIECES", 20)
    copies.write_corpus(tmp_path / "corpus.txt", 50_000)
    assert copies.measure(tmp_path / "corpus.txt")["characters"] == 50_000


def test_classification():
    names = classification.made_names(200, countries=3)
    (row,) = classification.measure(names, 0.2, seeds=2, hidden=8, steps=5)
    assert is_sound({key: value for key, value in row.items() if "±" not in key})
    rows = classification.measure(names, 0.2, seeds=1, crops=True, peer=False, hidden=8, steps=5)
    assert [row["on"] for row in rows] == ["texts", "words"]  # a name has no pairs of words


def test_page():
    pytest.importorskip("playwright", reason="Playwright is not installed (the extra `page`)")
    if not shutil.which("chromium"):
        pytest.skip("there is no Chromium to open the page with")
    from benchmarks import page

    assert is_sound(page.measure(times=1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu():
    assert is_sound(gpu.measure(hidden=128, batch=8, window=16))


def test_none_is_forgotten():
    tests = Path(__file__).read_text(encoding="utf-8")
    for path in (ROOT / "benchmarks").glob("[!_]*.py"):
        assert f"def test_{path.stem}(" in tests
