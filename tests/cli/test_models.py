"""The model that a command works with when none is named."""

QUICK = ["--steps", "3", "--hidden", "16", "--batch", "4", "--window", "16"]


def test_without_a_model_the_newest_is_taken_else_the_starter_and_said(run, corpus):
    status, _, err = run("sample", "-n", 5, "--seed", 0)
    assert status == 0
    assert "starter model" in err
    run("train", corpus, *QUICK)
    _, _, err = run("sample", "-n", 5, "--seed", 0)
    assert "checkpoints/verse" in err
