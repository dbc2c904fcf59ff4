"""`chargen sample`: the prompt, the seed, several texts, and a reader who leaves."""

import json
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
