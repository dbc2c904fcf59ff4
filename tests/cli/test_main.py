"""The command line: exit status, what is on stdout, and what a wrong word leads to."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chargen.cli.main import main

COMMANDS = ["train", "sample", "eval", "info", "classify", "inspect", "fetch", "app"]
QUICK = ["--steps", "3", "--hidden", "16", "--batch", "4", "--window", "16"]


@pytest.fixture
def corpus(tmp_path, verse):
    (tmp_path / "verse.txt").write_text(verse)
    return "verse.txt"


@pytest.fixture
def model(poet, tmp_path):
    poet.save(tmp_path / "poet")
    return str(tmp_path / "poet")


def test_help_answers_in_half_a_second_and_without_torch():
    began = time.perf_counter()
    command = [sys.executable, "-X", "importtime", "-m", "chargen", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.perf_counter() - began < 0.5 + 1.0  # room for a busy machine
    assert "chargen train corpus.txt" in result.stdout
    assert not {"torch", "gradio", "numpy"} & {
        line.split("|")[-1].strip() for line in result.stderr.splitlines()
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_examples_and_explains_every_option(run, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert f"chargen {command}" in out.split("Options:")[0]
    import click

    context = click.Context(main)
    assert set(main.list_commands(context)) == set(COMMANDS)
    parameters = main.get_command(context, command).params
    assert all(p.help for p in parameters if isinstance(p, click.Option))


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


def test_a_taken_name_gets_a_number_and_a_model_named_by_hand_is_safe(run, corpus):
    run("train", corpus, *QUICK)
    _, _, err = run("train", corpus, *QUICK)
    assert "verse-2" in err
    manifest = Path("checkpoints/verse/manifest.json")
    before = manifest.read_text()
    status, _, err = run("train", corpus, *QUICK, "--out", "checkpoints/verse")
    assert status == 1
    assert "--overwrite" in err
    assert manifest.read_text() == before
    status, _, _ = run("train", corpus, *QUICK, "--out", "checkpoints/verse", "--overwrite")
    assert status == 0


MINE = ("config.json", "samples.txt", "metrics.jsonl", "model.safetensors", "manifest.json")


@pytest.mark.parametrize("name", [*MINE, "notes.txt"])
@pytest.mark.parametrize("how", [["--resume"], ["--resume", "--seed", "3"], []])
def test_r2_a_folder_of_other_files_is_refused_and_left_as_it_was(run, corpus, tmp_path, name, how):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / name).write_text('{"name": "mine"}')
    status, _, err = run("train", corpus, *QUICK, "--out", "own", *how)
    assert status == 1
    assert re.search(r"own (already )?holds .*another --out", err)
    assert "Traceback" not in err
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == '{"name": "mine"}'


@pytest.mark.parametrize("name", MINE)
@pytest.mark.parametrize("command", [["train", *QUICK], ["classify", "train", "--steps", "1"]])
def test_r2_overwrite_replaces_a_model_and_nothing_else(run, corpus, tmp_path, name, command):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / name).write_text('{"name": "mine"}')
    (folder / "notes.txt").write_text("mine, too")
    (tmp_path / "d.csv").write_text("text,label\n" + "fine day,pos\nbad day,neg\n" * 30)
    source = corpus if command[0] == "train" else "d.csv"
    status, _, err = run(*command, source, "--out", "own", "--overwrite")
    if command[0] == "classify" and name in ("samples.txt", "metrics.jsonl"):
        assert status == 0, err  # which a classifier does not write
    else:
        assert status == 1
        assert f"own holds a {name}" in err or "own holds a manifest.json" in err
    assert (folder / name).read_text() == '{"name": "mine"}'
    assert (folder / "notes.txt").read_text() == "mine, too"


@pytest.mark.parametrize("name", ["...txt", "..txt"])
@pytest.mark.parametrize("how", ["--overwrite", "--resume", ""])
def test_r2_a_name_that_is_a_path_is_refused(run, tmp_path, verse, name, how):
    (tmp_path / name).write_text(verse)
    status, _, err = run("train", name, *QUICK, *filter(None, [how]))
    assert status == 1
    assert "name a folder with --out" in err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert run("train", name, *QUICK, "--out", "named")[0] == 0
    assert run("eval", name, "-m", "named")[0] == 0


def test_sample_prints_the_prompt_once_and_then_the_length(run, model):
    status, out, err = run("sample", "-m", model, "-p", "the sea", "-n", 40, "--seed", 5)
    assert status == 0
    assert out.startswith("the sea")
    assert len(out) == len("the sea") + 40 + 1
    assert err == ""


def test_sample_says_the_seed_it_drew_and_the_seed_repeats_the_text(run, model):
    _, first, err = run("sample", "-m", model, "-n", 60)
    seed = err.split("seed: ")[1].strip()
    assert run("sample", "-m", model, "-n", 60, "--seed", seed)[1] == first


def test_sample_gives_the_text_of_the_library(run, model, poet):
    _, out, _ = run("sample", "-m", model, "-p", "a bird", "--seed", 3, "--top-k", 4)
    assert out == poet.generate("a bird", seed=3, top_k=4) + "\n"


def test_sample_json_and_num(run, model, poet):
    _, out, _ = run("sample", "-m", model, "--num", 3, "--seed", 2, "-n", 30, "--json")
    record = json.loads(out)
    assert record["samples"] == poet.generate_many(num=3, seed=2, length=30)
    _, out, _ = run("sample", "-m", model, "--num", 3, "--seed", 2, "-n", 30)
    assert out == "".join(f"{text}\n\n" for text in record["samples"])


def test_a_prompt_from_standard_input(run, model):
    arguments = ["sample", "-m", model, "--prompt-file", "-", "-n", "9", "--seed", "1"]
    status, out, _ = run(*arguments, stdin="the sea\n")
    assert status == 0
    assert out.startswith("the sea")
    assert not out.startswith("the sea\n")


def test_an_unknown_character_in_the_prompt_follows_the_rule(run, model):
    status, out, err = run("sample", "-m", model, "-p", "thé", "-n", 5, "--seed", 1)
    assert status == 0
    assert out.startswith("the")
    assert "'é' (U+00E9 latin small letter e with acute)" in err
    status, out, err = run("sample", "-m", model, "-p", "日", "-n", 5)
    assert (status, out) == (1, "")
    assert "'日' (U+65E5" in err
    assert "position 1" in err
    assert "--unknown skip" in err
    status, out, err = run("sample", "-m", model, "-p", "a日", "-n", 5, "--unknown", "skip")
    assert status == 0
    assert "skipped" in err
    assert out.startswith("a")


def test_without_a_model_the_newest_is_taken_else_the_starter_and_said(run, corpus):
    status, _, err = run("sample", "-n", 5, "--seed", 0)
    assert status == 0
    assert "starter model" in err
    run("train", corpus, *QUICK)
    _, _, err = run("sample", "-n", 5, "--seed", 0)
    assert "checkpoints/verse" in err


def test_info_shows_what_a_model_is(run, model):
    status, out, _ = run("info", "-m", model)
    assert status == 0
    for word in ("lstm, 2 layers, hidden size 32", "18 characters", "128 × 16", "steps 150"):
        assert word in out
    config = json.loads(Path(model, "config.json").read_text())
    assert json.loads(run("info", "-m", model, "--json")[1]) == config


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


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
def test_every_tokenizer_trains_and_writes(run, corpus, kind):
    arguments = ["--tokenizer", kind, "--vocab-size", "320", *QUICK]
    assert run("train", corpus, *arguments)[0] == 0
    status, out, _ = run("sample", "-p", "the", "-n", 30, "--seed", 1)
    assert status == 0
    assert out.startswith("the")


def test_names_end_where_a_name_ends(run, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(["anna", "bob", "carla", "dan"] * 100))
    arguments = ["--split-on", "line", "--steps", "150", "--hidden", "32", "--seed", "0"]
    assert run("train", "names.txt", *arguments)[0] == 0
    _, out, _ = run("sample", "--num", 10, "--seed", 0)
    names = out.splitlines()
    assert len(names) == 10
    assert sum(name in {"anna", "bob", "carla", "dan"} for name in names) >= 7


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "nowhere.txt"], 2, "no file or folder 'nowhere.txt'"),
        (["train", "--minutes", "nan"], 2, "finite"),
        (["train", "--minutes", "inf"], 2, "finite"),
        (["train", "--minutes", "0"], 2, "minutes"),
        (["train", "--minutes", "1", "--steps", "1"], 2, "one budget"),
        (["train", "--resume", "--overwrite"], 2, "not both"),
        (["train", "--steps", "0"], 2, "steps"),
        (["train", "--hidden", "0"], 2, "hidden"),
        (["train", "--dropout", "1"], 2, "dropout"),
        (["train", "--lr", "-1"], 2, "lr"),
        (["train", "--seed", "-1"], 2, "seed"),
        (["train", "--seed", "abc"], 2, "seed"),
        (["train", "--val-fraction", "1"], 2, "val-fraction"),
        (["train", "--split-on", "", *QUICK], 1, "empty --split-on"),
        (["train", "--encoding", "klingon"], 1, "no text encoding 'klingon'"),
        (["train", "--out", "file.txt", *QUICK], 1, "is a file"),
        (["train", "--device", "mps", *QUICK], 1, "--device cpu"),
        (["train", "--precision", "fp16", *QUICK], 1, "fp16 trains on a CUDA GPU only"),
        (["sample", "--temperature", "nan"], 2, "finite"),
        (["sample", "--temperature", "-1"], 2, "temperature"),
        (["sample", "--top-k", "0"], 2, "top-k"),
        (["sample", "--top-p", "0"], 2, "top-p"),
        (["sample", "--top-p", "1.5"], 2, "top-p"),
        (["sample", "--min-p", "2"], 2, "min-p"),
        (["sample", "--length", "-1"], 2, "length"),
        (["sample", "--num", "0"], 2, "num"),
        (["sample", "-m", "nowhere"], 1, "no model in nowhere"),
        (["sample", "-p", "a", "--prompt-file", "file.txt"], 2, "not both"),
        (["sample", "--prompt-file", "nowhere.txt"], 2, "nowhere.txt"),
        (["eval"], 2, "FILE"),
        (["eval", "nowhere.txt"], 2, "nowhere.txt"),
        (["eval", "file.txt", "--window", "0"], 2, "window"),
        (["eval", "empty.txt"], 1, "none to score"),
        (["dance"], 2, "dance"),
        (["train", "--colour", "red"], 2, "colour"),
    ],
)
def test_what_a_person_gets_wrong_is_one_plain_message(run, tmp_path, arguments, status, message):
    (tmp_path / "file.txt").write_text("some text\n" * 100)
    (tmp_path / "empty.txt").write_text("")
    found, out, err = run(*arguments)
    assert found == status
    assert message in err
    assert out == ""
    assert "Traceback" not in err
    assert not (tmp_path / "checkpoints").exists()


def test_a_variable_stands_for_an_option_and_is_checked_like_one(run, corpus):
    status, out, _ = run("train", corpus, *QUICK[2:], "--json", env={"CHARGEN_TRAIN_STEPS": "2"})
    assert status == 0
    assert json.loads(out)["steps"] == 2
    status, _, err = run("train", corpus, env={"CHARGEN_TRAIN_STEPS": "x"})
    assert status == 2
    assert "CHARGEN_TRAIN_STEPS" in err


def test_a_text_too_short_is_an_error_and_leaves_nothing(run, tmp_path):
    (tmp_path / "short.txt").write_text("too short")
    status, _, err = run("train", "short.txt")
    assert status == 1
    assert "9 ids" in err
    assert not (tmp_path / "checkpoints").exists()


def test_a_reader_who_leaves_stops_the_writing_promptly_and_quietly(start, model):
    with start("sample", "-m", model, "-n", 10**7, "--seed", 1) as process:
        assert process.stdout.read(20)
        process.stdout.close()
        began = time.perf_counter()
        process.wait(timeout=30)
        assert time.perf_counter() - began < 5
        assert process.stderr.read() == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_full_disk_under_stdout_is_one_line(model):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "chargen", "sample", "-m", model, "--seed", "1"]
        result = subprocess.run(command, stdout=full, stderr=-1, text=True)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


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
