"""The state of a training: what it saves, and the averages of the weights."""

import pytest
import torch

from chargen import ChargenError
from chargen.data.corpus import prepare
from chargen.data.text import Text
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig
from chargen.training.averages import WeightAverages
from chargen.training.config import TrainConfig
from chargen.training.state import TrainingState, number_schema

CONFIG = TrainConfig(steps=6, batch=4, window=16)


@pytest.fixture
def model(verse):
    tokenizer = prepare(Text.from_string(verse)).tokenizer
    return LanguageModel.new(ModelConfig(len(tokenizer), hidden_size=8, embedding_size=4), seed=0)


def test_the_numbers_of_a_state_are_those_of_its_schema(model):
    """The names are keys of config.json in every state that was ever saved."""
    assert number_schema() == {
        **{"step": int, "position": int, "ids": int, "loss": int | float, "over": bool},
        **{"seconds": int | float, "evaluated_at": int | float, "evaluation_cost": int | float},
        **{"breakdowns": int, "generation": int, "first_step": int, "first_second": int | float},
        "single_precision": bool,
    }
    numbers = TrainingState.begin(model, CONFIG).numbers()
    assert numbers.keys() == number_schema().keys() | {"evaluations", "scaler"}


def test_the_tensors_of_a_state_do_not_depend_on_which_weights_the_model_has(model):
    state = TrainingState.begin(model, CONFIG)
    state.averages.update(1.0)
    with torch.no_grad():
        model.head.bias.add_(1)
    before = {name: tensor.clone() for name, tensor in state.tensors(model).items()}
    assert not torch.equal(before["weights.head.bias"], before["soap.average.head.bias"])
    with state.averages.applied():
        during = {name: tensor.clone() for name, tensor in state.tensors(model).items()}
        assert torch.equal(model.head.bias, before["soap.average.head.bias"])
    assert torch.equal(model.head.bias, before["weights.head.bias"])
    assert before.keys() == during.keys()
    assert all(torch.equal(before[name], during[name]) for name in before)


def test_averages_span_the_last_part_of_the_steps_and_stay_where_they_are():
    weight = torch.nn.Parameter(torch.zeros(()))
    averages = WeightAverages([("w", weight)])
    place = averages.tensors()["w"][1].data_ptr()
    values, expected = torch.randn(20, generator=torch.Generator().manual_seed(0)), 0.0
    for step, value in enumerate(values.tolist()):
        weight.data.fill_(value)
        averages.update(WeightAverages.weight_of(step))
        expected += (value - expected) / (1 + 0.15 * step)
    assert averages.tensors()["w"][1].item() == pytest.approx(expected, abs=1e-6)
    assert averages.tensors()["w"][1].data_ptr() == place


def test_g2_weights_and_averages_are_exchanged_where_they_are(model):
    averages = WeightAverages(model.named_parameters())
    averages.update(1.0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1)
    pairs = averages.tensors()
    addresses = [tensor.data_ptr() for pair in pairs.values() for tensor in pair]
    values = {name: (weight.clone(), average.clone()) for name, (weight, average) in pairs.items()}
    with averages.applied():
        for name, weight in model.named_parameters():
            assert torch.equal(weight, values[name][1])
            assert weight.data_ptr() in addresses[::2]
        swapped = averages.tensors()  # the same names for the same values
        assert all(all(map(torch.equal, swapped[name], values[name])) for name in values)
    pairs = averages.tensors()
    assert [tensor.data_ptr() for pair in pairs.values() for tensor in pair] == addresses
    assert all(all(map(torch.equal, pairs[name], values[name])) for name in values)


def scaled(model, scale=None):
    """The state of a training in half precision on a GPU, where losses are scaled."""
    state = TrainingState.begin(model, CONFIG)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=scale or 65536.0)
    return state


@pytest.mark.parametrize("single", [False, True])
def test_g1_a_state_of_a_cpu_goes_on_on_a_gpu_and_back(model, single):
    on_cpu, on_gpu = TrainingState.begin(model, CONFIG), scaled(model)
    on_cpu.single_precision = single
    on_gpu.restore(model, on_cpu.tensors(model), on_cpu.numbers())
    assert on_gpu.scaler.get_scale() == (1.0 if single else 65536.0)
    assert on_gpu.scaler.is_enabled() != single

    on_gpu = scaled(model, 128.0)
    on_cpu.single_precision = False
    on_cpu.restore(model, on_gpu.tensors(model), on_gpu.numbers())
    assert not on_cpu.scaler.is_enabled()
    again = scaled(model)
    again.restore(model, on_gpu.tensors(model), on_gpu.numbers())
    assert again.scaler.get_scale() == 128.0


def test_g1_the_randomness_of_another_kind_of_device_is_seeded_anew(model):
    state = TrainingState.begin(model, CONFIG)
    state.step = 7
    tensors = state.tensors(model) | {"rng": torch.zeros(16, dtype=torch.uint8)}  # as on a GPU
    other = TrainingState.begin(model, CONFIG)
    other.restore(model, tensors, state.numbers())
    assert other.rng.initial_seed() == 7


def test_g18_single_precision_is_for_good(model):
    state = scaled(model)
    state.use_single_precision()
    assert not state.scaler.is_enabled()
    assert state.numbers()["scaler"] == {}
    state.begin_generation(scaled(model), {})
    assert not state.scaler.is_enabled()
    resumed = scaled(model)
    resumed.restore(model, state.tensors(model), state.numbers())
    assert resumed.single_precision
    assert not resumed.scaler.is_enabled()


def test_r11_a_lack_of_memory_is_one_sentence(model, monkeypatch):
    def zeros_like(*_, **__):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to …")

    monkeypatch.setattr(torch, "zeros_like", zeros_like)
    with pytest.raises(ChargenError) as error:
        TrainingState.begin(model, CONFIG)
    assert str(error.value).endswith("memory; take a smaller batch, window or hidden_size")
