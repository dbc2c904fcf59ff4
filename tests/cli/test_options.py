"""Options: a variable stands for one."""

import json

QUICK = ["--steps", "3", "--hidden", "16", "--batch", "4", "--window", "16"]


def test_a_variable_stands_for_an_option_and_is_checked_like_one(run, corpus):
    status, out, _ = run("train", corpus, *QUICK[2:], "--json", env={"CHARGEN_TRAIN_STEPS": "2"})
    assert status == 0
    assert json.loads(out)["steps"] == 2
    status, _, err = run("train", corpus, env={"CHARGEN_TRAIN_STEPS": "x"})
    assert status == 2
    assert "CHARGEN_TRAIN_STEPS" in err
