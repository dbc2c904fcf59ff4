"""What the tests share: a cache of their own, and a small corpus that a model can learn."""

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from chargen import Labelled, TextGenerator
from chargen.cli.main import main

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    # The models of the tests are too small to share between cores.
    torch.set_num_threads(1)


@pytest.fixture(scope="module")  # Playwright's event loop must end before a test needs its own
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium to open the page with")
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs chargen in an empty folder; returns (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, stdin=None, env=None):
        result = CliRunner().invoke(main, list(map(str, arguments)), input=stdin, env=env)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


@contextmanager
def _signals_reach_children():
    """Lets a process that is started meanwhile heed the signals that this one ignores.

    A shell starts its background jobs with SIGINT ignored, nohup with SIGHUP, and an ignored signal
    stays ignored in a child. One that is handled goes back to its default there, on exec.
    """
    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    ignored = [n for n in numbers if n is not None and signal.getsignal(n) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts the real command in an empty folder; to be used in a `with` statement."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def start(*arguments, **options):
        command = [sys.executable, "-m", "chargen", *map(str, arguments)]
        options = {"stdout": -1, "stderr": -1, "text": True, "cwd": tmp_path, **options}
        with _signals_reach_children():
            return subprocess.Popen(command, **options)

    return start


@pytest.fixture
def call(start):
    """Runs the real command to its end; returns (exit status, stdout, stderr)."""

    def call(*arguments, **options):
        with start(*arguments, **options) as process:
            out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return call


@pytest.fixture(scope="session")
def sign():
    """Makes the manifest of a folder agree with its files, as someone would who lies on purpose."""

    def sign(folder):
        sums = json.loads((folder / "manifest.json").read_text())
        for name in sums:
            sums[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(sums))

    return sign


@pytest.fixture(scope="session")
def verse() -> str:
    """Lines put together from a few words: easy to learn, with some choice left at each word."""
    rng = random.Random(0)
    subjects, verbs, ends = ["the sea", "a bird", "my heart"], ["sings", "waits"], ["now", "still"]
    return "".join(
        f"{rng.choice(subjects)} {rng.choice(verbs)} {rng.choice(ends)}\n" for _ in range(400)
    )


@pytest.fixture(scope="session")
def poet(verse) -> TextGenerator:
    """A generator that has learned the verse."""
    writer = TextGenerator.new(verse, hidden_size=32, embedding_size=16)
    for _ in writer.train(verse, steps=150):
        pass
    return writer


@pytest.fixture(scope="session")
def moods() -> Labelled:
    """Two kinds of sentences that differ by one word."""
    rng = np.random.default_rng(0)
    nouns, ends = ["sea", "bird", "heart", "town"], ["today", "again", "now", "here"]
    texts, labels = [], []
    for number in range(240):
        word, label = [("good", "glad"), ("bad", "sad")][number % 2]
        texts.append(f"the {rng.choice(nouns)} was {word} {rng.choice(ends)} {rng.integers(100)}")
        labels.append(label)
    return Labelled(texts, labels, "moods")
