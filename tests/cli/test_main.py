"""The command line: help, exit statuses, and one plain message for what a person gets wrong."""

import os
import subprocess
import sys

import click
import pytest

from chargen.cli.main import main

COMMANDS = [
    "train",
    "sample",
    "eval",
    "info",
    "export",
    "compress",
    "decompress",
    "classify",
    "inspect",
]
COMMANDS += ["fetch", "app"]
QUICK = ["--steps", "3", "--hidden", "16", "--batch", "4", "--window", "16"]


def test_help_answers_at_once_and_imports_no_command():
    began = sum(os.times()[2:4])  # the processor's time of children: not that of a busy machine
    command = [sys.executable, "-X", "importtime", "-m", "chargen", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert sum(os.times()[2:4]) - began < 0.6  # 0.13 s here
    assert "chargen train corpus.txt" in result.stdout
    modules = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert {name for name in modules if name.split(".")[0] == "chargen"} == {
        "chargen",
        "chargen.cli",
        "chargen.cli.lazy_group",
        "chargen.cli.main",
        "chargen.cli.options",
        "chargen.cli.terminal",
        "chargen.errors",
    }
    assert not {"torch", "gradio", "numpy", "tqdm", "tempfile", "hashlib"} & modules


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_examples_and_explains_every_option(run, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert f"chargen {command}" in out.split("Options:")[0]
    context = click.Context(main)
    assert set(main.list_commands(context)) == set(COMMANDS)
    parameters = main.get_command(context, command).params
    assert all(p.help for p in parameters if isinstance(p, click.Option))


@pytest.mark.parametrize("group", ["classify", "inspect"])
def test_a_group_lists_its_commands_and_each_explains_itself(run, group):
    commands = main.get_command(click.Context(main), group)
    status, out, _ = run(group, "--help")
    assert status == 0
    for name in commands.list_commands(click.Context(commands)):
        assert f"\n  {name} " in out.split("Commands:")[1]
        status, explained, _ = run(group, name, "--help")
        assert status == 0
        assert f"chargen {group} {name}" in explained.split("Options:")[0]
        parameters = commands.get_command(click.Context(commands), name).params
        assert all(p.help for p in parameters if isinstance(p, click.Option))


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
        (["train", "--split-on", "", *QUICK], 1, "an empty separator"),
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
        (["eval", "empty.txt"], 1, "cannot be scored"),
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


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_full_disk_under_stdout_is_one_line(model):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "chargen", "sample", "-m", model, "--seed", "1"]
        result = subprocess.run(command, stdout=full, stderr=-1, text=True)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr
