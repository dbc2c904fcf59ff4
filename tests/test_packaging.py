"""What a release promises and holds: Pythons on which it installs, and every file that it needs."""

import importlib.machinery
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def script(name):
    """One of the scripts of the continuous integration, as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / ".ci" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def test_n1_the_oldest_and_the_newest_promised_python_are_tested():
    versions = script("check-pins").promised()
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text("utf-8")
    tested = re.search(r"python: \[(.*)\]", workflow)[1].replace('"', "").split(", ")
    assert tested == [versions[0], versions[-1]]
    assert "python .ci/check-pins" in workflow
    target = re.search(r'target-version = "py3(\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert versions[0] == f"3.{target[1]}"


def test_n1_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    asked = {re.match(r"[\w-]+", name)[0] for names in lists for name in names}
    assert asked - {"chargen"} == set(script("check-pins").pins())


def test_n2_a_missing_file_and_one_too_many_are_reported():
    differences = script("check-dist").differences
    assert differences("wheel", {"a", "b"}, {"a", "c"}) == [
        "the wheel lacks b",
        "the wheel has c, which git does not know",
    ]


@pytest.mark.slow
def test_n2_the_source_distribution_and_the_wheel_are_complete(tmp_path, monkeypatch):
    pytest.importorskip("setuptools")
    check_dist = script("check-dist")
    monkeypatch.setattr(check_dist, "TESTS", ["tests/test_names.py"])
    assert check_dist.check(tmp_path) == []
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    for name in ("constraints.txt", "Makefile", "app.py", "docs/python.md", "tests/conftest.py"):
        assert (unpacked / name).is_file(), name
    assert not list(unpacked.rglob("novel.txt"))
