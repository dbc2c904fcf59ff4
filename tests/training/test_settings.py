"""Settings of the whole process, such as torch's threads, are the caller's again after every step."""

import gc

import pytest
import torch

from chargen import Labelled, Run, TextClassifier, TextGenerator
from chargen.data.corpus import prepare
from chargen.data.text import Text
from chargen.device import at_most_threads, flush_denormals, flushes_denormals
from chargen.runs.saved import state_folders
from chargen.training import loop, planner, speed
from chargen.training.config import TrainConfig
from chargen.training.loop import isolated

TEXT = "a bird sings and waits. " * 200
SETTINGS = {"minutes": 0.05, "batch": 4, "window": 16}


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """A process with two threads, in which one is measured to be far faster."""
    for module in (planner, speed):
        monkeypatch.setattr(module, "probe_flops", lambda *_: 1e9 / torch.get_num_threads() ** 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
    torch.set_flush_denormal(False)


@pytest.fixture(params=[False, True], ids=["denormals", "flushed"])
def flushed(request):
    """Whether the caller flushes denormal numbers."""
    torch.set_flush_denormal(request.param)
    return request.param


@pytest.fixture
def inside(monkeypatch):
    """The (threads, flushed) of each step, as it is computed."""
    seen, share = [], loop.rate_share

    def spy(done):
        seen.append((torch.get_num_threads(), flushes_denormals()))
        return share(done)

    monkeypatch.setattr(loop, "rate_share", spy)
    return seen


def outside():
    return torch.get_num_threads(), flushes_denormals()


def test_settings_hold_for_their_block_only(flushed):
    assert outside() == (2, flushed)
    with at_most_threads(1), flush_denormals():
        assert outside() == (1, True)
        with at_most_threads(2), flush_denormals():
            assert outside() == (1, True)
        assert outside() == (1, True)
    assert outside() == (2, flushed)
    with at_most_threads(None):
        assert torch.get_num_threads() == 2


def test_flushing_is_seen_in_a_product_of_torch(flushed):
    assert (torch.tensor([1e-30]) * 1e-15 == 0).item() == flushes_denormals() == flushed


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["end", "break", "close", "garbage", "error"])
def test_a_training_leaves_the_settings_of_its_caller_alone(flushed, inside, ending, monkeypatch):
    writer = TextGenerator.new(TEXT, hidden_size=8)
    steps = writer.train(TEXT, **SETTINGS)
    assert outside() == (2, flushed)
    for step in steps:
        assert outside() == (2, flushed)
        if ending == "break" and step.number == 3:
            break
        if step.number == 3 and ending != "end":
            if ending == "close":
                steps.close()
            elif ending == "garbage":
                del steps
                gc.collect()
            elif ending == "error":
                monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", None)
                with pytest.raises(TypeError):
                    next(steps)
            break
    assert outside() == (2, flushed)
    assert inside
    assert set(inside) == {(1, True)}


@pytest.mark.slow
def test_so_does_that_of_a_classifier(flushed, inside):
    data = Labelled(["la gare", "the station"] * 20, ["fr", "en"] * 20, "x", "0" * 64)
    reader = TextClassifier.new(data, hidden_size=8)
    for _ in reader.train(data, minutes=0.02):
        assert outside() == (2, flushed)
    assert outside() == (2, flushed)
    assert set(inside) == {(1, True)}


@pytest.mark.slow
def test_so_does_one_in_a_folder_and_its_state_knows_the_threads(flushed, inside, tmp_path):
    writer = TextGenerator.new(TEXT, hidden_size=8)
    corpus = prepare(Text.from_string(TEXT))
    config = TrainConfig(steps=30, batch=4, window=16)
    with Run(tmp_path, save_seconds=0) as run:
        for step in run.begin(writer, corpus, config, threads=1):
            assert outside() == (2, flushed)
            if step.number == 5:
                break
    assert outside() == (2, flushed)
    with Run(tmp_path) as run:
        saved = run.saved()
        assert saved.environment["threads"] == 1
        steps = run.resume(saved, TEXT)
        assert outside() == (2, flushed)
        assert saved.inexact() == ""
        for _ in steps:
            assert outside() == (2, flushed)
    assert outside() == (2, flushed)
    assert set(inside) == {(1, True)}
    assert len(state_folders(tmp_path)) == 2


def test_a_plan_has_the_threads_and_leaves_those_of_the_process_alone():
    corpus, cpu = prepare(Text.from_string(TEXT)), torch.device("cpu")
    chosen = planner.plan(corpus, cpu, TrainConfig(minutes=1), {})
    assert chosen.threads == 1
    assert torch.get_num_threads() == 2
    slower = planner.plan(corpus, cpu, TrainConfig(minutes=1), {"hidden_size": 64})
    assert f"{1e9 / speed.flops_per_token(slower.model):,.0f} per second, on 1 of 2" in slower.reason


def test_what_a_training_returns_and_raises_comes_through():
    def steps():
        yield 1
        yield 2
        return "the end"

    def outer(inner):
        result = yield from isolated(inner, 1)
        yield result

    assert list(outer(steps())) == [1, 2, "the end"]
    closed = []

    def left():
        try:
            yield torch.get_num_threads()
        finally:
            closed.append(torch.get_num_threads())

    inner = isolated(left(), 1)
    assert next(inner) == 1
    inner.close()
    assert closed == [1]
    assert torch.get_num_threads() == 2
