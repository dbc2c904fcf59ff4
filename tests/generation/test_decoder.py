"""The fast step equals the network, and ids become text by the rules."""

import itertools

import numpy as np
import pytest
import torch

from chargen import ChargenError, Sampler, TextGenerator
from chargen.generation.decoder import Clamp, Decoder
from chargen.generation.loop import sample_tokens
from chargen.generation.stop_strings import StopMatcher
from chargen.generator import STARTER
from chargen.model import CELLS, LanguageModel
from chargen.shapes import ModelConfig
from chargen.tokenizers.build import KINDS, build_tokenizer
from chargen.tokenizers.bytes import ByteTokenizer
from chargen.tokenizers.characters import CharTokenizer

SHAPES = list(itertools.product(CELLS, [1, 2, 3]))


def confident_model(cell, layers, vocab_size=13):
    """A model whose next id depends strongly on what it read."""
    model = LanguageModel.new(ModelConfig(vocab_size, cell, layers, 24, 8), seed=2)
    with torch.no_grad():
        model.head.weight.mul_(20)
        for weight in model.stack.layers.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)) * 0.1)
    return model


def draws(decoder, prompt, sampler, seed, count, streams=1):
    """The first `count` draws after a prompt."""
    state = decoder.initial_state()
    logits = decoder.read(prompt, state)
    tokens = sample_tokens(decoder, state, logits, sampler, seed, streams)
    return list(itertools.islice(tokens, count))


