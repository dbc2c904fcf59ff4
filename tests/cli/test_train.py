"""`chargen train`: what it prints, which corpora it takes, and how it stops."""

import json
import random
import re
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


def test_n9_how_much_of_the_held_out_text_repeats_is_said(run, verse, tmp_path):
    (tmp_path / "verse.txt").write_text(verse)
    _, _, err = run("train", "verse.txt", *QUICK)
    assert re.search(r"note: \d+% of the held-out text also occurs in the training part", err)
    letters = "".join(random.Random(0).choices("abcdefgh ", k=3000))
    (tmp_path / "letters.txt").write_text(letters)
    _, _, err = run("train", "letters.txt", *QUICK)
    assert "also occurs" not in err


def test_n8_n19_the_stretch_that_was_scored_and_what_predicts_it_better_are_said(
    run, corpus, monkeypatch
):
    monkeypatch.setattr("chargen.data.corpus.SCORED", 301)
    status, _, err = run("train", corpus, *QUICK)
    assert status == 0
    assert re.search(r"on the first 300 held-out characters \(\d+ tokens are held out\)", err)
    assert "note: on this text unigram model and 5-gram model and xz predict better" in err


def test_n19_where_the_network_is_best_nothing_is_said(run, corpus, monkeypatch):
    monkeypatch.setattr("chargen.runs.launch.baseline_bits", lambda _: {"5-gram model": 99.0})
    _, _, err = run("train", corpus, *QUICK)
    assert "(5-gram model 99.000)" in err
    assert "predict better" not in err


def test_d9_how_documents_were_held_out_is_said(run, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(f"name {n}" for n in range(100)))
    _, _, err = run("train", "names.txt", "--split-on", "line", *QUICK)
    assert re.search(r"\(\d\d and \d+ documents, chosen at random\)", err)


@pytest.mark.slow
def test_d9_the_end_of_a_sorted_list_is_learned_as_well_as_its_beginning(run, tmp_path):
    """The last letters of a list from A to Z were not learned at all: they were held out."""
    rng = random.Random(0)
    names = sorted({_name(rng, letter) for letter in "abcdefghijklmnopqrstuvwxyz" for _ in range(60)})
    (tmp_path / "names.txt").write_text("\n".join(names))
    assert run("train", "names.txt", "--split-on", "line", "--epochs", 30, "--hidden", 48)[0] == 0
    bits = []
    for part in (names[:150], names[-150:]):
        (tmp_path / "part.txt").write_text("\n".join(part))
        bits.append(json.loads(run("eval", "part.txt", "--json")[1])["bits_per_character"])
    assert bits[1] - bits[0] < 0.1


def _name(rng, letter):
    """A pronounceable name that begins with a letter."""
    syllables = ["ba", "ko", "ri", "ne", "su", "la", "mi", "to"]
    return letter.upper() + "".join(rng.choices(syllables, k=rng.randint(1, 4)))


def test_n17_the_first_line_comes_before_anything_is_loaded(run, corpus):
    _, _, err = run("train", corpus, *QUICK)
    assert err.splitlines()[0] == "reading  verse.txt"


@pytest.mark.slow
def test_d17_a_column_of_a_table_is_learned_resumed_and_written(run, tmp_path):
    rows = "".join(f'{n},"one joke,\nof {n}"\n' for n in range(60))
    (tmp_path / "jokes.csv").write_text("id,joke\n" + rows)
    status, _, err = run("train", "jokes.csv", "--text", "joke", *QUICK)
    assert status == 0, err
    assert re.search(r"comma-separated with quotes, header: id, joke", err)
    assert re.search(r"\(5\d and \d documents, chosen at random\)", err)
    assert run("train", "jokes.csv", "--text", "joke", "--resume", "--steps", 5)[0] == 0
    status, _, err = run("train", "--resume", "--text", "id", "--steps", 6, "-o", "checkpoints/jokes")
    assert status == 2
    assert "began with ['joke']" in err
    _, out, _ = run("sample", "--num", 3, "--seed", 1, "-n", 30)
    samples = json.loads(run("sample", "--num", 3, "--seed", 1, "-n", 30, "--json")[1])["samples"]
    assert out == "\n\n".join(samples) + "\n"
    assert run("sample", "--report-copies", "-n", 30)[0] == 0
    status, _, err = run("train", "jokes.csv", *QUICK, "-o", "whole")
    assert "looks like a table" in err


def test_d17_rows_are_documents_already(run, tmp_path):
    (tmp_path / "jokes.csv").write_text("id,joke\n1,a\n")
    assert run("train", "jokes.csv", "--text", "joke", "--split-on", "line")[0] == 2
