"""A corpus and a model in the folder that the commands run in."""

import pytest


@pytest.fixture
def corpus(tmp_path, verse):
    (tmp_path / "verse.txt").write_text(verse)
    return "verse.txt"


@pytest.fixture
def model(poet, tmp_path):
    poet.save(tmp_path / "poet")
    return str(tmp_path / "poet")
