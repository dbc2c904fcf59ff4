"""The loop: it learns, it repeats itself, it goes on where it was, it tells the truth."""

import copy
import itertools
import json
import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from chargen import ChargenError, Run, Text, TextGenerator
from chargen import device as devices
from chargen.cli.options import option_name
from chargen.data.corpus import prepare
from chargen.device import autocast_for, multiplies_bf16, precision_for, trains_in_bf16
from chargen.evaluation.language import evaluate
from chargen.model import DropoutMask, LanguageModel
from chargen.runs.saved import state_folders
from chargen.shapes import ClassifierConfig, ModelConfig
from chargen.training import language_modeling, loop
from chargen.training.budget import max_epochs
from chargen.training.config import TrainConfig
from chargen.training.cuda_graph import GraphedStep
from chargen.training.language_modeling import LanguageTask, train
from chargen.training.state import TrainingState
from chargen.training.step import Stepper

needs_bf16 = pytest.mark.skipif(
    not trains_in_bf16("lstm"), reason="this processor cannot train an LSTM in bf16"
)


@pytest.fixture
def corpus(verse):
    return prepare(Text.from_string(verse))


def model_for(corpus, **sizes):
    sizes = {"hidden_size": 32, "embedding_size": 16, **sizes}
    return LanguageModel.new(ModelConfig(len(corpus.tokenizer), **sizes), seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_it_learns_a_text_that_repeats(cell):
    corpus = prepare(Text.from_string("abcd" * 500))
    model = model_for(corpus, cell=cell)
    *_, last = train(model, corpus, TrainConfig(steps=80, batch=4, window=16))
    assert last.finished
    assert last.score.bits_per_character < 0.05


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_same_seed_gives_the_same_training_and_another_seed_another(corpus, dropout):
    def losses(seed):
        model = model_for(corpus, dropout=dropout)
        config = TrainConfig(steps=6, batch=4, window=16, seed=seed)
        return [step.loss for step in train(model, corpus, config)][:-1]

    assert losses(0) == losses(0)
    if dropout:
        assert losses(0) != losses(1)


@pytest.mark.parametrize(
    ("split_on", "precision"),
    [(None, "fp32"), ("line", "fp32"), pytest.param(None, "bf16", marks=needs_bf16)],
)
def test_a_training_that_pauses_goes_on_as_if_it_never_had(verse, split_on, precision):
    corpus = prepare(Text.from_string(verse), split_on=split_on)
    config = TrainConfig(steps=30, batch=4, window=16, precision=precision)
    whole = model_for(corpus, dropout=0.2)
    *_, expected = train(whole, corpus, config)

    model = model_for(corpus, dropout=0.2)
    progress = TrainingState.begin(model, config)
    paused = list(itertools.islice(train(model, corpus, config, progress), 13))
    assert paused[-1].number == progress.step == 13
    *_, last = train(model, corpus, config, progress)
    assert last.number == 30
    assert last.score == expected.score
    for a, b in zip(model.parameters(), whole.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_was_learned_by_heart_is_said_with_less_confidence_in_the_end(noise):
    steps = list(train(model_for(noise), noise, TrainConfig(steps=60, batch=4, window=16)))
    best = min(step.score.nats for step in steps if step.evaluated and not step.finished)
    assert steps[-1].score.nats < best


@pytest.fixture
def noise():
    """Random letters, which can only be learned by heart."""
    letters = np.random.default_rng(0).integers(0, 20, 600)
    return prepare(Text.from_string("".join(map(chr, letters + 97))))


def test_the_model_ends_with_the_weights_of_the_best_evaluation(noise):
    corpus, model = noise, model_for(noise)
    best, weights = math.inf, None
    for step in train(model, corpus, TrainConfig(steps=120, batch=2, window=32, learning_rate=0.01)):
        if step.score and not step.finished and step.score.validation_loss < best:
            best, weights = step.score.validation_loss, copy.deepcopy(model.state_dict())
            number = step.number
    assert step.finished
    assert step.best_step == number < step.number
    own = model.state_dict()
    assert all(torch.equal(weights[name], own[name]) for name in own if not name.startswith("head."))
    confidence = own["head.weight"] / weights["head.weight"]  # one for all logits
    assert torch.allclose(confidence, confidence[0, 0].expand_as(confidence))
    again = evaluate(model, corpus.validation, corpus.tokenizer)
    assert (step.score.nats, step.score.tokens) == (again.nats, again.tokens)


@pytest.mark.slow
@pytest.mark.parametrize("budget", [{"steps": 400}, {"epochs": 30}])
def test_n6_steps_and_epochs_do_what_they_say_and_a_risen_loss_is_said_once(noise, budget):
    config = TrainConfig(**budget, batch=2, window=32, learning_rate=0.01)
    *steps, last = train(model_for(noise), noise, config)
    asked = 400 if "steps" in budget else 30 * -(-len(noise.training) // 2 // 32)
    assert last.number == pytest.approx(asked, abs=1)
    assert last.best_step < last.number
    remarks = [step.remark for step in steps if step.remark]
    assert len(remarks) == 1
    assert re.search("validation loss has risen for good.*; the weights of step .* are kept", *remarks)


def test_n6_a_few_evaluations_end_no_training(noise):
    """The second training of a model begins with weights that are good already."""
    model = model_for(noise)
    for steps in (60, 10):
        config = TrainConfig(steps=steps, batch=2, window=32, learning_rate=0.02)
        *_, last = train(model, noise, config)
        assert last.number == steps


@pytest.mark.slow
def test_minutes_end_where_validation_has_risen_for_good_and_the_reason_is_said(noise, monkeypatch):
    monkeypatch.setattr("chargen.training.language_modeling.max_epochs", lambda *_: 1e9)
    config = TrainConfig(minutes=0.4, batch=2, window=32, learning_rate=0.01)
    *_, last = train(model_for(noise), noise, config)
    assert last.seconds < 20
    assert "validation loss has risen for good" in last.remark


def test_n8_the_last_score_is_of_a_stretch_that_no_budget_changes(monkeypatch, verse):
    """The same as that of the baselines, on a fast machine and on a slow one."""
    monkeypatch.setattr("chargen.data.corpus.SCORED", 500)
    corpus = prepare(Text.from_string(verse))
    assert len(corpus.validation) > 700
    for budget in ({"steps": 3}, {"epochs": 0.1}, {"minutes": 0.001}):
        *_, last = train(model_for(corpus), corpus, TrainConfig(**budget, batch=4, window=16))
        assert (last.score.tokens, last.score.characters) == (499, 499)
        model = model_for(corpus)
    expected = evaluate(model, corpus.validation[:500], corpus.tokenizer)
    assert LanguageTask(corpus, TrainConfig(steps=1)).final_score(model).nats == expected.nats


@pytest.mark.parametrize(
    ("what", "number"),
    [
        *(("loss", math.nan), ("loss", math.inf), ("loss", 1e9)),
        *(("gradient", math.nan), ("gradient", math.inf)),
    ],
)
def test_what_is_not_finite_never_reaches_the_weights(corpus, monkeypatch, what, number):
    """One bad step in the middle: back to the last evaluation, on with half the learning rate."""
    calls, bad = [0], 14
    cross_entropy, clip = F.cross_entropy, torch.nn.utils.clip_grad_norm_

    def spoiled_loss(logits, *more, **options):
        loss = cross_entropy(logits, *more, **options)
        if not torch.is_grad_enabled():
            return loss
        calls[0] += 1
        return loss * number if calls[0] == bad else loss

    def spoiled_norm(*arguments):
        norm = clip(*arguments)
        calls[0] += 1
        return norm * number if calls[0] == bad else norm

    if what == "loss":
        monkeypatch.setattr("chargen.training.language_modeling.F.cross_entropy", spoiled_loss)
    else:
        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spoiled_norm)
    model, config = model_for(corpus, dropout=0.2), TrainConfig(steps=24, batch=4, window=16)
    progress = TrainingState.begin(model, config)
    seen = []
    for step in train(model, corpus, config, progress):
        assert all(weight.isfinite().all() for weight in model.parameters())
        seen.append(step)
    (fault,) = [step for step in seen if step.remark]
    assert "at step 14, with a learning rate of 0.004: rolled back to step 12" in fault.remark
    assert [step.number for step in seen] == [*range(1, 14), 12, *range(13, 25), 24]
    assert progress.breakdowns == 1
    assert step.finished
    assert step.score.nats_per_token < seen[1].score.nats_per_token


def test_a_rollback_goes_back_to_exactly_where_it_was(corpus, monkeypatch):
    """With the learning rate left as it was, the second try is the training without a fault."""
    config = TrainConfig(steps=24, batch=4, window=16)
    whole = model_for(corpus, dropout=0.2)
    *_, expected = train(whole, corpus, config)
    model = model_for(corpus, dropout=0.2)
    progress = TrainingState.begin(model, config)
    clip = torch.nn.utils.clip_grad_norm_

    def spoiled(*arguments):
        norm = clip(*arguments)
        return norm * (math.nan if progress.step == 13 and not faults else 1)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spoiled)
    faults = []
    for step in train(model, corpus, config, progress):
        if step.remark:
            faults.append(step)
            progress.breakdowns = 0
    assert len(faults) == 1
    assert step.score == expected.score
    for a, b in zip(model.parameters(), whole.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_third_fault_ends_the_training_with_advice(corpus):
    config = TrainConfig(steps=50, batch=4, window=16, learning_rate=1e6)
    steps = train(model_for(corpus), corpus, config)
    remarks = [step.remark for step in itertools.islice(steps, 5)]  # a step, a fault, twice, a step
    assert sum("half the learning rate" in remark for remark in remarks) == 2
    with pytest.raises(ChargenError, match="third time") as error:
        next(steps)
    advice = "start again with a lower --lr, for example 0.004"
    assert error.value.text(option_name).endswith(advice)


def test_epochs_are_passes_over_the_training_part(corpus):
    config = TrainConfig(epochs=2, batch=4, window=32)
    *_, last = train(model_for(corpus), corpus, config)
    assert last.ids == pytest.approx(2 * len(corpus.training), rel=0.02)


@pytest.mark.slow
def test_a_budget_of_minutes_ends_sooner_where_a_text_has_been_read_often_enough():
    corpus = prepare(Text.from_string("a bird sings and waits. " * 60))
    model = model_for(corpus)
    *steps, last = train(model, corpus, TrainConfig(minutes=30, batch=4, window=16))
    often = max_epochs(model.config.parameters, len(corpus.training))
    assert last.ids == pytest.approx(often * len(corpus.training), rel=0.05)
    assert last.seconds < 300
    assert last.progress == 1
    shares = [step.progress for step in steps]  # what the learning rate follows
    assert shares == sorted(shares)
    assert shares[len(shares) // 2] == pytest.approx(0.5, abs=0.05)
    assert 3 <= sum(step.evaluated for step in steps) <= 20


@pytest.mark.slow
def test_a_budget_of_minutes_ends_on_time_with_everything_counted(corpus):
    *_, last = train(model_for(corpus), corpus, TrainConfig(minutes=0.05, batch=4, window=16))
    assert last.finished
    assert last.progress == 1
    assert 1.5 < last.seconds < 4.5


def test_a_second_network_learns_from_the_text_and_from_the_first(corpus):
    model = model_for(corpus, dropout=0.2)
    config = TrainConfig(steps=9, batch=4, window=16, generations=2)
    state = TrainingState.begin(model, config)
    steps = train(model, corpus, config, state)
    first = list(itertools.takewhile(lambda step: not step.remark, steps))
    assert [step.number for step in first] == [1, 2, 3, 4]  # what is left over, the second one has
    assert [step.progress for step in first] == pytest.approx([1 / 8, 1 / 4, 3 / 8, 1 / 2])
    fresh = LanguageModel.new(model.config, seed=1)
    assert torch.equal(model.head.weight, fresh.head.weight)
    teacher = copy.deepcopy(model)
    teacher.load_state_dict(state.teacher)

    task = LanguageTask(corpus, config)
    task.set_teacher(model, state.teacher)
    window, rng = task.window(state.position, torch.device("cpu")), torch.Generator().manual_seed(1)
    nats, after = task.loss_of(model, window, state.carried, rng)
    noise = DropoutMask(
        torch.Generator().manual_seed(1), task.lanes, 4, language_modeling.STUDENT_DROPOUT
    )
    own = language_modeling.reset_lanes(state.carried, noise)[:2]
    logits = model(window.inputs, own, noise)[0].flatten(0, 1)
    expected = teacher(window.inputs, teacher.initial_state(4))[0].flatten(0, 1)
    of_text = F.cross_entropy(logits, window.targets.flatten())
    of_teacher = -(expected.softmax(-1) * logits.log_softmax(-1)).sum(-1).mean()
    trust = language_modeling.DISTILLATION_WEIGHT
    assert nats.item() == pytest.approx((1 - trust) * of_text.item() + trust * of_teacher.item())
    assert len(after) == 4

    *rest, last = steps
    assert [step.number for step in rest] == [5, 6, 7, 8, 9]
    assert last.finished
    assert last.progress == 1
    assert last.best_step == min(state.evaluations, key=lambda evaluation: evaluation[1])[0]


@pytest.mark.slow
def test_a_network_with_a_teacher_gets_the_time_that_it_takes(corpus):
    config = TrainConfig(minutes=0.07, generations=2, batch=4, window=16)
    *steps, last = train(model_for(corpus), corpus, config)
    change = next(step for step in steps if "new network" in step.remark)
    assert 0.35 < change.seconds / last.seconds < 0.5
    assert 3 < last.seconds < 5.5
    assert change.progress == 0.5
    assert last.progress == 1


@pytest.mark.slow
def test_a_second_network_is_worth_its_time_where_a_text_has_been_read_often(noise):
    config = {"batch": 4, "window": 16}
    scores = []
    for generations in (1, 2):
        settings = TrainConfig(steps=150 * generations, generations=generations, **config)
        *_, last = train(model_for(noise), noise, settings)
        scores.append(last.score.nats_per_token)
    assert scores[1] < scores[0] - 0.01


def test_without_validation_the_last_weights_are_kept(verse):
    corpus = prepare(Text.from_string(verse), val_fraction=0.0)
    *_, last = train(model_for(corpus), corpus, TrainConfig(steps=5, batch=4, window=16))
    assert last.score is None
    assert last.best_step == 5


def test_without_validation_a_second_network_learns_from_the_averages_of_the_first(verse):
    corpus = prepare(Text.from_string(verse), val_fraction=0.0)
    model, config = model_for(corpus), TrainConfig(steps=6, batch=4, window=16, generations=2)
    state = TrainingState.begin(model, config)
    steps = train(model, corpus, config, state)
    for step in steps:
        _, average = state.averages.tensors()["head.weight"]
        average = average.clone()
        if step.number == 3:
            break
    assert "new network" in next(steps).remark
    assert torch.equal(state.teacher["head.weight"], average)
    weight = state.tensors(model)["weights.head.weight"]  # the model has its weights, not the averages
    assert weight.data_ptr() == model.head.weight.data_ptr()
    *_, last = steps
    assert (last.score, last.best_step, last.progress) == (None, 6, 1)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, "give one budget"),
        ({"minutes": 1, "steps": 5}, "give one budget"),
        ({"minutes": math.nan}, "minutes must be"),
        ({"epochs": math.inf}, "epochs must be"),
        ({"steps": 0}, "steps must be"),
        ({"steps": 5, "batch": 0}, "batch must be"),
        ({"steps": 5, "generations": 0}, "generations must be"),
        ({"steps": 5, "generations": 101}, "generations must be 100 at most, got 101"),
        ({"steps": 5, "learning_rate": -1.0}, "learning_rate must be"),
        ({"steps": 5, "precision": "fp8"}, "no precision 'fp8'"),
    ],
)
def test_a_config_that_makes_no_sense_is_an_error(budget, message):
    with pytest.raises(ChargenError, match=message):
        TrainConfig(**budget)


