"""`chargen classify train --resume`: a training goes on with its texts and its settings."""

import json
import shutil
import signal
import time

import pytest

from chargen import ClassifierRun, TextClassifier

SIZES = ("--hidden", 16, "--embedding", 8)


@pytest.fixture
def table(moods, tmp_path):
    rows = zip(moods.labels, moods.texts, strict=True)
    (tmp_path / "moods.csv").write_text("mood,said\n" + "".join(f"{a},{b}\n" for a, b in rows))
    return "moods.csv"


def test_it_goes_on_with_a_larger_budget_and_says_where(run, table, tmp_path):
    status, _, err = run("classify", "train", table, "--steps", 6, "--no-wide", "--seed", 5, *SIZES)
    assert status == 0, err
    status, out, err = run("classify", "train", table, "--resume", "--steps", 9, "--json")
    assert status == 0, err
    assert "M parameters, at step 6 after" in err
    told = json.loads(out)
    assert (told["steps"], told["seed"], told["checkpoint"]) == (9, 5, "checkpoints/moods")
    status, _, err = run("classify", "train", "--resume")
    assert status == 0, err
    assert "the training in checkpoints/moods is finished: 9 steps in" in err
    assert "for example --steps 18" in err
    status, again, _ = run("classify", "train", "--resume", "--json")
    assert json.loads(again) == told


def test_without_a_name_the_newest_of_its_kind_goes_on(run, table, verse, tmp_path):
    assert run("classify", "train", table, "--steps", 4, *SIZES)[0] == 0
    (tmp_path / "verse.txt").write_text(verse)
    sizes = ("--hidden", 8, "--batch", 2, "--window", 8)
    assert run("train", "verse.txt", "--steps", 4, *sizes)[0] == 0
    status, _, err = run("classify", "train", "--resume", "--steps", 5)
    assert status == 0, err
    assert "checkpoints/moods" in err
    status, _, err = run("classify", "train", "--resume", "-o", "checkpoints/verse")
    assert status == 1
    assert "chargen train --resume -o checkpoints/verse" in err
    status, _, err = run("train", "--resume", "-o", "checkpoints/moods")
    assert status == 1
    assert "chargen classify train --resume -o checkpoints/moods" in err


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--hidden", 7), "--hidden 7: the training in checkpoints/moods began with 16"),
        (("--no-wide",), "--wide False: the training in checkpoints/moods began with True"),
        (("--label", "said"), "--label said: the training in checkpoints/moods began with mood"),
        (("--batch", 3), "--batch 3: the training in checkpoints/moods began with 16"),
        (("--steps", 2), "2 steps are spent: this training has had 4"),
    ],
)
def test_a_setting_that_cannot_change_is_refused(run, table, option, told):
    columns = ("--label", "mood", "--text", "said")
    assert run("classify", "train", table, "--steps", 4, *columns, *SIZES)[0] == 0
    status, _, err = run("classify", "train", "--resume", *option)
    assert status in (1, 2)
    assert told in err


def test_texts_that_were_moved_are_named_anew_and_others_are_refused(run, table, tmp_path):
    assert run("classify", "train", table, "--steps", 4, *SIZES)[0] == 0
    (tmp_path / "moods.csv").rename(tmp_path / "elsewhere.csv")
    status, _, err = run("classify", "train", "--resume", "--steps", 5)
    assert status == 1
    assert "moods.csv" in err
    again = ("classify", "train", "elsewhere.csv", "--resume", "-o", "checkpoints/moods")
    assert run(*again, "--steps", 5)[0] == 0
    with (tmp_path / "elsewhere.csv").open("a") as file:
        file.write("glad,one more\n")
    status, _, err = run(*again, "--steps", 6)
    assert status == 1
    assert "put the old ones back, or train anew without --resume, with another --out" in err


def test_the_own_texts_to_validate_on_are_read_again(run, table, tmp_path):
    shutil.copy(tmp_path / table, tmp_path / "held-out.csv")
    first = ("classify", "train", table, "--val", "held-out.csv", "--steps", 4, *SIZES)
    assert run(*first)[0] == 0
    (tmp_path / "deep").mkdir()
    status, out, err = run("classify", "train", "--resume", "--steps", 5, "--json")
    assert status == 0, err
    assert sum(map(sum, json.loads(out)["confusion"])) == 240


def test_texts_from_standard_input_have_to_be_named(run, moods, tmp_path):
    rows = "".join(f"{a}\t{b}\n" for a, b in zip(moods.labels, moods.texts, strict=True))
    assert run("classify", "train", "-", "--steps", 4, *SIZES, "-o", "piped", stdin=rows)[0] == 0
    status, _, err = run("classify", "train", "--resume", "-o", "piped", "--steps", 5)
    assert status == 1
    assert "standard input; name a file" in err
    (tmp_path / "piped.tsv").write_text(rows)
    assert run("classify", "train", "piped.tsv", "--resume", "-o", "piped", "--steps", 5)[0] == 0


def test_a_training_of_python_goes_on_in_python(run, moods, tmp_path):
    reader = TextClassifier.new(moods, hidden_size=8)
    with ClassifierRun(tmp_path / "python") as kept:
        next(kept.begin(reader, reader.prepare(moods, steps=3)))
    status, _, err = run("classify", "train", "--resume", "-o", "python")
    assert status == 1
    assert "ClassifierRun.resume" in err


def test_where_nothing_was_saved_it_starts_and_where_a_model_is_alone_it_does_not(
    run, table, tmp_path
):
    status, _, err = run("classify", "train", table, "--resume", "--steps", 3, *SIZES)
    assert status == 0, err
    assert "no state is saved in checkpoints/moods yet: starting with the first step" in err
    shutil.rmtree(tmp_path / "checkpoints" / "moods" / "resume")
    status, _, err = run("classify", "train", table, "--resume", "--steps", 3)
    assert status == 1
    assert "not the state of its training" in err


@pytest.mark.slow
def test_stopped_by_ctrl_c_it_tells_the_command_that_goes_on(start, call, table, tmp_path):
    command = ("classify", "train", table, "--steps", 3000, "--save-every", 0, *SIZES)
    with start(*command) as process:
        while not list((tmp_path / "checkpoints").glob("moods/resume/state-*1")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (
        "everything is saved. Continue with: chargen classify train --resume -o checkpoints/moods"
        in err
    )
    assert call("classify", "predict", "-m", "checkpoints/moods", "the sea was good")[0] == 0
    state = json.loads(
        max((tmp_path / "checkpoints/moods/resume").glob("state-*/config.json")).read_text()
    )
    steps = state["progress"]["step"] + 20
    status, _, err = call("classify", "train", "--resume", "-o", "checkpoints/moods", "--steps", steps)
    assert status == 0, err
    assert f"of {steps:,}" in err
