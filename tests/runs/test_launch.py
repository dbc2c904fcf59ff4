"""A training is launched the same from every door, and a resumed one is the one never stopped."""

import json
import os

import pytest

from chargen import ChargenError, Run, Text, TextGenerator, TrainConfig
from chargen.data.corpus import prepare
from chargen.runs.launch import NewTraining, ResumedTraining, TrainRequest
from chargen.runs.saved import state_folders
from chargen.training.speed import Speed
from chargen.web import worker

# What `--resume` compares and reads, in every state ever saved.
SETTINGS = {
    *(
        "corpus",
        "encoding",
        "text",
        "tokenizer",
        "vocab_size",
        "split_on",
        "val_fraction",
        "cell",
        "layers",
    ),
    *("hidden", "embedding", "dropout", "batch", "window", "lr", "generations", "seed", "precision"),
}


@pytest.fixture
def small_request(tmp_path, verse):
    """A small training on a file."""
    (tmp_path / "verse.txt").write_text(verse)
    sizes = {"hidden_size": 16, "batch": 4, "window": 16, "dropout": 0.2}
    return TrainRequest((str(tmp_path / "verse.txt"),), steps=30, **sizes)


def left(folder):
    """All that a training leaves, but the time that it took."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    metrics = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    last = state_folders(folder)[-1] / "state.safetensors"
    files = (folder / "model.safetensors", folder / "samples.txt", last)
    return metrics, [path.read_bytes() for path in files]


def same_speed(monkeypatch, flops):
    """Makes the measured speed of this machine the same each time, in operations per second."""
    monkeypatch.setattr("chargen.training.planner.measure_speed", lambda *_: Speed(flops, 1))
    monkeypatch.setattr("chargen.training.planner.probe_flops", lambda *_: flops)


def record(folder):
    return json.loads((state_folders(folder)[-1] / "config.json").read_text())


def test_the_command_line_and_the_page_launch_the_same_training(
    run, tmp_path, verse, monkeypatch, capsys
):
    (tmp_path / "verse.txt").write_text(verse)
    same_speed(monkeypatch, 2e9)
    assert run("train", "verse.txt", "--minutes", 0.02, "-o", "one")[0] == 0
    job = {"kind": "generator", "folder": "other", "source": "verse.txt"}
    job |= {"minutes": 0.02, "split_on": None}
    reading, writing = os.pipe()
    with open(reading) as stdin, open(writing, "w") as page:
        monkeypatch.setattr("sys.stdin", stdin)
        page.write(json.dumps(job) + "\n")
        page.flush()
        worker.main()
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "also occurs in the training part" in events[0]["note"]
    assert events[1].keys() == {"model", "summary", "baselines"}
    assert "done" in events[-1]
    assert "predict better than the network" in events[-1]["note"]
    one, other = record(tmp_path / "one"), record(tmp_path / "other")
    for part in ("model", "training", "settings", "corpus"):
        assert one[part] == other[part], part
    assert one["settings"].keys() == SETTINGS


@pytest.mark.slow
def test_resumed_it_is_the_training_that_was_never_stopped(tmp_path, small_request):
    with Run(tmp_path / "whole") as run:
        for _ in NewTraining(run, small_request).start():
            pass
    with Run(tmp_path / "stopped") as run:
        for step in NewTraining(run, small_request).start():
            if step.number == 13:
                break
    with Run(tmp_path / "stopped") as run:
        training = ResumedTraining(run, run.saved(), TrainRequest())
        *_, last = training.start()
    assert last.number == 30
    assert left(tmp_path / "stopped") == left(tmp_path / "whole")


@pytest.mark.slow
def test_a_larger_budget_and_another_place_of_the_text_are_the_only_changes(tmp_path, small_request):
    with Run(tmp_path / "model") as run:
        for _ in NewTraining(run, small_request).start():
            pass
    (tmp_path / "verse.txt").rename(tmp_path / "moved.txt")
    with Run(tmp_path / "model") as run:
        saved = run.saved()
        with pytest.raises(ChargenError, match=r"no file or folder .*verse\.txt"):
            _ = ResumedTraining(run, saved, TrainRequest(steps=40)).corpus
        moved = TrainRequest((str(tmp_path / "moved.txt"),), steps=40, hidden_size=99, seed=5)
        *_, last = ResumedTraining(run, saved, moved).start()
    assert last.number == 40
    assert TextGenerator.load(tmp_path / "model").model.config.hidden_size == 16
    assert record(tmp_path / "model")["training"]["seed"] == 0
    (tmp_path / "moved.txt").write_text("another text\n" * 100)
    with Run(tmp_path / "model") as run, pytest.raises(ChargenError, match="put the old text back"):
        _ = ResumedTraining(run, run.saved(), moved).text


def test_each_stage_is_made_once_and_only_when_it_is_read(tmp_path, small_request):
    with Run(tmp_path / "model") as run:
        training = NewTraining(run, TrainRequest(("nowhere.txt",)))
        with pytest.raises(ChargenError, match=r"no file or folder 'nowhere\.txt'"):
            _ = training.baselines
        training = NewTraining(run, small_request)
        assert training.plan.model.hidden_size == 16
        assert training.plan is training.plan
        assert training.corpus is training.corpus
        assert set(training.baselines) == {"unigram model", "5-gram model", "xz"}
    assert not (tmp_path / "model").exists()  # nothing was begun


def test_a_request_of_nothing_is_five_minutes_on_the_built_in_text(tmp_path, monkeypatch):
    same_speed(monkeypatch, 1e9)
    with Run(tmp_path / "model") as run:
        training = NewTraining(run, TrainRequest())
        assert training.corpus.name == "python-docs"
        assert training.plan.training.budget == ("minutes", 5.0)


def test_a_training_that_was_begun_in_python_says_how_to_continue_it(run, tmp_path, verse):
    writer = TextGenerator.new(verse, hidden_size=8)
    with Run(tmp_path / "model") as training:
        for _ in training.begin(writer, writer.prepare(verse), TrainConfig(steps=3)):
            pass
    status, _, err = run("train", "--resume", "-o", "model", "--steps", 6)
    assert status == 1
    assert "continue it with Run.resume" in err


@pytest.mark.slow
@pytest.mark.parametrize(("flops", "pace"), [(1e13, "slower"), (1e5, "faster")])
def test_n17_a_plan_that_does_not_hold_is_corrected_once(tmp_path, verse, monkeypatch, flops, pace):
    same_speed(monkeypatch, flops)
    monkeypatch.setattr("chargen.training.planner.max_epochs", lambda *_: 1e9)
    monkeypatch.setattr("chargen.training.language_modeling.max_epochs", lambda *_: 1e9)
    (tmp_path / "verse.txt").write_text(verse)
    request = TrainRequest((str(tmp_path / "verse.txt"),), minutes=0.05, hidden_size=16)
    with Run(tmp_path / "run") as run:
        launch = NewTraining(run, request)
        remarks = [step.remark for step in launch.start() if step.remark]
    corrections = [remark for remark in remarks if "than was measured" in remark]
    assert len(corrections) == 1
    assert f"the training is {pace}" in corrections[0]


def test_n17_what_another_cell_costs_is_said(verse, monkeypatch):
    corpus = prepare(Text.from_string(verse))
    monkeypatch.setattr("chargen.training.planner.measure_speed", lambda *_: Speed(1e9, 1))
    speeds = {"lstm": 4e9, "gru": 1e9, "rnn": 1e9}
    monkeypatch.setattr(
        "chargen.training.planner.probe_flops", lambda _, model, *__: speeds[model.cell]
    )
    reason = TrainRequest(cell="gru", steps=5).plan(corpus).reason
    assert reason.endswith("; an LSTM of this size would read 3.0 times as much")
    assert "LSTM" not in TrainRequest(steps=5).plan(corpus).reason


def test_d18_the_precision_and_the_threads_that_were_chosen_are_said(verse, monkeypatch):
    corpus = prepare(Text.from_string(verse))
    monkeypatch.setattr("chargen.training.planner.probe_flops", lambda *_: 1e9)
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    for threads, precision, words in (
        (4, "fp32", "per second"),
        (1, "fp32", "per second, on 1 of 4 threads: more are slower now"),
        (4, "bf16", "per second in bf16"),
    ):
        speed = Speed(1e9, threads)
        monkeypatch.setattr("chargen.training.planner.measure_speed", lambda *_, speed=speed: speed)
        request = TrainRequest(steps=5, precision=precision, hidden_size=128)
        assert request.plan(corpus).reason.endswith(words)
