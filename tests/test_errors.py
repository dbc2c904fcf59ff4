"""An error says what, shows the value and gives the next step, in the terms of each door."""

import ast
import pickle
import re
from pathlib import Path

import pytest

import chargen
from chargen import ChargenError
from chargen.cli.options import option_name

ERROR = ChargenError("hidden_size is -1", "take a larger {hidden_size}, or {resume}")


def test_python_reads_the_librarys_terms():
    assert str(ERROR) == "hidden_size is -1; take a larger hidden_size, or Run.resume"
    assert str(ChargenError("it is empty")) == "it is empty"


def test_each_door_has_its_own_names():
    assert ERROR.text(option_name).endswith("; take a larger --hidden, or --resume")
    assert ERROR.text({"hidden_size": "Size", "resume": "Go on"}.get).endswith("Size, or Go on")


def test_a_hint_that_a_door_cannot_follow_is_left_out():
    assert ERROR.text({"hidden_size": "Size"}.get) == "hidden_size is -1"


def test_braces_of_a_value_are_no_terms():
    assert ChargenError("there is no {word}", "take {batch}").text(option_name) == (
        "there is no {word}; take --batch"
    )


def test_a_context_keeps_the_hint():
    assert ERROR.within("config.json").text(option_name).startswith("config.json: hidden_size is")
    assert ERROR.within("config.json").hint == ERROR.hint


def test_it_survives_a_pickle():
    again = pickle.loads(pickle.dumps(ERROR))
    assert (again.message, again.hint) == (ERROR.message, ERROR.hint)


LIBRARY = [
    path for path in sorted(Path(chargen.__file__).parent.rglob("*.py")) if "cli" not in path.parts
]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: "/".join(path.parts[-2:]))
def test_the_library_does_not_know_the_command_line(path):
    """An option or a command in a message would be wrong in Python and on the page."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in ("ChargenError", "warn")
    ]
    texts = [
        part.value
        for call in calls
        for part in ast.walk(call)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    assert [
        text for text in texts if re.search(r"(^|\W)--[a-z]|chargen (train|sample|eval)", text)
    ] == []
