"""A constrained draw is the draw among what is allowed, masked or asked, for characters and tokens."""

import itertools

import numpy as np
import pytest

from chargen import ChargenError, Sampler, TextGenerator
from chargen.generation.constraints import Constraint, LiftedConstraint, Utf8Constraint
from chargen.generation.decoder import Decoder
from chargen.generation.loop import sample_tokens
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig
from chargen.tokenizers.bytes import ByteTokenizer


class Asked(Constraint):
    """The lazy form of a constraint that masks."""

    lazy = True

    def __init__(self, masking, vocab_size, streams):
        self.masking, self.shape = masking, vocab_size if streams == 1 else (vocab_size, streams)

    def allows(self, stream, token):
        logits = np.zeros(self.shape, np.float32)
        self.masking.mask(logits)
        return np.isfinite(logits[token] if logits.ndim == 1 else logits[token, stream])

    def advance(self, tokens):
        self.masking.advance(tokens)


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize("streams", [1, 3])
def test_a_lazy_constraint_draws_what_a_masking_one_does(streams, temperature):
    tokenizer = ByteTokenizer()
    decoder = Decoder(LanguageModel.new(ModelConfig(256, "gru", 1, 8, 4), seed=2))
    state = decoder.initial_state()
    logits = decoder.read([10], state)
    drawn = []
    for lazy in (False, True):
        constraint = Utf8Constraint(tokenizer.utf8_transitions, streams)
        if lazy:
            constraint = Asked(constraint, 256, streams)
        tokens = sample_tokens(decoder, state, logits, Sampler(temperature), 5, streams, [constraint])
        drawn.append(np.array(list(itertools.islice(tokens, 200))))
    assert np.array_equal(*drawn)
    first = drawn[0] if streams == 1 else drawn[0][:, 0]
    assert bytes(first.tolist()).decode(errors="ignore").encode()[:100] == bytes(first.tolist())[:100]


class Unrepeated:
    """Allows a character only after another one."""

    def start(self, prefix):
        return prefix[-1:]

    def step(self, state, character):
        return character if character != state else None


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_an_automaton_over_characters_holds_for_every_tokenizer_and_stream(kind):
    writer = TextGenerator.new("aabbccé" * 50, tokenizer=kind, vocab_size=320, hidden_size=16)
    prefix = writer.read("aa")
    options = {"length": 60, "temperature": 0.3, "seed": 1}
    assert repeated(prefix.generate(**options))
    limited = prefix.limited(Unrepeated())
    texts = limited.generate_many(num=3, **options)
    assert texts[0] == limited.generate(**options)
    for new in [*texts, limited.read("b").generate(**options)]:
        assert not repeated(new)
    assert limited.generate(length=1, temperature=0) != "a"
    assert limited.read("b").generate(length=1, temperature=0) != "b"


def repeated(text):
    return any(first == second for first, second in itertools.pairwise(text))


def test_a_token_that_is_refused_leaves_the_state_unchanged():
    constraint = LiftedConstraint(Unrepeated(), ByteTokenizer(), "né")
    assert constraint.allows(0, 0xC3)  # a part of a character cannot be judged yet
    constraint.advance(0xC3)
    assert not constraint.allows(0, 0xA9)  # é
    assert not constraint.allows(0, 0xA9)
    assert constraint.allows(0, 0xB1)  # ñ
    constraint.advance(0xB1)
    assert constraint.allows(0, ord("n"))
    constraint.advance(ord("n"))
    assert not constraint.allows(0, ord("n"))


def test_where_every_token_is_refused_it_is_an_error(poet):
    class Nothing:
        def start(self, prefix):
            return ()

        def step(self, state, character):
            return None

    with pytest.raises(ChargenError, match="the constraints refuse every one"):
        poet.read("a").limited(Nothing()).generate(length=5, seed=1)