@needs_bf16
def test_bf16_learns_what_fp32_does(corpus):
    scores = []
    for precision in ("fp32", "bf16"):
        config = TrainConfig(steps=100, batch=4, window=16, precision=precision)
        *_, last = train(model_for(corpus), corpus, config)
        scores.append(last.score.nats_per_token)
    assert scores[1] == pytest.approx(scores[0], abs=0.02)
    assert scores[1] != scores[0]


def test_a_processor_that_multiplies_bf16_is_asked_to_where_it_pays(monkeypatch):
    def chosen(has, cell="lstm", hidden_size=256, device="cpu", trains=True):
        monkeypatch.setattr(devices, "trains_in_bf16", lambda cell: trains)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has}, raising=False)
        multiplies_bf16.cache_clear()
        config = ModelConfig(65, cell=cell, hidden_size=hidden_size)
        return precision_for("auto", torch.device(device), config)

    assert chosen(True) == "bf16"
    assert chosen(True, trains=False) == "fp32"
    assert chosen(False) == chosen(True, "gru") == chosen(True, hidden_size=64) == "fp32"
    assert chosen(True, device="cuda") == "fp16"
    multiplies_bf16.cache_clear()
    assert precision_for("auto", torch.device("cpu"), ClassifierConfig(65)) == "fp32"
    assert chosen(True, device="mps") == "fp32"
    multiplies_bf16.cache_clear()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_bf16_on_a_processor_that_cannot_is_an_error_with_the_next_step(monkeypatch, cell):
    def fail(*_, **__):
        raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation")

    config, cpu = ModelConfig(65, cell), torch.device("cpu")
    before = torch.random.get_rng_state()
    trains_in_bf16.cache_clear()
    if trains_in_bf16(cell):
        assert isinstance(autocast_for("bf16", cpu, config), torch.autocast)
    assert torch.equal(torch.random.get_rng_state(), before)
    trains_in_bf16.cache_clear()
    monkeypatch.setattr(torch.nn.RNNBase, "__init__", fail)
    with pytest.raises(ChargenError) as error:
        autocast_for("bf16", cpu, config)
    trains_in_bf16.cache_clear()
    assert error.value.text(option_name) == (
        f"this processor cannot train the cell '{cell}' in bf16; take --precision fp32"
    )


