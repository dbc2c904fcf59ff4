"""What is drawn on a GPU is what is drawn on a CPU; the graph is simulated there."""

import itertools

import numpy as np
import pytest
import simulated_graph
import torch

from chargen import ChargenError, Sampler, TextGenerator
from chargen.cli.options import option_name
from chargen.generation.cuda import sample_tokens_cuda
from chargen.generation.decoder import Decoder
from chargen.generation.loop import sample_tokens
from chargen.model import CELLS, LanguageModel
from chargen.shapes import ModelConfig


@pytest.fixture(autouse=True)
def without_onednn():
    """Its kernels are chosen anew at every call, which no graph would do."""
    before = torch.backends.mkldnn.set_flags(False)
    yield
    torch.backends.mkldnn.set_flags(*before)


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def after_prefix(cell="lstm", layers=2):
    model = LanguageModel.new(ModelConfig(13, cell, layers, 24, 8), seed=2)
    decoder = Decoder(model)
    state = decoder.initial_state()
    return model, decoder, state, decoder.read([1, 4, 2], state)


def drawn(draws, steps=150):
    return np.array(list(itertools.islice(draws, steps)))


@pytest.mark.parametrize("temperature", [0, 0.8])
@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_the_same_seed_draws_the_same(cell, streams, temperature):
    model, decoder, state, logits = after_prefix(cell)
    sampler = Sampler(temperature)
    expected = drawn(sample_tokens(decoder, state, logits, sampler, 5, streams))
    captures = []

    def capture(step):
        captures.append(step)
        return simulated_graph.capture(step)

    result = sample_tokens_cuda(model, state, logits, sampler, 5, streams, capture)
    assert np.array_equal(drawn(result), expected)
    assert len(captures) == 1


def refused(step):
    step()
    raise RuntimeError("operation not permitted when stream is capturing")


def empty(step):
    return lambda: None


def drifting(step):
    """Goes one step too far each time."""
    return lambda: [step(), step()]


def fails(step):
    def replay():
        step()
        raise RuntimeError("CUDA error: invalid argument")

    return replay


@pytest.mark.parametrize("capture", [refused, empty, drifting, fails])
@pytest.mark.parametrize("streams", [1, 3])
def test_g12_what_cannot_be_captured_is_drawn_step_by_step(capture, streams):
    model, decoder, state, logits = after_prefix()
    sampler = Sampler(0.8)
    expected = drawn(sample_tokens(decoder, state, logits, sampler, 5, streams))
    result = sample_tokens_cuda(model, state, logits, sampler, 5, streams, capture)
    assert np.array_equal(drawn(result), expected)


def test_g11_a_lack_of_memory_says_what_to_do(monkeypatch):
    model, _, state, logits = after_prefix()

    def forward(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(model, "forward", forward)
    with pytest.raises(ChargenError) as error:
        next(sample_tokens_cuda(model, state, logits, Sampler(), 5, 1000, simulated_graph.capture))
    assert error.value.text(option_name) == ("the GPU's memory does not suffice; take a smaller --num")


def test_a_prefix_is_continued_on_the_gpu_unless_that_is_impossible(verse, monkeypatch):
    writer = TextGenerator.new(verse, hidden_size=16)
    prefix = writer.read("a bird")
    models = []

    def draw(model, *arguments):
        models.append(model)
        return sample_tokens_cuda(model, *arguments, capture=simulated_graph.capture)

    monkeypatch.setattr("chargen.generation.cuda.sample_tokens_cuda", draw)
    on_gpu = prefix.on_gpu(writer.model)
    assert on_gpu.generate(length=100, seed=1) == prefix.generate(length=100, seed=1)
    assert on_gpu.read(" sang").generate(length=9, seed=1) == prefix.read(" sang").generate(
        length=9, seed=1
    )
    assert models == [writer.model] * 2
    several = on_gpu.generate_many(num=3, length=50, seed=2)
    assert several == prefix.generate_many(num=3, length=50, seed=2)
    assert len(models) == 3
    assert on_gpu.generate(length=50, seed=1, top_k=3) == prefix.generate(length=50, seed=1, top_k=3)
    assert len(models) == 3


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("streams", [1, 64])
def test_a_captured_step_draws_the_same(streams):
    model, decoder, state, logits = after_prefix()
    sampler = Sampler(0.8)
    expected = drawn(sample_tokens(decoder, state, logits, sampler, 5, streams), 300)
    result = drawn(sample_tokens_cuda(model.cuda(), state, logits, sampler, 5, streams), 300)
    assert np.mean(result[:20] == expected[:20]) > 0.9  # rounding may decide, then all is another text
