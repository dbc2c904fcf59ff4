"""States and gates are those of the equations, and the command shows them."""

import json
import math

import numpy as np
import pytest
import torch

from chargen.inspection.states import CHUNK, STATE_KINDS, states
from chargen.model import LanguageModel
from chargen.shapes import NORM_EPSILON, ModelConfig


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(model, ids):
    """All that goes on, step by step in double precision: per layer (T, H) by name."""
    w = {name: weight.detach().double().numpy() for name, weight in model.named_parameters()}
    cell, hidden = model.config.cell, model.config.hidden_size
    depth = model.config.num_layers
    h, c = np.zeros((depth, hidden)), np.zeros((depth, hidden))
    found = [{name: [] for name in STATE_KINDS[cell]} for _ in range(depth)]
    for token in ids:
        x = w["stack.embedding.weight"][token]
        for n in range(depth):
            layer = f"stack.layers.{n}."
            given = w[layer + "weight_ih_l0"] @ x + w[layer + "bias_ih_l0"]
            carried = w[layer + "weight_hh_l0"] @ h[n] + w[layer + "bias_hh_l0"]
            step = {}
            if cell == "rnn":
                h[n] = np.tanh(given + carried)
            elif cell == "gru":
                (r, z, new), (r_h, z_h, new_h) = np.split(given, 3), np.split(carried, 3)
                step["reset"], step["update"] = sigmoid(r + r_h), sigmoid(z + z_h)
                step["candidate"] = np.tanh(new + step["reset"] * new_h)
                h[n] = (1 - step["update"]) * step["candidate"] + step["update"] * h[n]
            else:
                i, f, g, o = np.split(given + carried, 4)
                step["input"], step["forget"], step["output"] = map(sigmoid, (i, f, o))
                step["candidate"] = np.tanh(g)
                c[n] = step["forget"] * c[n] + step["input"] * step["candidate"]
                step["cell"] = c[n].copy()
                h[n] = step["output"] * np.tanh(c[n])
            step["hidden"] = h[n].copy()
            for name in STATE_KINDS[cell]:
                found[n][name].append(step[name])
            normed = h[n] / math.sqrt((h[n] ** 2).mean() + NORM_EPSILON)
            x = normed if n == 0 else x + normed
    return [{name: np.stack(rows) for name, rows in layer.items()} for layer in found]


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_gates_and_states_are_those_of_the_formulas(cell):
    model = LanguageModel.new(ModelConfig(7, cell, 2, 12, 5), seed=1)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.4, generator=torch.Generator().manual_seed(2))
    ids = np.random.default_rng(0).integers(0, 7, 60).astype(np.uint8)
    for layer, expected in zip(states(model, ids), by_hand(model, ids), strict=True):
        assert set(layer) == set(STATE_KINDS[cell])
        for name in STATE_KINDS[cell]:
            np.testing.assert_allclose(layer[name], expected[name], atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_hidden_states_are_those_of_the_forward_pass_also_of_a_long_text(cell):
    model = LanguageModel.new(ModelConfig(9, cell, 2, 16, 8), seed=0)
    ids = np.random.default_rng(0).integers(0, 9, CHUNK + 300)
    layers = states(model, ids)
    seen = []
    hooks = [
        layer.register_forward_hook(lambda module, given, got: seen.append(got))
        for layer in model.stack.layers
    ]
    with torch.no_grad():
        model(torch.as_tensor(ids)[:, None], model.initial_state(1))
    for hook in hooks:
        hook.remove()
    for layer, (outputs, last) in zip(layers, seen, strict=True):
        np.testing.assert_allclose(layer["hidden"], outputs[:, 0].numpy(), atol=1e-6)
        if cell == "lstm":
            np.testing.assert_allclose(layer["cell"][-1], last[1][0, 0].numpy(), atol=1e-6)


@pytest.mark.slow
def test_the_command_lists_components_and_colours_by_one(run, poet, verse, tmp_path):
    poet.save(tmp_path / "poet")
    (tmp_path / "verse.txt").write_text(verse[:2000])
    status, out, _ = run("inspect", "states", "verse.txt", "-m", "poet")
    assert status == 0
    assert "position in the word" in out
    status, out, _ = run("inspect", "states", "verse.txt", "-m", "poet", "--plot", "heat.png")
    assert status == 0
    assert "position in the word" in out
    assert (tmp_path / "heat.png").stat().st_size > 10_000
    one = ("inspect", "states", "--text", "a bird\tsings", "-m", "poet", "--component", 3)
    status, out, err = run(*one, "--plot", "c.png", "--svg", "c.svg")
    assert status == 0
    assert [line[8:] for line in out.splitlines()][:3] == ["a", "␣ space", "b"]
    assert "cell 3 of layer 1" in err
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert "\x1b" in run(*one, "--color", "--kind", "forget")[1]
    status, out, _ = run(*one[:-2], "--json", "--plot", "all.pdf", "--layer", 2)
    record = json.loads(out)
    assert record["characters"][:2] == ["a", " "]
    assert np.array(record["layers"][1]["forget"]).shape == (12, 32)
    assert "components" not in record


def test_what_cannot_be_looked_at_is_said(run, poet, tmp_path):
    poet.save(tmp_path / "poet")
    text = ("inspect", "states", "-m", "poet", "--text", "a bird")
    for more, status, told in (
        (("--component", 32), 1, "component 32"),
        (("--component", 1, "--layer", 3), 1, "layer 3"),
        (("--layer", 3), 1, "layer 3"),
        (("--component", 1, "--kind", "reset"), 1, "no reset"),
        (("--component", 1, "--plot", "c.txt"), 1, "ends in .png"),
        (("--svg", "c.svg"), 2, "--component"),
    ):
        found, _, err = run(*text, *more)
        assert found == status, more
        assert told in err


def test_of_a_short_text_all_gates_are_shown(run, poet, tmp_path):
    poet.save(tmp_path / "poet")
    status, out, _ = run("inspect", "states", "-m", "poet", "--text", "a bird")
    assert status == 0
    lines = out.splitlines()
    assert len(lines) == 2 * 7
    assert lines[0].split() == ["layer", "1", *STATE_KINDS["lstm"]]
    forget = poet.states("a bird")[1]["forget"].mean(1)
    assert float(lines[8].split()[4]) == pytest.approx(forget[0], abs=1e-3)
    assert (
        len(run("inspect", "states", "-m", "poet", "--text", "a", "--layer", 2)[1].splitlines()) == 2
    )