def test_half_precision_without_a_gpu_is_an_error_with_the_next_step(corpus):
    with pytest.raises(ChargenError, match=r"fp16 trains on a CUDA GPU only.*bf16 or fp32"):
        next(train(model_for(corpus), corpus, TrainConfig(steps=1, precision="fp16")))


# Half precision, its scaler on the CPU ---------------------------------------------------------------


def in_half_precision(model, config, scale=65536.0):
    state = TrainingState.begin(model, config)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return state


@pytest.fixture
def overflowing(monkeypatch):
    """Has the gradient of every step overflow for as long as its loss is scaled."""
    unscale = torch.amp.GradScaler.unscale_

    def unscale_(scaler, optimizer):
        if scaler.is_enabled():
            optimizer.param_groups[0]["params"][0].grad.fill_(math.inf)
        return unscale(scaler, optimizer)

    monkeypatch.setattr(torch.amp.GradScaler, "unscale_", unscale_)


def test_g18_a_scale_that_sinks_below_one_ends_half_precision(corpus, overflowing):
    config = TrainConfig(steps=30, batch=4, window=16)
    model = model_for(corpus)
    state = in_half_precision(model, config, scale=4.0)
    steps = list(train(model, corpus, config, state))
    (remark,) = [step.remark for step in steps if step.remark]
    assert remark == (
        "at step 3 the gradients overflow in half precision even with a scale of 0.5: from now on in "
        "single precision"
    )
    assert state.single_precision
    assert state.breakdowns == 0
    assert steps[-1].score.nats_per_token < steps[1].score.nats_per_token


