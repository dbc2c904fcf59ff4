"""`chargen train`: what it prints, which corpora it takes, and how it stops."""

import json
import signal
import time

import pytest

QUICK = ["--steps", "3", "--hidden", "16", "--batch", "4", "--window", "16"]


def test_train_prints_nothing_on_stdout(run, corpus):
    status, out, err = run("train", corpus, *QUICK)
    assert (status, out) == (0, "")
    assert "checkpoints/verse" in err
    assert "bits per character" in err


def test_train_json_is_one_object_with_the_promised_fields(run, corpus):
    status, out, _ = run("train", corpus, *QUICK, "--json")
    record = json.loads(out)
    assert status == 0
    assert set(record) == {
        "checkpoint",
        "parameters",
        "steps",
        "seconds",
        "characters_per_second",
        "val_nats_per_token",
        "val_bits_per_character",
        "best_step",
        "seed",
    }
    assert record["checkpoint"] == "checkpoints/verse"
    assert record["steps"] == 3


@pytest.mark.slow
def test_without_a_corpus_train_takes_the_built_in_one_and_says_so(run):
    status, _, err = run("train", *QUICK)
    assert status == 0
    assert "python-docs" in err


def test_standard_input_and_folders_are_corpora(run, verse, tmp_path):
    status, _, err = run("train", "-", *QUICK, stdin=verse)
    assert status == 0
    assert "checkpoints/stdin" in err
    (tmp_path / "poems").mkdir()
    (tmp_path / "poems" / "one.txt").write_text(verse)
    status, _, err = run("train", "poems", *QUICK)
    assert status == 0
    assert "1 text files in poems" in err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
def test_every_tokenizer_trains_and_writes(run, corpus, kind):
    arguments = ["--tokenizer", kind, "--vocab-size", "320", *QUICK]
    assert run("train", corpus, *arguments)[0] == 0
    status, out, _ = run("sample", "-p", "the", "-n", 30, "--seed", 1)
    assert status == 0
    assert out.startswith("the")


@pytest.mark.slow
def test_names_end_where_a_name_ends(run, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(["anna", "bob", "carla", "dan"] * 100))
    arguments = ["--split-on", "line", "--steps", "150", "--hidden", "32", "--seed", "0"]
    assert run("train", "names.txt", *arguments)[0] == 0
    _, out, _ = run("sample", "--num", 10, "--seed", 0)
    names = out.splitlines()
    assert len(names) == 10
    assert sum(name in {"anna", "bob", "carla", "dan"} for name in names) >= 7


def test_a_text_too_short_is_an_error_and_leaves_nothing(run, tmp_path):
    (tmp_path / "short.txt").write_text("too short")
    status, _, err = run("train", "short.txt")
    assert status == 1
    assert "9 tokens" in err
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
def test_ctrl_c_keeps_the_model_and_exits_with_130(start, verse, tmp_path):
    (tmp_path / "verse.txt").write_text(verse)
    metrics = tmp_path / "checkpoints" / "verse" / "metrics.jsonl"
    with start("train", "verse.txt", "--hidden", 16, "--steps", 12_000) as process:
        deadline = time.time() + 60
        while not metrics.exists() and time.time() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped at step" in err
    with start("sample", "-n", 5, "--seed", 1) as process:
        process.communicate(timeout=30)
    assert process.returncode == 0
