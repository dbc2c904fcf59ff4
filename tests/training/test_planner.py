"""Sizes follow the corpus, the budget and the speed."""

import numpy as np
import pytest
import torch

from chargen import Text, TextGenerator
from chargen.data.corpus import prepare
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig
from chargen.training.budget import max_epochs
from chargen.training.config import TrainConfig
from chargen.training.planner import (
    CLASSIFIER_EPOCHS,
    COPIES_OF_BASES,
    COPIES_OF_PARAMETERS,
    choose_dropout,
    choose_epochs,
    choose_rate,
    choose_width,
    fit_batch,
    fit_length,
    measured_rate,
    plan,
    tokens_read,
)
from chargen.training.speed import flops_per_token, measure_speed
from chargen.training.state import TrainingState

MODEL = ModelConfig(vocab_size=65)


def width(minutes=5.0, speed=2e11, ids=1_000_000):
    return choose_width(MODEL, TrainConfig(minutes=minutes), speed, ids)


def test_more_time_more_speed_and_more_text_give_a_wider_stack():
    assert width(0.5) < width(5) < width(60)
    assert width(speed=2e10) < width(speed=2e11) < width(speed=2e13)
    assert width(60, ids=10_000) < width(60, ids=10_000_000)


def test_where_a_text_is_read_often_enough_a_wider_stack_learns_more():
    assert width(15, speed=1.5e11) == 640  # 3.7 passes, and 0.7 ids for each parameter
    assert width(15, speed=1.5e11, ids=10_000_000) == 384


def test_with_a_teacher_a_larger_model_does_not_learn_a_short_text_by_heart():
    widths = [choose_width(MODEL, TrainConfig(minutes=5, generations=n), 2e11, 30_000) for n in (1, 2)]
    assert widths == [96, 160]


def test_a_gpu_gets_widths_that_its_fastest_kernels_know():
    config = TrainConfig(minutes=5)
    widths = {choose_width(MODEL, config, 2e11, n, (128, 256, 512)) for n in (10**4, 10**6, 10**8)}
    assert widths <= {128, 256, 512}
    assert len(widths) > 1


def test_the_longer_a_training_the_smaller_its_learning_rate():
    rates = [choose_rate(steps) for steps in (0, 1000, 2000, 10_000, 10**9)]
    assert rates[0] == rates[1] > rates[2] > rates[3] > rates[4] > 0
    writer = TextGenerator.new("a bird sang. " * 400, hidden_size=8)
    few, many = (TrainConfig(steps=steps) for steps in (100, 10_000))

    def rate(config, ids):
        return measured_rate(writer.model, config, ids)[0]

    assert rate(few, 5000) > rate(many, 5000)
    long = TrainConfig(minutes=600)
    assert rate(few, 10**6) > rate(long, 10**6)
    for step in writer.train("a bird sang. " * 400, steps=2):
        assert step.number
    assert writer.record.training["learning_rate"] == rates[0]
    for step in writer.train("a bird sang. " * 400, steps=2, learning_rate=0.001):
        assert step.number
    assert writer.record.training["learning_rate"] == 0.001


def test_a_budget_of_steps_counts_ids_whatever_the_speed():
    config = TrainConfig(steps=100, batch=8, window=50)
    assert tokens_read(MODEL, config, 1.0, 1000) == tokens_read(MODEL, config, 1e15, 1000) == 40_000
    assert tokens_read(MODEL, TrainConfig(epochs=2), 1.0, 1000) == 2000
    assert tokens_read(MODEL, TrainConfig(epochs=2, generations=2), 1.0, 1000) == 1000
    whole, half = TrainConfig(minutes=1), TrainConfig(minutes=1, generations=2)
    read = [tokens_read(MODEL, config, 1e9, 10**7) for config in (whole, half)]
    assert read[1] == pytest.approx(3 / 7 * read[0])  # a step with a teacher takes a third longer


@pytest.mark.slow
def test_a_second_network_comes_where_the_first_has_read_its_text_often_enough_in_half_of_the_time():
    corpus, cpu = prepare(Text.from_string("a bird sang. " * 400)), torch.device("cpu")

    def chosen(config, **given):
        return plan(corpus, cpu, config, {"hidden_size": 16, **given})

    two = chosen(TrainConfig(minutes=5))
    assert two.training.generations == 2
    assert "enough for this text; trained twice: each network also learns" in two.reason
    one = chosen(TrainConfig(minutes=5), generations=1)
    assert one.training.generations == 1
    assert "trained" not in one.reason
    assert chosen(TrainConfig(minutes=1e-3)).training.generations == 1
    assert chosen(TrainConfig(epochs=100)).training.generations == 1
    assert chosen(TrainConfig(epochs=100), generations=3).training.generations == 3


