"""The state of a training: what it saves, and the averages of the weights."""

import pytest
import torch

from chargen.data.corpus import prepare
from chargen.data.text import Text
from chargen.model import LanguageModel, ModelConfig
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
