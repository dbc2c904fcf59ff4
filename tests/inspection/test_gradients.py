"""The gradient is that of a numerical difference, the change that of the prediction."""

import json

import numpy as np
import pytest
import torch

from chargen import ChargenError
from chargen.inspection.gradients import gradients
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_gradient_is_that_of_a_numerical_difference(cell):
    model = LanguageModel.new(ModelConfig(6, cell, 2, 8, 4), seed=3).double()
    ids = np.random.default_rng(0).integers(0, 6, 200)
    found = gradients(model, ids, farthest=6, seed=1)
    assert found.gradient.shape == (6,)
    assert all(np.diff(found.distances) > 0)
    assert found.distances[-1] == 6

    # The same places once more, each embedding moved a little.
    rng = np.random.default_rng(1)
    ends = rng.integers(38, len(ids), 64)
    window = torch.as_tensor(ids[ends + np.arange(-38, 1)[:, None]])
    embedded = model.stack.embedding(window[:-1]).detach()

    def losses(values):
        hook = model.stack.embedding.register_forward_hook(lambda module, given, got: values)
        with torch.no_grad():
            outputs, _ = model.stack(window[:-1], model.initial_state(64))
        hook.remove()
        return torch.nn.functional.cross_entropy(model.head(outputs[-1]), window[-1], reduction="none")

    for back in (1, 4):
        slopes = []
        for place in range(4):
            moved = [embedded.clone(), embedded.clone()]
            for values, step in zip(moved, (1e-5, -1e-5), strict=True):
                values[-back, :, place] += step
            slopes.append((losses(moved[0]) - losses(moved[1])) / 2e-5)
        norm = torch.stack(slopes).norm(dim=0).mean().item()
        assert found.gradient[back - 1] == pytest.approx(norm, rel=1e-5)


def test_what_is_replaced_changes_the_prediction_by_its_divergence():
    model = LanguageModel.new(ModelConfig(5, "lstm", 1, 8, 4), seed=0)
    ids = np.random.default_rng(0).integers(0, 5, 300)
    found = gradients(model, ids, farthest=20)
    assert (found.change >= 0).all()
    assert found.change[0] > 0
    assert found.change[-1] < found.change[0]
    with pytest.raises(ChargenError, match="at least"):
        gradients(model, ids[:50], farthest=20)


@pytest.mark.slow
def test_the_gradient_of_a_simple_cell_vanishes_and_that_of_an_lstm_less(run, tmp_path):
    words = ("inspect", "gradients", "python-docs", "--cells", "rnn,lstm", "--minutes", 0.05)
    status, out, _ = run(*words, "--hidden", 32, "--farthest", 60, "--json", "--plot", "g.svg")
    assert status == 0
    simple, gated = json.loads(out)["models"]
    assert (simple["name"], gated["name"]) == ("rnn", "lstm")
    assert gated["gradient"][49] > 10 * simple["gradient"][49]
    assert "<svg" in (tmp_path / "g.svg").read_text()


def test_given_models_are_measured(run, poet, verse, tmp_path):
    poet.save(tmp_path / "poet")
    (tmp_path / "verse.txt").write_text(verse)
    status, out, _ = run("inspect", "gradients", "verse.txt", "-m", "poet", "--farthest", 30)
    assert status == 0
    assert "poet" in out
    assert len(out.splitlines()) > 12
