"""`chargen eval`: its figures are those of training."""

import json

import pytest


@pytest.mark.slow
def test_eval_of_the_validation_text_gives_the_figure_that_training_printed(run, corpus, verse):
    _, out, _ = run("train", corpus, "--steps", "40", "--hidden", "16", "--json")
    with open("held-out.txt", "w") as file:
        file.write(verse[int(len(verse) * 0.9) :])
    _, scored, _ = run("eval", "held-out.txt", "--json")
    trained, scored = json.loads(out), json.loads(scored)
    assert scored["nats_per_token"] == pytest.approx(trained["val_nats_per_token"], abs=1e-6)
    assert set(scored) == {
        "characters",
        "nats_per_token",
        "bits_per_character",
        "bits_per_byte",
        "perplexity",
        "xz_bits_per_character",
    }


def test_eval_shows_both_units_and_the_protocol(run, corpus, model):
    status, out, _ = run("eval", corpus, "-m", model)
    assert status == 0
    assert "bits per character" in out
    assert "nats per token" in out
    assert "the state carried" in out
    assert "an empty state every 8 tokens" in run("eval", corpus, "-m", model, "--window", 8)[1]
