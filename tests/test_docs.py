"""The README tells the truth: its snippet runs, its commands and files exist."""

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

from chargen.cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_snippets_run(verse, tmp_path, monkeypatch, capsys):
    snippet = "".join(re.findall(r"```python\n(.*?)```", README, re.S))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data", tmp_path / "data")
    # Seconds instead of minutes, and prompts whose characters the small text has.
    quick = snippet.replace("minutes=3", "steps=12").replace("hidden_size=256", "hidden_size=16")
    quick = re.sub(r"ROMEO:|JULIET:|To be, or no[tr] to be", "a bird ", quick)
    quick = quick.replace("minutes=0.5", "steps=12")
    assert quick.count("a bird") == 7
    exec(quick, {"text": verse})
    assert "12 " in capsys.readouterr().out


@pytest.mark.parametrize("line", re.findall(r"^\$? ?(chargen .*)$", README, re.M))
def test_every_command_line_is_one_that_chargen_understands(line):
    words = shlex.split(line.split("  #")[0].split(" | ")[0].replace("…", "x"))[1:]
    command = main.get_command(click.Context(main), words[0])
    while isinstance(command, click.Group):
        words = words[1:]
        command = command.get_command(click.Context(command), words[0])
    assert command is not None
    command.make_context(words[0], words[1:], resilient_parsing=True)


def test_every_command_is_shown():
    context = click.Context(main)
    for name in main.list_commands(context):
        assert f"### chargen {name}" in README
