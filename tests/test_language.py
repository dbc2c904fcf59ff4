"""The code speaks the field's language: names and docstrings are held against a list."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "chargen"
FILES = sorted(PACKAGE.rglob("*.py"))

# Names that once stood for something that the field has a word for, and names that say nothing.
WORDS = """
    Clock Follower Guide Habits Learner Limit Looker Mark Measured Noise PRACTISED Progress RATED Reach
    Read Room Saved Shelf TAUGHT TRUST Taken TextStream Veto View Wish Writing
    at beaten blind clock enough found given gpu_drawing graphs hear kept listen look looking luck
    mark pace place quick_ids reach relatives ripen settle sharpen shrink sizing some taken there told
    turns wanted watched whole
"""
RETIRED = set(WORDS.split())
# A docstring begins with a verb, or with the noun that is returned.
OPENING = re.compile(r"(As|By|For|From|Of|Since|The same|To|What|Where|Who|With)\b")


def names(tree):
    """Yields (line, name) for each name that a file binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.alias):
            yield node.lineno, node.asname or node.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_names_and_docstrings_are_the_fields(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    faults = [f"line {line}: {name}" for line, name in names(tree) if name in RETIRED]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            docstring = ast.get_docstring(node) or ""
            if OPENING.match(docstring):
                faults.append(f"line {getattr(node, 'lineno', 1)}: {docstring.splitlines()[0]}")
    assert faults == []


def test_the_init_files_of_packages_are_empty():
    # Whatever stands there is imported with every module below it, and makes `chargen --help` slow.
    inits = [path for path in FILES if path.name == "__init__.py" and path.parent != PACKAGE]
    assert [path for path in inits if path.read_text(encoding="utf-8").strip()] == []


def test_files_hold_one_idea():
    lines = {path: path.read_text("utf-8").count("\n") for path in FILES}
    assert {path: count for path, count in lines.items() if count > 420} == {}