def test_the_shorter_a_text_and_the_smaller_a_model_the_more_often_a_text_is_read():
    large, small = 10**7, 10**5
    assert max_epochs(large, 10**3) > max_epochs(large, 10**5) > max_epochs(large, 10**6)
    assert max_epochs(small, 10**6) > max_epochs(large, 10**6)
    minutes, passes = TrainConfig(minutes=60), max_epochs(MODEL.parameters, 50_000)
    assert tokens_read(MODEL, minutes, 1e12, 50_000) == passes * 50_000
    assert tokens_read(MODEL, minutes, 1e8, 50_000) < passes * 50_000  # as far as it gets
    assert tokens_read(MODEL, TrainConfig(epochs=900), 1e12, 50_000) == 900 * 50_000  # as asked


def test_dropout_grows_with_the_passes_over_the_text():
    passes = [choose_dropout(MODEL, read * 1e6, 1_000_000) for read in (0.1, 5, 20, 1000)]
    assert 0 == passes[0] < passes[1] < passes[2] < passes[3] == 0.4


def test_dropout_grows_with_the_parameters_that_could_learn_a_text_by_heart():
    small = ModelConfig(vocab_size=65, hidden_size=64)
    assert choose_dropout(small, 5e6, 1_000_000) < choose_dropout(MODEL, 5e6, 1_000_000)


def test_of_long_texts_so_much_is_read_that_the_budget_allows_several_passes():
    lengths = np.array([50, 120, 300, 1000, 2000] * 1000)

    def per_pass(speed, **budget):
        config = TrainConfig(**budget or {"minutes": 5})
        longest = fit_length(lengths, MODEL, config, speed)
        affordable = 0.85 * 300 * speed / flops_per_token(MODEL)
        return longest, np.minimum(lengths, longest).sum(), affordable / CLASSIFIER_EPOCHS

    for speed in (1e11, 2e11, 3e11):
        longest, total, affordable = per_pass(speed)
        assert 100 < longest < 2000
        assert total <= affordable < total + len(lengths)
    assert per_pass(1e9)[0] == 100  # less would say nothing
    assert per_pass(1e14)[0] == 2000
    assert per_pass(1e9, epochs=1)[0] == 2000  # who counts epochs wants all of them


@pytest.mark.parametrize("ids", [64, 500, 3000, 20_000])
def test_a_short_text_gets_fewer_lanes_and_shorter_windows(ids):
    small = fit_batch(TrainConfig(steps=1), ids)
    assert small.batch * small.window <= max(16, ids // 8)
    assert fit_batch(TrainConfig(steps=1), 1_000_000) == TrainConfig(steps=1)


def test_the_measured_speed_is_one_that_a_machine_can_have():
    assert 1e8 < measure_speed(torch.device("cpu"), MODEL, TrainConfig(steps=1)).flops < 1e14


def test_the_memory_of_a_training_is_known_beforehand():
    config = ModelConfig(vocab_size=7, num_layers=3, hidden_size=16, embedding_size=24)
    model = LanguageModel.new(config, seed=0)
    progress = TrainingState.begin(model, TrainConfig(steps=1))
    bases = [kept["basis"] for kept in progress.optimizer.state.values() if "basis" in kept]
    assert sum(basis.numel() for basis in bases) == config.basis_size
    kept = progress.tensors(model)
    numbers = sum(tensor.numel() for name, tensor in kept.items() if name != "rng")
    most = COPIES_OF_PARAMETERS * config.parameters + COPIES_OF_BASES * config.basis_size
    assert numbers < most < 4 * numbers


def test_the_epochs_over_labelled_texts_depend_on_the_texts_alone():
    assert choose_epochs(160_000, 160_000) == 12
    assert choose_epochs(120_000, 480_000) == 3  # as many passes over each text, in crops
    assert choose_epochs(1_600_000, 1_600_000) == 5
    assert choose_epochs(30_000_000, 30_000_000) == 1
