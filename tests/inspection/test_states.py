"""States and gates are those of the formulas, components follow what they are said to, clamps hold."""

import json
import math

import numpy as np
import pytest
import torch

from chargen import ChargenError, Clamp, TextGenerator
from chargen.inspection.components import components, token_properties
from chargen.inspection.gradients import gradients
from chargen.inspection.properties import properties
from chargen.inspection.states import CHUNK, STATE_KINDS, states
from chargen.model import NORM_EPSILON, LanguageModel, ModelConfig
from chargen.rendering import plots as pictures
from chargen.rendering.describe import state_glyphs


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


def test_properties_of_a_text_by_hand():
    text = 'def f(a):\n    """Say "it".\n    """\n    return [a, \'x\']  # a NOTE\n'
    found = properties(text)

    def where(name):
        return "".join(
            character if value else "." for character, value in zip(text, found[name], strict=True)
        )

    assert where("inside a comment").strip(".") == "# a NOTE"
    assert where("inside a string").split(".\n")[0].strip(".").startswith('"""Say "it"')
    assert "'x" in where("inside a string")
    assert "'x'" not in where("inside a string")
    assert where("in a word of capitals").strip(".") == "OTE"
    assert where("in a capitalised word").replace(".", "") == "SayNOTE"
    assert where("inside brackets").replace(".", "") == "(a[a, 'x'"
    assert found["indentation of the line"][text.index("return")] == 4
    assert found["in the indentation"].sum() == 12
    assert found["distance since newline"][text.index("return")] == 5
    assert found["position in the line"][text.index("\n")] == 1
    assert found["position in the word"][text.index("turn")] == 3
    assert where("digit").strip(".") == ""
    assert properties("“A,” he said.\n")["inside quotes"].tolist() == [1] * 3 + [0] * 11
    assert properties("don't (it's)")["inside a string"].sum() == 0
    assert properties("a(\n\nb")["inside brackets"].tolist() == [0, 1, 1, 1, 0]
    assert properties("x = 1; // no\ny = 2;\nz();\n")["inside a comment"].sum() == len("// no")
    assert all(len(values) == 0 for values in properties("").values())


@pytest.fixture(scope="module")
def bracketed():
    """A generator whose text has long brackets, so that it must remember whether one is open."""
    rng = np.random.default_rng(0)
    text = "".join(
        "".join(rng.choice(list("abc"), 8)) + "(" + "".join(rng.choice(list("abc"), 8)) + ")"
        for _ in range(400)
    )
    writer = TextGenerator.new(text, hidden_size=24)
    for _ in writer.train(text, steps=300, batch=4, window=40, learning_rate=6e-3):
        pass
    return writer, text


def test_a_component_that_follows_brackets_is_found_and_its_correlation_is_true(bracketed):
    writer, text = bracketed
    text = text[-3000:]
    found = {row.property: row for row in writer.components(text)}
    row = found["inside brackets"]
    assert abs(row.correlation) > 0.8
    values = writer.states(text)[row.component.layer - 1][row.component.kind][
        :, row.component.index
    ].astype(float)
    values = np.tanh(values) if row.component.kind == "cell" else values
    told = properties(text)["inside brackets"]
    assert np.corrcoef(values, told)[0, 1] == pytest.approx(row.correlation, abs=1e-6)
    assert "digit" not in found  # there are none
    with pytest.raises(ChargenError, match="too few"):
        writer.components("abc")


def test_the_properties_of_ids_are_those_of_the_characters_that_they_complete(verse):
    writer = TextGenerator.new(verse, tokenizer="byte", hidden_size=8)
    text = "né (日) x" * 20
    ids = writer.tokenizer.encode(text)
    told = token_properties(writer.tokenizer, ids)["inside brackets"]
    assert told[: len("né (日) x".encode())].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    assert components(writer.model, writer.tokenizer, ids)
    lines = TextGenerator.new(verse, split_on="line", hidden_size=8)
    assert lines.components(verse[:2000])
    assert lines.pieces("a\nb\n") == ["a", "", "b", ""]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("streams", [1, 3])
def test_a_clamped_component_is_what_it_is_held_at(verse, cell, streams):
    writer = TextGenerator.new(verse, cell=cell, hidden_size=12, num_layers=2)
    mark = writer.read("a bird ")
    assert mark.clamped().generate(length=50, seed=1) == mark.generate(length=50, seed=1)
    held = mark.clamped(Clamp(1, 3, 0.9), Clamp(2, 5, -0.5))
    decoder, state = held._decoder, held._state.fork(streams)
    ids = 1 if streams == 1 else np.arange(streams)
    for _ in range(3):
        decoder.step(ids, state)
        first, second = (layer.carried[-1] for layer in state.layers)  # c, or h
        assert np.all(first[3] == np.float32(0.9))
        assert np.all(second[5] == np.float32(-0.5))
    texts = held.generate_many(num=2, length=200, seed=1)
    assert texts[0] == held.generate(length=200, seed=1)
    assert texts[0] != mark.generate(length=200, seed=1)


def test_holding_the_bracket_open_or_shut_changes_what_is_written(bracketed):
    writer, text = bracketed
    row = next(r for r in writer.components(text[-3000:]) if r.property == "inside brackets")
    layer, index = row.component.layer, row.component.index
    values = writer.states(text[-3000:])[layer - 1]["cell"][:, index]
    inside, outside = (
        np.percentile(values, [98, 2]) if row.correlation > 0 else np.percentile(values, [2, 98])
    )
    mark = writer.read("abc(")
    opened = mark.clamped(Clamp(layer, index, 3 * float(inside)))
    shut = mark.clamped(Clamp(layer, index, 3 * float(outside)))
    free, more, less = (m.generate(length=1500, seed=1, temperature=1.0) for m in (mark, opened, shut))
    assert more != free != less
    # What believes itself inside closes brackets that nobody opened, and the other way round.
    assert more.count(")") - more.count("(") > 10 + abs(free.count(")") - free.count("("))
    assert less.count("(") - less.count(")") > 10 + abs(free.count(")") - free.count("("))


def test_a_component_that_is_not_there_is_said(poet, run, tmp_path):
    mark = poet.read("a")
    for clamp, named_fault in ((Clamp(3, 0, 0.0), "layer 3"), (Clamp(1, 32, 0.0), "component 32")):
        with pytest.raises(ChargenError, match=named_fault):
            mark.clamped(clamp)
    with pytest.raises(ChargenError, match="nan"):
        mark.clamped(Clamp(1, 0, math.nan))
    poet.save(tmp_path / "poet")
    assert run("sample", "-m", "poet", "--clamp", "1:99=2")[0] == 1
    assert run("sample", "-m", "poet", "--clamp", "1;2=2")[0] == 2
    status, out, _ = run("sample", "-m", "poet", "--seed", 1, "--clamp", "1:3=2.5", "-n", 80)
    assert status == 0
    assert out[:-1] == poet.read("").clamped(Clamp(1, 3, 2.5)).generate(length=80, seed=1)


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


def test_gates_are_coloured_from_shut_to_open():
    glyphs = state_glyphs("ab", np.array([0.0, 1.0], np.float32), "forget")
    assert [glyph.strength for glyph in glyphs] == [-1.0, 1.0]
    assert glyphs[1].told == "+1.000"


def test_without_matplotlib_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ChargenError, match=r"chargen\[plots\]"):
        pictures.heat("a.png", "ab", [{"hidden": np.zeros((2, 3), np.float32)}], "hidden")
