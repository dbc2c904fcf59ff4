"""Weights of eight bits: the same bits in every way to compute them, and in JavaScript."""

import json
import shutil
import subprocess
import sys
from decimal import Decimal, getcontext

import numpy as np
import portable
import pytest

from chargen import ChargenError, Sampler
from chargen.generation import draw, int8, int8_matrix
from chargen.generation.decoder import Clamp, Decoder
from chargen.generation.draw import IntegerDraw
from chargen.generation.quantised import QuantisedRows


@pytest.mark.parametrize("torch", [True, False])
@pytest.mark.parametrize("exact_tanh", [True, False])
def test_every_way_to_compute_gives_the_numbers_of_the_file(monkeypatch, torch, exact_tanh):
    if not torch:
        monkeypatch.setitem(sys.modules, "torch", None)
    if not exact_tanh:
        monkeypatch.setattr(int8, "_tanh_is_exact", lambda: False)
    portable.check()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_numbers_do_not_depend_on_threads(threads):
    code = "import torch, portable, sys; torch.set_num_threads(int(sys.argv[1])); portable.check()"
    environment = {"OPENBLAS_NUM_THREADS": str(threads), "PYTHONPATH": f"{portable.ROOT}/tests"}
    environment["PYTHONPATH"] += f":{portable.ROOT}"
    subprocess.run([sys.executable, "-c", code, str(threads)], check=True, env=environment)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_gives_the_numbers_of_the_file():
    script = portable.ROOT / "tests" / "portable.js"
    result = subprocess.run(["node", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "4 models, 120 steps, 5,040 draws: the same\n"


def test_more_inputs_than_a_float32_sums_exactly(monkeypatch):
    weights = portable.model("lstm", 2, hidden=int8_matrix.EXACT_INPUTS + 80)
    with_torch = portable.logits_of(weights, [0, 5, 3])
    monkeypatch.setitem(sys.modules, "torch", None)
    assert (portable.logits_of(weights, [0, 5, 3]) == with_torch).all()
    assert (portable.logits_of(weights, [0, 5, 3], streams=3) == with_torch).all()


def test_the_tables_are_those_of_the_exact_functions():
    getcontext().prec = 40
    weights = draw.weight_table()
    for k in (*range(0, 22004, 997), 22003, 22004):
        exact = 2**30 * (Decimal(-k) / 1024).exp()
        assert int(weights[k]) == int(exact.to_integral_value())
    tanh = int8.tanh_table()
    for k in range(-8192, 8193, 331):
        double = (2 * Decimal(k) / 1024).exp()
        assert int(tanh[k + 8192]) == int((4096 * (double - 1) / (double + 1)).to_integral_value())


def test_tanh_of_any_part_of_an_array_is_that_of_the_table():
    # Its last elements may go another way through the processor than the others.
    steps = np.arange(-8192, 8193, dtype=np.float32) / 1024
    for start, length in ((0, 1), (5, 3), (100, 7), (4000, 33), (8000, 250), (16384, 1)):
        part = np.rint(np.tanh(steps[start : start + length]) * 4096)
        if int8._tanh_is_exact():
            assert (part == int8.tanh_table()[start : start + length]).all()


def test_a_refused_token_is_drawn_again_in_proportion():
    logits = np.log([0.5, 0.3, 0.2])
    counts = np.zeros(3)
    for seed in range(4000):
        drawn = IntegerDraw(Sampler(1.0), seed, 1, 3)
        token = drawn.next(logits)
        if token == 0:
            rest = logits.copy()
            rest[0] = -np.inf
            token = drawn.again(rest, 0)
        counts[token] += 1
    assert counts[0] == 0
    assert counts[1] / 4000 == pytest.approx(0.6, abs=0.035)  # four standard deviations


def test_draws_follow_the_weights():
    sampler, logits = Sampler(0.7, top_p=0.9), np.log([0.5, 0.3, 0.15, 0.04, 0.01])
    drawn = IntegerDraw(sampler, 0, 1, 5)
    counts = np.bincount([drawn.next(logits) for _ in range(20_000)], minlength=5)
    expected = IntegerDraw.probabilities(sampler, logits)
    assert expected[3:].tolist() == [0, 0]
    assert np.allclose(counts / 20_000, expected, atol=0.015)


def test_a_seed_of_any_size_draws():
    for seed in (0, 2**64 - 1, 2**64, 2**200):
        assert 0 <= IntegerDraw(Sampler(1.0), seed, 1, 3).next(np.zeros(3)) < 3


def test_a_row_of_zeros_stays_zero():
    rows = QuantisedRows.from_matrix(np.float32([[0, 0], [1e-40, 0], [2, -1]]), 8)
    assert rows.values.tolist() == [[0, 0], [0, 0], [127, -64]]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("value", [1e30, -1e30, 0.0])
def test_a_clamp_of_any_value_gives_finite_logits(cell, value):
    decoder = Decoder(portable.model(cell, 2), "int8").clamped([Clamp(1, 3, value)])
    state = decoder.initial_state()
    alone = decoder.read([1, 5, 2], state)
    together = decoder.initial_state(4)
    for token in (1, 5, 2):
        logits = decoder.step(np.full(4, token), together)
    assert np.isfinite(alone).all()
    assert (logits == alone[:, None]).all()


def test_constraints_that_refuse_every_token_are_an_error():
    from chargen.generation.loop import sample_tokens

    class Nothing:
        lazy = True

        def mask(self, logits):
            return

        def allows(self, stream, token):
            return False

    decoder = Decoder(portable.model("rnn", 1), "int8")
    state = decoder.initial_state()
    with pytest.raises(ChargenError, match="refuse every one"):
        next(sample_tokens(decoder, state, decoder.step(0, state), Sampler(), 0, 1, [Nothing()]))


def test_the_file_is_small_enough_to_read():
    assert portable.PATH.stat().st_size < 250_000
    assert json.loads(portable.PATH.read_text())["models"][0]["config"]["cell"] == "lstm"
