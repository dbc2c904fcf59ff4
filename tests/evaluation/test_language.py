"""A score is the mean cross entropy, and calibration finds the best scale of the logits."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from chargen import Text
from chargen.data.corpus import prepare
from chargen.evaluation.language import best_logit_scale, evaluate
from chargen.model import LanguageModel
from chargen.shapes import ModelConfig


@pytest.fixture
def corpus(verse):
    return prepare(Text.from_string(verse))


def model_for(corpus):
    config = ModelConfig(len(corpus.tokenizer), hidden_size=32, embedding_size=16)
    return LanguageModel.new(config, seed=0)


def test_the_score_is_the_mean_surprise_with_the_state_carried(corpus):
    model, ids = model_for(corpus), corpus.validation
    logits, _ = model(torch.tensor(ids[:-1].astype(int))[:, None], model.initial_state(1))
    nats = F.cross_entropy(logits[:, 0], torch.tensor(ids[1:].astype(int)))
    score = evaluate(model, ids, corpus.tokenizer)
    assert score.tokens == score.characters == len(ids) - 1
    assert score.nats_per_token == pytest.approx(nats.item(), abs=1e-6)
    assert score.bits_per_character == pytest.approx(nats.item() / math.log(2), abs=1e-6)
    assert score.perplexity == pytest.approx(math.exp(nats.item()), rel=1e-5)


def test_a_windowed_score_begins_every_window_with_an_empty_state(corpus):
    model, ids = model_for(corpus), corpus.validation[:41]
    x, y = torch.tensor(ids[:-1].astype(int)), torch.tensor(ids[1:].astype(int))
    logits = [model(part[:, None], model.initial_state(1))[0][:, 0] for part in x.split(16)]
    expected = F.cross_entropy(torch.cat(logits), y).item()
    score = evaluate(model, ids, corpus.tokenizer, window=16)
    assert score.nats_per_token == pytest.approx(expected, abs=1e-6)


def test_a_quick_score_is_close_to_the_exact_one(poet, verse):
    corpus = prepare(Text.from_string(verse * 10), val_fraction=0.5)
    ids, tokenizer = corpus.validation, corpus.tokenizer
    exact = evaluate(poet.model, ids, tokenizer)
    quick = evaluate(poet.model, ids, tokenizer, quick=len(ids))
    assert quick.tokens == exact.tokens == len(ids) - 1
    assert (quick.characters, quick.bytes) == (exact.characters, exact.bytes)
    assert quick.nats_per_token == pytest.approx(exact.nats_per_token, abs=5e-4)
    assert quick.nats != exact.nats


def test_a_score_of_a_part_is_of_places_all_over_the_text(poet, verse):
    easy = poet.tokenizer.encode(verse * 4)
    hard = np.random.default_rng(1).permutation(easy)
    text = np.concatenate([easy, hard])
    whole, part = (evaluate(poet.model, text, poet.tokenizer, quick=n) for n in (len(text), 8192))
    assert part.tokens == part.characters == part.bytes == 8192
    assert part.nats_per_token == pytest.approx(whole.nats_per_token, rel=0.05)
    alone = evaluate(poet.model, easy, poet.tokenizer)
    assert alone.nats_per_token < 0.8 * part.nats_per_token


def test_a_model_is_watched_as_if_it_were_as_sure_as_it_should_be(poet, verse):
    ids = poet.tokenizer.encode(verse)
    model = copy.deepcopy(poet.model)
    for _ in range(5):
        model.scale_logits(best_logit_scale(model, ids, len(ids)))
    model.scale_logits(1 / 0.8)  # too sure
    plain, validation_loss = (
        evaluate(model, ids, poet.tokenizer, quick=len(ids), scale_logits=scale_logits)
        for scale_logits in (False, True)
    )
    assert validation_loss.nats == plain.nats
    assert validation_loss.validation_loss < plain.validation_loss == plain.nats_per_token
    model.scale_logits(0.8)
    right = evaluate(model, ids, poet.tokenizer, quick=len(ids))
    assert validation_loss.validation_loss == pytest.approx(right.nats_per_token, abs=1e-4)


def test_a_model_that_is_too_sure_of_itself_is_told_so(poet, verse):
    ids = poet.tokenizer.encode(verse)
    model = copy.deepcopy(poet.model)
    for _ in range(5):  # a fair one, to begin with
        model.scale_logits(best_logit_scale(model, ids, len(ids)))
    model.scale_logits(1 / 0.8)
    assert best_logit_scale(model, ids, len(ids)) == pytest.approx(0.8)
    sure = evaluate(model, ids, poet.tokenizer).nats
    model.scale_logits(0.8)
    assert evaluate(model, ids, poet.tokenizer).nats < sure


def test_bits_per_byte_and_per_character_differ_where_characters_are_long():
    corpus = prepare(Text.from_string("日本語" * 100), kind="byte")
    score = evaluate(model_for(corpus), corpus.validation, corpus.tokenizer)
    assert score.bits_per_character == pytest.approx(3 * score.bits_per_byte, rel=0.05)
