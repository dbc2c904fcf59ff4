"""`chargen info`: what a model is."""

import json
from pathlib import Path


def test_info_shows_what_a_model_is(run, model):
    status, out, _ = run("info", "-m", model)
    assert status == 0
    for word in ("lstm, 2 layers, hidden size 32", "18 characters", "128 × 16", "steps 150"):
        assert word in out
    config = json.loads(Path(model, "config.json").read_text())
    assert json.loads(run("info", "-m", model, "--json")[1]) == config
