"""`chargen sample`: the prompt, the seed, several texts, and a reader who leaves."""

import json
import re
import time

import pytest


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


@pytest.mark.slow
def test_a_reader_who_leaves_stops_the_writing_promptly_and_quietly(start, model):
    with start("sample", "-m", model, "-n", 10**7, "--seed", 1) as process:
        assert process.stdout.read(20)
        process.stdout.close()
        began = time.perf_counter()
        process.wait(timeout=30)
        assert time.perf_counter() - began < 5
        assert process.stderr.read() == ""


def _trained(run, tmp_path, text, *options):
    (tmp_path / "corpus.txt").write_text(text)
    quick = ["--steps", 3, "--hidden", 8, "--batch", 4, "--window", 16]
    assert run("train", "corpus.txt", *quick, *options)[0] == 0


@pytest.mark.parametrize(
    ("split_on", "between", "boundaries"),
    [("line", "\n", 0), ("blank-line", "\n\n", 0), ("%%", "\n%%\n", 0), (None, "\n\n", 3)],
)
def test_d11_several_texts_are_told_apart(run, tmp_path, split_on, between, boundaries):
    documents = [f"poem {n} of many" for n in range(60)]
    text = {"line": "\n", "blank-line": "\n\n", None: "\n"}.get(split_on, "\n%%\n").join(documents)
    _trained(run, tmp_path, text, *(["--split-on", split_on] if split_on else []))
    options = ["--num", 3, "--seed", 1, "-n", 40]
    _, out, err = run("sample", *options)
    samples = json.loads(run("sample", *options, "--json")[1])["samples"]
    assert out == between.join(samples) + ("\n" if split_on else "\n\n")
    assert err.count("--- text") == boundaries


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_d8_a_document_has_no_line_too_many(run, tmp_path, kind):
    """At a temperature at which every token is drawn sooner or later."""
    options = ["--tokenizer", kind, "--vocab-size", 300, "--split-on", "line"]
    _trained(run, tmp_path, "\n".join(f"name {n}" for n in range(100)), *options)
    _, out, _ = run("sample", "--num", 500, "--temperature", 3, "--seed", 1)
    assert out.count("\n") == 500


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["-p", r"a bird:\nI", "--unknown", "skip"],
            r"--prompt holds a backslash and 'n', not a newline",
        ),
        (["--stop", r"\n"], r"--stop holds .* not a newline: in a shell, write \$'…\\n…'"),
        (["--stop", r"a\tb"], "not a tab"),
    ],
)
def test_d13_a_backslash_that_the_model_lacks_is_said(run, poet, tmp_path, arguments, words):
    poet.save(tmp_path / "poet")
    status, _, err = run("sample", "-m", "poet", "-n", 5, "--seed", 1, *arguments)
    assert status == 0, err
    assert re.search(words, err)


def test_d13_a_backslash_that_the_model_knows_may_be_meant(run, tmp_path):
    _trained(run, tmp_path, r"print('one\n') " * 50)
    _, _, err = run("sample", "-p", r"print('\n", "-n", 5, "--seed", 1, "--stop", r"\n")
    assert "backslash" not in err


@pytest.mark.parametrize("typed", [r"\n", r"\n\n"])
def test_d13_a_newline_as_separator_is_called_line(run, tmp_path, typed):
    (tmp_path / "names.txt").write_text("Ada\nGrace\n" * 50)
    status, _, err = run("train", "names.txt", "--split-on", typed)
    assert status == 1
    assert re.search(
        r"does not occur in it.*for a newline, set --split-on to line, or to blank-line", err
    )
