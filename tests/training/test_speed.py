"""The measured speed is that of the steps that a training will take, not of the first ones."""

from types import SimpleNamespace

import pytest
import simulated_graph
import torch

from chargen.data.corpus import prepare
from chargen.data.text import Text
from chargen.errors import DeviceError
from chargen.shapes import ModelConfig
from chargen.training import planner, speed
from chargen.training.config import TrainConfig
from chargen.training.soap import Soap
from chargen.training.speed import flops_per_token, probe_flops

CPU = torch.device("cpu")
MODEL = ModelConfig(9, hidden_size=8, embedding_size=4)
CONFIG = TrainConfig(steps=1, batch=2, window=4)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for the seconds that the steps of an optimizer are said to take.

    `clock(cold, warm)` says how long the first step takes, and every other one; it returns the list of
    all steps.
    """
    now, steps = [0.0], []

    def clock(cold, warm):
        step = Soap.step

        def slow(self):
            step(self)
            steps.append(cold if not steps else warm)
            now[0] += steps[-1]

        monkeypatch.setattr(Soap, "step", slow)
        return steps

    monkeypatch.setattr(speed.time, "perf_counter", lambda: now[0])
    clock.now = now
    return clock


def seconds_per_step(flops):
    return CONFIG.batch * CONFIG.window * flops_per_token(MODEL) / flops


@pytest.mark.parametrize("cold", [0.01, 5.0, 60.0])
def test_g6_a_cold_first_step_is_not_counted_and_does_not_end_the_measurement(clock, cold):
    steps = clock(cold, 0.01)
    assert seconds_per_step(probe_flops(CPU, MODEL, CONFIG)) == pytest.approx(0.01)
    assert len(steps) > speed.PROBE_STEPS


def test_g6_at_least_five_steps_are_counted(clock):
    steps = clock(0.1, 0.1)
    probe_flops(CPU, MODEL, CONFIG)
    assert len(steps) == speed.WARM_UP_STEPS + speed.PROBE_STEPS


def test_a_cpu_that_is_slow_is_not_asked_for_as_many(clock):
    steps = clock(2.0, 2.0)
    assert seconds_per_step(probe_flops(CPU, MODEL, CONFIG)) == pytest.approx(2.0)
    assert len(steps) == 2


def test_g15_what_is_measured_are_replays(clock):
    steps = clock(5.0, 0.1)

    def capture(work):
        before = len(steps)
        replay = simulated_graph.capture(work)
        assert len(steps) == before + 1
        return lambda: [replay(), clock.now.__setitem__(0, clock.now[0] + 0.02)]

    before = torch.backends.mkldnn.set_flags(False)
    try:
        assert seconds_per_step(probe_flops(CPU, MODEL, CONFIG, capture)) == pytest.approx(0.02)
    finally:
        torch.backends.mkldnn.set_flags(*before)


def test_g15_where_steps_cannot_be_captured_plain_ones_are(clock):
    clock(5.0, 0.1)

    def capture(work):
        raise RuntimeError("operation not permitted when stream is capturing")

    assert seconds_per_step(probe_flops(CPU, MODEL, CONFIG, capture)) == pytest.approx(0.1)


def test_g11_a_lack_of_memory_is_one_sentence(monkeypatch):
    def step(self):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(Soap, "step", step)
    with pytest.raises(DeviceError, match="the GPU's memory does not suffice; take a smaller batch"):
        probe_flops(CPU, MODEL, CONFIG)


@pytest.mark.parametrize(("device", "captures"), [("cpu", False), ("cuda", True), ("mps", False)])
def test_g15_what_is_planned_is_measured_as_it_will_run(device, captures, monkeypatch, verse):
    """A language model on a GPU takes captured steps, a classifier plain ones."""
    asked, corpus = [], prepare(Text.from_string(verse))

    def probe_flops(device, model, training, capture=None):
        asked.append(capture)
        return 1e12

    for module in (planner, speed):
        monkeypatch.setattr(module, "probe_flops", probe_flops)
    properties = SimpleNamespace(total_memory=10**12)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: properties)
    planner.plan(corpus, torch.device(device), TrainConfig(minutes=1), {})
    assert asked
    assert all((capture is not None) == captures for capture in asked)
    asked.clear()
    speed.measure_speed(torch.device(device), MODEL, CONFIG)
    assert set(asked) == {None}
