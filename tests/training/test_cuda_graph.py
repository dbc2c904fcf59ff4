"""A step that is captured once and run again is the step; on a CPU, all but the capture itself."""

import pytest
import torch

from chargen.data.corpus import prepare
from chargen.data.text import Text
from chargen.model import LanguageModel, ModelConfig
from chargen.training import language_modeling
from chargen.training.config import TrainConfig
from chargen.training.cuda_graph import WARM_UP_STEPS, GraphedStep
from chargen.training.language_modeling import LanguageTask
from chargen.training.loop import train
from chargen.training.state import TrainingState

CONFIG = TrainConfig(steps=24, batch=4, window=16, precision="fp32")


@pytest.fixture(autouse=True)
def no_lane_is_reset(monkeypatch):
    """For a fresh state, a graph draws as well, plain steps do not."""
    monkeypatch.setattr(language_modeling, "RESET_PROBABILITY", 0.0)


@pytest.fixture(params=[None, "line"], ids=["text", "documents"])
def corpus(request, verse):
    return prepare(Text.from_string(verse), split_on=request.param)


def model_for(corpus, dropout=0.0, hidden=16):
    return LanguageModel.new(ModelConfig(len(corpus.tokenizer), "lstm", 2, hidden, 8, dropout), 1)


def again(captured):
    """Stands in for a graph: what was captured is computed anew. A capture computes nothing."""

    def capture(update, rng):
        captured.append(update)
        return update

    return capture


def taken(model, corpus, stepper=None, config=CONFIG, progress=None, task=None):
    task = task or LanguageTask(corpus, config)
    progress = progress or TrainingState.begin(model, config)
    if stepper:
        stepper = stepper(model, task, config.precision)
    return list(train(model, task, config, progress, stepper=stepper)), progress


def graphed(captured, sync_every=1, warm_up=WARM_UP_STEPS):
    def stepper(model, task, precision):
        made = GraphedStep(model, task, precision, again(captured), warm_up)
        made.sync_every = sync_every
        return made

    return stepper


def taught(model, corpus):
    """A training with a teacher, about to begin."""
    task, progress = LanguageTask(corpus, CONFIG), TrainingState.begin(model, CONFIG)
    weights = {name: 2 * weight.detach() for name, weight in model.named_parameters()}
    task.set_teacher(model, weights)
    progress.set_teacher(weights)
    return {"task": task, "progress": progress}


def same(one, other, tolerance=0.0):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=tolerance) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("teacher", [False, True])
@pytest.mark.parametrize("sync_every", [1, 5])
def test_captured_steps_are_the_steps(corpus, sync_every, teacher):
    plain, model = model_for(corpus), model_for(corpus)
    of_plain, of_model = ({}, {}) if not teacher else (taught(plain, corpus), taught(model, corpus))
    expected, before = taken(plain, corpus, **of_plain)
    captured = []
    steps, progress = taken(model, corpus, graphed(captured, sync_every), **of_model)
    assert len(captured) == 1
    assert same(model, plain, 1e-5)
    assert [step.number for step in steps] == [step.number for step in expected]
    assert [step.evaluated for step in steps] == [step.evaluated for step in expected]
    assert progress.position == before.position
    assert progress.ids == before.ids
    if sync_every == 1:
        assert [s.loss for s in steps[:-1]] == pytest.approx([s.loss for s in expected[:-1]], abs=1e-4)


def test_randomness_runs_on_through_a_capture(corpus):
    plain, model = model_for(corpus, dropout=0.3), model_for(corpus, dropout=0.3)
    taken(plain, corpus, graphed([], warm_up=10**6))  # which never comes to a capture
    captured = []
    taken(model, corpus, graphed(captured))
    assert captured
    assert same(model, plain)


def test_what_cannot_be_captured_goes_on_step_by_step(corpus):
    def refuse(update, rng):
        raise RuntimeError("operation not permitted when stream is capturing")

    def stepper(model, task, precision):
        return GraphedStep(model, task, precision, capture=refuse)

    plain, model = model_for(corpus), model_for(corpus)
    taken(plain, corpus)
    taken(model, corpus, stepper)
    assert same(model, plain, 1e-5)


def test_what_is_not_finite_is_found_late_and_taken_back(verse):
    corpus = prepare(Text.from_string(verse))
    model = model_for(corpus)
    bad = [15]

    class Spoiled(LanguageTask):
        def loss_of(self, *arguments):
            loss, after = super().loss_of(*arguments)
            bad[0] -= 1
            return loss * (float("nan") if bad[0] == 0 else 1), after

    steps, progress = taken(model, corpus, graphed([], sync_every=4), task=Spoiled(corpus, CONFIG))
    (fault,) = [step.remark for step in steps if step.remark]
    assert "the loss was nan" in fault
    assert "with half the learning rate" in fault
    assert progress.breakdowns == 1
    assert all(weight.isfinite().all() for weight in model.parameters())
    assert steps[-1].score.nats_per_token < steps[1].score.nats_per_token


def test_a_training_goes_on_from_what_a_graph_left(verse):
    corpus = prepare(Text.from_string(verse))
    whole, model = model_for(corpus), model_for(corpus)
    taken(whole, corpus, graphed([]))
    task, progress = LanguageTask(corpus, CONFIG), TrainingState.begin(model, CONFIG)
    stepper = graphed([])(model, task, "fp32")
    for step in train(model, task, CONFIG, progress, stepper=stepper):
        if step.number == 11:
            break
    tensors = {name: tensor.clone() for name, tensor in progress.tensors(model).items()}
    numbers = progress.numbers()
    other = model_for(corpus)
    progress = TrainingState.begin(other, CONFIG)
    progress.restore(other, tensors, numbers)
    taken(other, corpus, graphed([]), progress=progress)
    assert same(other, whole)


# On a GPU ------------------------------------------------------------------------------------------

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_graph_learns_what_plain_steps_do(verse, precision):
    corpus = prepare(Text.from_string(verse))
    config = TrainConfig(steps=60, batch=8, window=16, precision=precision)
    scores = []
    for stepper in (None, GraphedStep):
        model = model_for(corpus, hidden=128).cuda()
        steps, _ = taken(model, corpus, stepper, config)
        scores.append(steps[-1].score.nats_per_token)
    assert scores[1] == pytest.approx(scores[0], abs=0.01 if precision == "fp32" else 0.05)


@pytest.mark.gpu
@gpu
def test_a_second_network_learns_on_a_gpu_what_it_does_elsewhere(verse):
    corpus = prepare(Text.from_string(verse))
    config = TrainConfig(steps=80, batch=8, window=16, precision="fp32", generations=2)
    scores = []
    for device in ("cpu", "cuda"):
        model = model_for(corpus, hidden=128).to(device)
        *_, last = language_modeling.train(model, corpus, config)
        scores.append(last.score.nats_per_token)
    assert scores[1] == pytest.approx(scores[0], abs=0.05)


@pytest.mark.gpu
@gpu
def test_a_captured_step_waits_for_nothing(verse):
    corpus = prepare(Text.from_string(verse))
    model = model_for(corpus, dropout=0.2, hidden=128).cuda()
    config = TrainConfig(steps=60, batch=8, window=16, precision="bf16")
    task, progress = LanguageTask(corpus, config), TrainingState.begin(model, config)
    stepper = GraphedStep(model, task, config.precision)
    for _ in range(WARM_UP_STEPS + 6):  # the eighth step finds a basis, which may wait
        stepper(progress)
        progress.step += 1
        progress.position += config.window
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            stepper(progress)
            progress.position += config.window
    finally:
        torch.cuda.set_sync_debug_mode("default")