def test_g18_so_does_the_second_breakdown_and_the_third_still_ends_the_training(corpus):
    config = TrainConfig(steps=50, batch=4, window=16, learning_rate=1e6)
    model = model_for(corpus)
    state = in_half_precision(model, config)
    steps = train(model, corpus, config, state)
    first, second = [step.remark for step in itertools.islice(steps, 5) if step.remark]
    assert first.endswith("with half the learning rate")
    assert second.endswith("with half the learning rate and from now on in single precision")
    with pytest.raises(ChargenError, match="third time"):
        next(steps)


@pytest.mark.parametrize("graph", [False, True])
def test_g18_single_precision_computes_what_it_would_have_from_the_beginning(verse, graph):
    """From the state of the last step in bf16, as one with a scaler has it."""
    corpus = prepare(Text.from_string(verse))
    config = TrainConfig(steps=24, batch=4, window=16, precision="bf16")
    if not trains_in_bf16("rnn"):
        pytest.skip("this processor cannot train in bf16")
    models, ways = [], ("bf16", "fp32")
    for way in ways:
        model = model_for(corpus, cell="rnn")
        task, state = LanguageTask(corpus, config), TrainingState.begin(model, config)
        state.single_precision = True
        kind = partial(GraphedStep, capture=lambda work, _: work) if graph else Stepper
        list(loop.train(model, task, config, state, stepper=kind(model, task, way)))
        models.append(model)
    assert all(torch.equal(a, b) for a, b in zip(*(m.parameters() for m in models), strict=True))


