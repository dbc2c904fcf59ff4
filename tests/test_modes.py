"""Whatever modes of torch the caller has set, chargen computes the same, and leaves them."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from chargen import ClassifierRun, Labelled, Run, TextClassifier, TextGenerator
from chargen.training.config import TrainConfig


@contextmanager
def double():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def meta_by_default():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


MODES = {
    "float64": double,
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "meta": lambda: torch.device("meta"),
    "meta by default": meta_by_default,
}


def generator(verse, folder):
    """Trains, keeps, resumes, loads and uses a generator; returns all that it gave."""
    writer = TextGenerator.new(verse, hidden_size=16, dropout=0.1)
    with Run(folder / "run") as run:
        for _ in run.begin(writer, writer.prepare(verse), TrainConfig(steps=4, batch=4, window=16)):
            pass
    with Run(folder / "run") as run:
        for _ in run.resume(run.saved(), verse, steps=6):
            pass
    writer.save(folder / "writer")
    writer = TextGenerator.load(folder / "run")
    for step in writer.train(verse, steps=3, batch=4, window=16):
        if step.evaluated:
            writer.generate("the ", length=5, seed=1)
    bits = [character.bits for character in writer.surprise("a bird sings").characters()]
    return [
        writer.generate("the ", length=30, seed=1),
        writer.generate_many("the ", num=3, length=30, seed=1),
        writer.read("the ", weights="int8").generate(length=30, seed=1),
        list(writer.read("the ").expected().items()),
        writer.score(verse).nats,
        bits,
        writer.gradients(verse, 20).gradient.tolist(),
        [{k: v.sum() for k, v in layer.items()} for layer in writer.states("a bird sings")],
        [str(component) for component in writer.components(verse[:500])],
        *(weight.detach().numpy().copy() for weight in writer.model.parameters()),
    ]


def classifier(moods, folder):
    """Trains, keeps, loads and uses a classifier; returns all that it gave."""
    reader = TextClassifier.new(moods, hidden_size=8, embedding_size=8)
    with ClassifierRun(folder / "reader") as run:
        for _ in run.begin(reader, reader.prepare(moods, steps=3)):
            pass
    reader = TextClassifier.load(folder / "reader")
    return [
        list(reader.predict("the sea was good").items()),
        reader.explain("the sea was good")[1],
        reader.evaluate(moods).accuracy,
        *(weight.detach().numpy().copy() for weight in reader.model.parameters()),
    ]


def settings():
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("work", [generator, classifier])
def test_r9_the_callers_modes_change_nothing_and_stay(work, mode, verse, moods, tmp_path):
    material = {generator: verse, classifier: Labelled(moods.texts, moods.labels, "moods")}[work]
    expected = work(material, tmp_path / "plain")
    with MODES[mode]():
        before = settings()
        results = work(material, tmp_path / "mode")
        assert settings() == before
    for ours, theirs in zip(expected, results, strict=True):
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)
        else:
            assert ours == theirs


def test_r9_inside_a_training_the_caller_has_the_modes_of_before(verse):
    writer = TextGenerator.new(verse, hidden_size=8)
    with torch.no_grad():
        for _ in writer.train(verse, steps=2, batch=4, window=16):
            assert not torch.is_grad_enabled()