@pytest.mark.parametrize(("cell", "layers"), SHAPES)
def test_steps_give_the_logits_of_the_full_forward_pass_alone_and_side_by_side(cell, layers):
    model = confident_model(cell, layers)
    ids = torch.randint(13, (40, 3), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(ids, model.initial_state(3))[0].numpy()  # (T, B, V)
    decoder = Decoder(model)
    state = decoder.initial_state(3)
    together = [decoder.step(row.numpy(), state).T for row in ids]
    assert np.allclose(together, expected, atol=2e-5)
    for lane in range(3):
        state = decoder.initial_state()
        alone = [decoder.step(int(token), state) for token in ids[:, lane]]
        assert np.allclose(alone, expected[:, lane], atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("cell", "layers"), SHAPES)
def test_greedy_decoding_is_the_argmax_of_the_full_forward_pass(cell, layers, kind):
    corpus = "to be or not to be, that is the question — être ou ne pas être\n" * 20
    tokenizer = build_tokenizer(kind, [corpus], 340)
    model = confident_model(cell, layers, len(tokenizer))
    ids = tokenizer.encode("not to be").tolist()
    for token in draws(Decoder(model), ids, Sampler(temperature=0), 0, 60):
        with torch.no_grad():
            logits, _ = model(torch.tensor(ids)[:, None], model.initial_state(1))
        assert token == logits[-1, 0].argmax()
        ids.append(int(token))
    assert len(set(ids)) > 3


@pytest.mark.parametrize("cell", CELLS)
def test_a_copied_state_goes_on_as_if_never_copied(cell):
    decoder = Decoder(confident_model(cell, 2))
    state = decoder.initial_state()
    for token in [1, 2, 3]:
        decoder.step(token, state)
    fork = state.fork()
    first = [decoder.step(token, state).copy() for token in [4, 5]]
    second = [decoder.step(token, fork).copy() for token in [4, 5]]
    assert np.array_equal(first, second)


def test_a_stream_draws_the_same_in_every_company():
    decoder = Decoder(confident_model("lstm", 2))
    sampler = Sampler(1.0, top_k=8)
    several = np.array(draws(decoder, [1], sampler, 5, 150, streams=4))
    alone = draws(decoder, [1], sampler, 5, 150)
    fewer = np.array(draws(decoder, [1], sampler, 5, 150, streams=2))
    assert several[:, 0].tolist() == alone
    assert np.array_equal(several[:, :2], fewer)
    assert not np.array_equal(several[:, 0], several[:, 1])


def written(text, length=100, stops=(), tokenizer=None, end=False):
    tokenizer = tokenizer or CharTokenizer("".join(sorted(set(text))), documents=end)
    matcher = StopMatcher(tokenizer, length, stops)
    pieces = []
    for token in [*tokenizer.encode(text), *([tokenizer.end_id] if end else [])]:
        pieces.append(matcher.push(int(token)))
        if matcher.finished:
            break
    return "".join(pieces), matcher.finished


@pytest.mark.parametrize(
    ("text", "length", "stops", "expected"),
    [
        ("hello world", 5, (), ("hello", True)),
        ("hello world", 100, (), ("hello world", False)),
        ("hello world", 100, ("o w",), ("hell", True)),
        ("hello world", 100, ("xyz", "wor"), ("hello ", True)),
        ("aaab", 100, ("aab",), ("a", True)),
        ("ababac", 100, ("abac",), ("ab", True)),
        ("hello", 5, ("lo!",), ("hello", True)),
        ("hello", 0, (), ("", True)),
        ("hello", 100, ("",), ("hello", False)),
    ],
)
def test_a_text_ends_at_its_length_or_before_its_stop_text(text, length, stops, expected):
    assert written(text, length, stops) == expected


def test_a_text_ends_with_its_document_and_keeps_what_was_withheld():
    assert written("hello", stops=("lop",), end=True) == ("hello", True)


def test_lengths_count_characters_whatever_the_tokenizer():
    assert written("日本語です", 2, tokenizer=ByteTokenizer()) == ("日本", True)


@pytest.mark.parametrize(("cell", "layers"), SHAPES)
def test_int8_weights_say_nearly_the_same_alone_and_side_by_side(cell, layers):
    model = LanguageModel.new(ModelConfig(13, cell, layers, 64, 8), seed=2)
    with torch.no_grad():
        model.head.weight.mul_(5)
    ids = torch.randint(13, (60, 3), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(ids, model.initial_state(3))[0].numpy()  # (T, B, V)
    decoder = Decoder(model, "int8")
    state = decoder.initial_state(3)
    together = np.array([decoder.step(row.numpy(), state).T for row in ids])
    error = np.abs(together - expected).mean() / expected.std()
    assert 1e-5 < error < 0.03
    for lane in range(3):
        state = decoder.initial_state()
        alone = [decoder.step(int(token), state) for token in ids[:, lane]]
        assert np.abs(alone - together[:, lane]).mean() < 0.1 * error * expected.std()


@pytest.mark.slow
def test_int8_weights_lose_next_to_nothing_of_a_trained_model():
    writer = TextGenerator.load(STARTER)
    text = "The following statements are executed if the condition is true; see section 3.1.\n" * 8
    ids = writer.tokenizer.encode(text)
    surprise = {}
    for weights in ("fp32", "int8"):
        decoder = Decoder(writer.model, weights)
        state = decoder.initial_state()
        logits = np.array([decoder.step(int(token), state) for token in ids[:-1]], np.float64)
        total = np.log(np.exp(logits).sum(1))
        surprise[weights] = (total - logits[np.arange(len(ids) - 1), ids[1:]]).mean()
    assert surprise["int8"] != surprise["fp32"]
    assert abs(surprise["int8"] - surprise["fp32"]) < 0.005


def test_int8_weights_begin_with_nothing():
    model = LanguageModel.new(ModelConfig(13, "gru", 2, 16, 8), seed=2)
    with torch.no_grad():
        for weight in model.stack.parameters():
            weight.zero_()
    for batch in (1, 3):
        decoder = Decoder(model, "int8")
        ids = 0 if batch == 1 else np.zeros(batch, int)
        assert np.isfinite(decoder.step(ids, decoder.initial_state(batch))).all()


def test_what_is_held_far_out_is_so_for_int8_weights_as_well():
    model = confident_model("gru", 2)
    logits = {}
    for weights in ("fp32", "int8"):
        decoder = Decoder(model, weights).clamped([Clamp(1, 3, 4.0)])
        state = decoder.initial_state()
        logits[weights] = decoder.read([1, 5, 2, 7], state)
    assert np.abs(logits["int8"] - logits["fp32"]).mean() < 0.03 * logits["fp32"].std()


def test_weights_of_an_unknown_kind_are_told():
    with pytest.raises(ChargenError, match="weights are fp32 or int8, not 'int4'"):
        Decoder(confident_model("lstm", 1), "int4")
