"""The folder of a training: what it holds already is never overwritten by accident."""

import re
from pathlib import Path

import pytest

QUICK = ["--steps", "3", "--hidden", "16", "--batch", "4", "--window", "16"]
MINE = ("config.json", "samples.txt", "metrics.jsonl", "model.safetensors", "manifest.json")


@pytest.mark.slow
def test_a_taken_name_gets_a_number_and_a_model_named_by_hand_is_safe(run, corpus):
    run("train", corpus, *QUICK)
    _, _, err = run("train", corpus, *QUICK)
    assert "verse-2" in err
    manifest = Path("checkpoints/verse/manifest.json")
    before = manifest.read_text()
    status, _, err = run("train", corpus, *QUICK, "--out", "checkpoints/verse")
    assert status == 1
    assert "--overwrite" in err
    assert manifest.read_text() == before
    status, _, _ = run("train", corpus, *QUICK, "--out", "checkpoints/verse", "--overwrite")
    assert status == 0


@pytest.mark.parametrize("name", [*MINE, "notes.txt"])
@pytest.mark.parametrize("how", [["--resume"], ["--resume", "--seed", "3"], []])
def test_r2_a_folder_of_other_files_is_refused_and_left_as_it_was(run, corpus, tmp_path, name, how):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / name).write_text('{"name": "mine"}')
    status, _, err = run("train", corpus, *QUICK, "--out", "own", *how)
    assert status == 1
    assert re.search(r"own (already )?holds .*another --out", err)
    assert "Traceback" not in err
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == '{"name": "mine"}'


@pytest.mark.slow
@pytest.mark.parametrize("name", MINE)
@pytest.mark.parametrize("command", [["train", *QUICK], ["classify", "train", "--steps", "1"]])
def test_r2_overwrite_replaces_a_model_and_nothing_else(run, corpus, tmp_path, name, command):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / name).write_text('{"name": "mine"}')
    (folder / "notes.txt").write_text("mine, too")
    (tmp_path / "d.csv").write_text("text,label\n" + "fine day,pos\nbad day,neg\n" * 30)
    source = corpus if command[0] == "train" else "d.csv"
    status, _, err = run(*command, source, "--out", "own", "--overwrite")
    if command[0] == "classify" and name == "samples.txt":
        assert status == 0, err  # which a classifier does not write
    else:
        assert status == 1
        assert f"own holds a {name}" in err or "own holds a manifest.json" in err
    assert (folder / name).read_text() == '{"name": "mine"}'
    assert (folder / "notes.txt").read_text() == "mine, too"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["...txt", "..txt"])
@pytest.mark.parametrize("how", ["--overwrite", "--resume", ""])
def test_r2_a_name_that_is_a_path_is_refused(run, tmp_path, verse, name, how):
    (tmp_path / name).write_text(verse)
    status, _, err = run("train", name, *QUICK, *filter(None, [how]))
    assert status == 1
    assert "name a folder with --out" in err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert run("train", name, *QUICK, "--out", "named")[0] == 0
    assert run("eval", name, "-m", "named")[0] == 0


@pytest.mark.slow
def test_r17_of_two_trainings_of_one_name_the_one_of_this_text_is_resumed(run, verse, tmp_path):
    for folder, text in (("A", verse), ("B", verse + "the sea waits\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "c.txt").write_text(text)
        assert run("train", f"{folder}/c.txt", *QUICK)[0] == 0
    for source, expected in (("A/c.txt", "checkpoints/c"), ("B/c.txt", "checkpoints/c-2")):
        status, _, err = run("train", source, "--resume", "--steps", 5)
        assert status == 0, err
        assert f"resuming {expected}\n" in err


@pytest.mark.slow
def test_r19_a_folder_whose_name_has_two_lines_is_resumed(run, verse, tmp_path):
    (tmp_path / "two\nlines.txt").write_text(verse)
    assert run("train", "two\nlines.txt", *QUICK)[0] == 0
    status, _, err = run("train", "--resume", "--steps", 5)
    assert status == 0, err
    assert "resuming checkpoints/two\nlines" in err
