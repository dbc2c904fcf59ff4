"""`chargen export`: a page in one file."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from chargen import TextGenerator
from chargen.cli.main import main
from chargen.generator import STARTER


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TextGenerator.new("the sea is calm", hidden_size=8).save("checkpoints/sea")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, ["export", *arguments])


def test_the_page_is_called_after_the_folder_and_its_size_is_told(folder):
    result = run("-m", "checkpoints/sea")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("wrote sea.html, ")
    page = (folder / "sea.html").read_text(encoding="utf-8")
    assert page == TextGenerator.load("checkpoints/sea").to_html("sea")
    assert "<title>sea</title>" in page


def test_a_file_that_is_there_is_replaced_only_on_request(folder):
    (folder / "a.html").write_text("mine")
    refused = run("-m", "checkpoints/sea", "-o", "a.html")
    assert refused.exit_code == 2
    assert "a.html is already there; replace it with --overwrite" in refused.stderr
    assert (folder / "a.html").read_text() == "mine"
    assert run("-m", "checkpoints/sea", "-o", "a.html", "--overwrite").exit_code == 0
    assert (folder / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_title_is_no_markup(folder):
    assert run("-m", "checkpoints/sea", "-o", "a.html", "--title", "</title><b>").exit_code == 0
    page = (folder / "a.html").read_text(encoding="utf-8")
    assert "<b>" not in page


def test_it_does_without_torch(tmp_path):
    code = (
        "import sys; from chargen.cli.main import main\n"
        f"main(['export', '-m', {str(STARTER)!r}, '-o', 'a.html'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
