"""Laws of the network."""

import itertools
import math

import pytest
import torch

from chargen import ChargenError
from chargen.model import CELLS, DropoutMask, LanguageModel, _RmsNorm, detach
from chargen.shapes import NORM_EPSILON, ModelConfig

SHAPES = list(itertools.product(CELLS, [1, 2, 3]))


def model_of(cell="lstm", layers=2, dropout=0.0):
    return LanguageModel.new(ModelConfig(11, cell, layers, 16, 8, dropout), seed=1)


@pytest.fixture
def ids():
    return torch.randint(11, (12, 3), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("cell", "layers"), SHAPES)
def test_a_text_read_whole_in_windows_or_by_single_steps_gives_the_same(cell, layers, ids):
    model = model_of(cell, layers)
    whole, end = model(ids, model.initial_state(3))
    for size in (1, 5):
        state, parts = model.initial_state(3), []
        for window in ids.split(size):
            logits, state = model(window, state)
            parts.append(logits)
        assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
        for a, b in zip(itertools.chain(*state), itertools.chain(*end), strict=True):
            assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(("cell", "layers"), SHAPES)
def test_a_lane_does_not_see_its_neighbours(cell, layers, ids):
    model = model_of(cell, layers)
    alone, _ = model(ids[:, 1:2], model.initial_state(1))
    together, _ = model(ids, model.initial_state(3))
    assert torch.allclose(together[:, 1:2], alone, atol=1e-6)


@pytest.mark.parametrize(("cell", "layers"), SHAPES)
def test_no_position_sees_what_comes_after_it(cell, layers, ids):
    model = model_of(cell, layers)
    changed = ids.clone()
    changed[8:] = (changed[8:] + 1) % 11
    before, _ = model(ids, model.initial_state(3))
    after, _ = model(changed, model.initial_state(3))
    assert torch.equal(before[:8], after[:8])
    assert not torch.equal(before[8:], after[8:])


def test_the_norm_is_that_of_pytorch_and_so_is_its_gradient():
    h = torch.randn(5, 3, 16, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    expected = torch.nn.functional.rms_norm(h, (16,), eps=NORM_EPSILON)
    assert torch.allclose(_RmsNorm.apply(h), expected)
    assert torch.autograd.gradcheck(_RmsNorm.apply, h)


def test_no_gradient_crosses_a_detached_state(ids):
    model = model_of()
    _, state = model(ids, model.initial_state(3))
    assert all(tensor.requires_grad for tensor in itertools.chain(*state))
    assert not any(tensor.requires_grad for tensor in itertools.chain(*detach(state)))


@pytest.mark.parametrize(("cell", "layers"), SHAPES)
def test_the_config_knows_the_number_of_parameters(cell, layers):
    model = model_of(cell, layers)
    assert model.config.parameters == sum(p.numel() for p in model.parameters())


def test_dropout_happens_only_with_randomness_and_depends_on_nothing_else(ids):
    model = model_of(dropout=0.5)
    state = model.initial_state(3)
    plain = [model(ids, state)[0] for _ in range(2)]
    dropped = [model(ids, state, DropoutMask(torch.Generator().manual_seed(7)))[0] for _ in range(2)]
    assert torch.equal(plain[0], plain[1])
    assert torch.equal(dropped[0], dropped[1])
    assert not torch.equal(plain[0], dropped[0])


def test_dropout_of_some_lanes_is_that_of_all():
    like = torch.ones(6, 5)
    whole = DropoutMask(torch.Generator().manual_seed(7)).mask(like, 0.5)
    parts = [
        DropoutMask(torch.Generator().manual_seed(7), slice(start, start + 2), 6).mask(like[:2], 0.5)
        for start in (0, 2, 4)
    ]
    assert torch.equal(torch.cat(parts), whole)
    assert set(whole.unique().tolist()) == {0.0, 2.0}


def test_the_same_seed_gives_the_same_weights_and_leaves_global_randomness_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, two = model_of(), model_of()
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_recurrent_weights_begin_orthogonal_and_forget_gates_open():
    layer = model_of().stack.layers[0]
    for gate in layer.weight_hh_l0.split(16):
        assert torch.allclose(gate @ gate.T, torch.eye(16), atol=1e-5)
    assert torch.equal(layer.bias_ih_l0[16:32], torch.ones(16))
    assert layer.bias_ih_l0[:16].abs().max() == 0


def test_an_untrained_model_is_about_as_surprised_as_a_die(ids):
    logits, _ = model_of()(ids, model_of().initial_state(3))
    surprise = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten())
    assert abs(surprise.item() - math.log(11)) < 0.2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cell", "transformer"),
        ("num_layers", 0),
        ("hidden_size", -1),
        ("hidden_size", "256"),
        ("vocab_size", 0),
        ("dropout", 1.0),
        ("dropout", float("nan")),
        ("dropout", None),
    ],
)
def test_a_config_that_makes_no_sense_is_an_error_that_names_the_value(field, value):
    with pytest.raises(ChargenError, match=rf"{field}|cell"):
        ModelConfig(**{"vocab_size": 11, field: value})
