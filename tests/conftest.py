"""What the tests share: a cache of their own, and a small corpus that a model can learn."""

import random

import pytest
import torch

from chargen import TextGenerator


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    # The models of the tests are too small to share between cores.
    torch.set_num_threads(1)


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
