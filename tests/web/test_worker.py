"""The worker tells the page why a training failed, in one sentence."""

import io
import json
from contextlib import ExitStack, closing

import pytest
import torch

from chargen import ChargenError, ClassifierRun, TextClassifier
from chargen.web import worker


@pytest.fixture
def work(monkeypatch, capsys, tmp_path):
    """Runs the worker with a training that raises an error; returns the events."""

    def work(error):
        def fail(*_):
            raise error

        job = {"kind": "generator", "folder": str(tmp_path / "m"), "source": None}
        job |= {"minutes": 1, "split_on": None}
        monkeypatch.setattr(worker, "NewTraining", fail)
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(job) + "\n"))
        worker.main()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return work


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "there is not enough memory"),
        (MemoryError(), "there is not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory."), "the GPU's memory does not suffice"),
    ],
)
def test_r11_g11_a_lack_of_memory_is_one_sentence(work, error, message):
    assert work(error) == [{"failed": f"{message}; take a smaller model"}]


def test_any_other_error_is_a_defect(work):
    with pytest.raises(RuntimeError, match="shapes"):
        work(RuntimeError("shapes cannot be multiplied"))


@pytest.fixture
def train(monkeypatch, capsys, tmp_path):
    """Runs the worker on a classifier's job, up to a number of steps; returns the events."""

    def train(leave_at=None, **job):
        table = tmp_path / "m" / "moods.csv"
        job = {"kind": "classifier", "folder": str(tmp_path / "m"), **job}
        if "resume" not in job:
            table.parent.mkdir()
            rows = (f"a {'good' if i % 2 else 'bad'} day {i},{i % 2}\n" for i in range(100))
            table.write_text("".join(rows) + "bad row\n")
            job |= {"source": str(table), "minutes": 0.05, "skip_bad_rows": True}
        events = []
        with ExitStack() as stack:
            for event in stack.enter_context(closing(worker._classifier(job, stack))):
                events.append(event)
                if leave_at is not None and event.get("step", -1) >= leave_at:
                    break
        return events

    return train


def test_a_classifier_is_described_before_and_after_its_n_grams_are_fitted(train, tmp_path):
    events = train()
    described = [set(event["baselines"]) for event in events if "baselines" in event]
    assert described == [{"largest class"}, {"largest class", "n-grams"}]
    assert any("left out" in event.get("note", "") for event in events)
    assert events[-1]["done"]
    assert TextClassifier.load(tmp_path / "m").record.scores["final"]


def test_w4_a_classifier_goes_on_from_where_it_was_wherever_its_folder_is(train, tmp_path):
    train(leave_at=5)
    with ClassifierRun(tmp_path / "m") as run:
        step = run.saved().state.step
    assert step == 5
    events = train(resume=True)
    assert "goes on from step 5" in next(event["model"] for event in events if "model" in event)
    steps = [event["step"] for event in events if "step" in event]
    assert steps == sorted(steps)
    assert events[-1]["done"]


def test_w4_the_command_line_goes_on_with_a_classifier_of_the_page(train, run, tmp_path):
    train(leave_at=5)
    status, _, err = run("classify", "train", "--resume", "-o", tmp_path / "m")
    assert status == 0, err
    assert "at step 5 after" in err


def test_w4_the_page_goes_on_with_a_classifier_of_the_command_line(train, run, tmp_path):
    (tmp_path / "moods.tsv").write_text(
        "".join(f"{i % 2}\ta {'good' if i % 2 else 'bad'} day {i}\n" for i in range(100))
    )
    command = ("classify", "train", "moods.tsv", "--val", "moods.tsv", "--hidden", 8)
    assert run(*command, "--steps", 4, "-o", "m")[0] == 0
    events = train(resume=True)  # its budget is spent: what is left is the end
    assert [sum(map(sum, event["confusion"])) for event in events if "confusion" in event] == [100]
    assert events[-1]["done"]


def test_where_nothing_was_saved_there_is_nothing_to_go_on_with(train, tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(ChargenError, match="nothing of this training was saved"):
        train(resume=True)