def test_g18_a_training_resumed_after_it_stays_in_single_precision(tmp_path, verse, monkeypatch, sign):
    corpus = prepare(Text.from_string(verse))
    config = TrainConfig(steps=12, batch=4, window=16)
    writer = TextGenerator(model_for(corpus), corpus.tokenizer)
    with Run(tmp_path) as run:
        for step in run.begin(writer, corpus, config):
            if step.number == 5:
                break
    state = state_folders(tmp_path)[-1] / "config.json"
    for single, enabled in ((True, False), (False, True)):
        monkeypatch.setattr("chargen.training.state.scales_gradients", lambda *_: True)
        values = json.loads(state.read_text())
        values["progress"]["single_precision"] = single
        state.write_text(json.dumps(values))
        sign(state.parent)
        with Run(tmp_path) as run:
            saved = run.saved()
            assert saved.state.single_precision is single
            assert saved.state.scaler.is_enabled() is enabled


def test_g11_a_lack_of_memory_in_a_training_is_one_sentence(corpus, monkeypatch):
    def cross_entropy(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr("chargen.training.language_modeling.F.cross_entropy", cross_entropy)
    with pytest.raises(ChargenError) as error:
        list(train(model_for(corpus), corpus, TrainConfig(steps=3, batch=4, window=16)))
    assert error.value.text(option_name) == (
        "the GPU's memory does not suffice; take a smaller --batch, --window or --hidden"
    )
