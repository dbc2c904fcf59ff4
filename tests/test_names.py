"""The public names: whatever a user gets can be imported from chargen, which offers nothing else."""

import ast
import inspect
import subprocess
import sys
import typing
from importlib import import_module
from pathlib import Path

import pytest

import chargen

HELD = ["TextGenerator", "TextClassifier", "Run", "ClassifierRun", "Prefix", "Copies"]
HELD += ["Labelled", "Text"]
RETURNED = [
    *("Surprise", "Report", "Score", "ClassScore", "Predictions", "GradientReach", "ResumePoint"),
    *("Record", "ClassifierResumePoint"),
]


def signatures(kind):
    """The annotations of each public method and property, and of the fields of a dataclass.

    A module that does without torch does not import what is annotated alone.
    """
    public = {name: getattr(chargen, name) for name in chargen.__all__}
    yield kind.__name__, typing.get_type_hints(kind, localns=public)
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        member = getattr(member, "__func__", getattr(member, "fget", getattr(member, "func", member)))
        if inspect.isfunction(member):
            yield name, typing.get_type_hints(member, localns=public)


def classes(annotation):
    """The classes that an annotation is made of."""
    if isinstance(annotation, list):  # the arguments of a Callable
        yield from (kind for part in annotation for kind in classes(part))
    elif isinstance(annotation, typing.TypeVar):
        yield from classes(annotation.__bound__ or object)
    elif parts := typing.get_args(annotation):
        yield from classes(typing.get_origin(annotation))
        yield from (kind for part in parts for kind in classes(part))
    elif isinstance(annotation, type):
        yield annotation


@pytest.mark.parametrize("name", HELD + RETURNED)
def test_a_user_can_annotate_what_every_public_method_takes_and_returns(name):
    for method, annotations in signatures(getattr(chargen, name)):
        for kind in {kind for annotation in annotations.values() for kind in classes(annotation)}:
            home = kind.__module__.partition(".")[0]
            known = home in {*sys.stdlib_module_names, "numpy", "torch"}
            assert known or getattr(chargen, kind.__name__, None) is kind, f"{name}.{method}: {kind}"


def test_only_public_names_are_offered():
    assert set(dir(chargen)) == {*chargen.__all__, "__version__"}
    for name in chargen.__all__:
        assert getattr(chargen, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Writer'"):
        _ = chargen.Writer


def test_n3_nothing_else_is_bound_in_the_package():
    # What a completion finds that does not ask `dir`.
    code = "import chargen; print([name for name in vars(chargen) if not name.startswith('_')])"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_type_checker_knows_the_same_names():
    tree = ast.parse(Path(chargen.__file__).read_text("utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    names = [(line.module, alias.asname) for line in guarded.body for alias in line.names]
    assert {name for _, name in names} == set(chargen.__all__)
    for module, name in names:
        assert getattr(import_module(module), name) is getattr(chargen, name)
