"""Components correlate with their properties, and clamping one changes the text."""

import math

import numpy as np
import pytest

from chargen import ChargenError, Clamp, TextGenerator
from chargen.generation.decoder import Decoder
from chargen.inspection.components import components, token_properties
from chargen.inspection.properties import properties


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
    decoder = Decoder(writer.model).clamped([Clamp(1, 3, 0.9), Clamp(2, 5, -0.5)])
    state = decoder.initial_state()
    decoder.read(writer.tokenizer.encode("a bird ").tolist(), state)
    state = state.fork(streams)
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
