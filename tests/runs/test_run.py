"""A training in its folder: stopped anywhere, it goes on as if it had never been stopped."""

import itertools
import json
import os
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from chargen import ChargenError, Run, Text, TextGenerator
from chargen.data.corpus import prepare
from chargen.device import trains_in_bf16
from chargen.model import LanguageModel
from chargen.runs.saved import state_folders
from chargen.shapes import ModelConfig
from chargen.training.config import TrainConfig
from chargen.training.schedule import FINAL_RATE
from chargen.training.state import TrainingState

CONFIG = TrainConfig(steps=30, batch=4, window=16)


@pytest.fixture
def begin(verse):
    """Starts the same training in any folder."""

    def begin(run, config=CONFIG, **recipe):
        corpus = prepare(Text.from_string(verse), **recipe)
        kind, split_on = recipe.get("kind", "char"), recipe.get("split_on")
        writer = TextGenerator.new(
            verse, tokenizer=kind, split_on=split_on, hidden_size=16, dropout=0.2
        )
        return run.begin(writer, corpus, config, {"colour": "red"})

    return begin


def lines(folder):
    """The metrics without the time that they took."""
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def same(a, b):
    """Whether two trainings left the same: model, metrics, samples, and state to go on from."""
    assert lines(a) == lines(b)
    for name in ("model.safetensors", "samples.txt", "tokenizer.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    last = [state_folders(folder)[-1] / "state.safetensors" for folder in (a, b)]
    assert last[0].read_bytes() == last[1].read_bytes()
    return True


@pytest.fixture
def whole(begin, tmp_path):
    with Run(tmp_path / "whole") as run:
        for _ in begin(run):
            pass
    return tmp_path / "whole"


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [1, 5, 13, 29, 30])
@pytest.mark.parametrize("recipe", [{}, {"split_on": "line"}, {"kind": "byte"}])
def test_a_training_in_two_parts_is_bit_for_bit_the_training_in_one(
    begin, verse, tmp_path, stopped, recipe
):
    with Run(tmp_path / "whole") as run:
        *_, expected = begin(run, **recipe)
    with Run(tmp_path / "parts") as run:
        for step in begin(run, **recipe):
            if step.number == stopped:
                break
    with Run(tmp_path / "parts") as run:
        saved = run.saved()
        assert saved.state.step == stopped
        assert saved.settings == {"colour": "red"}
        assert not saved.faults
        assert not saved.finished
        *_, last = run.resume(saved, verse, steps=CONFIG.steps)  # the same budget, said again
    assert last.score == expected.score
    assert same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [3, 10, 11, 17, 20, 29])
def test_so_is_one_of_several_generations(begin, verse, tmp_path, stopped):
    config = replace(CONFIG, generations=3)
    with Run(tmp_path / "whole") as run:
        *_, expected = begin(run, config)
    with Run(tmp_path / "parts") as run:
        for step in begin(run, config):
            if step.number == stopped:
                break
    with Run(tmp_path / "parts") as run:
        saved = run.saved()
        assert saved.state.generation == (stopped - 1) // 10
        assert len(saved.state.carried) == (2 if stopped <= 10 else 4)  # a teacher carries its own
        *_, last = run.resume(saved, verse)
    assert last.score == expected.score
    assert same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_a_training_stopped_between_two_generations_goes_on_with_the_second(begin, verse, tmp_path):
    config = replace(CONFIG, generations=2)
    with Run(tmp_path / "whole") as run:
        *_, expected = begin(run, config)
    with Run(tmp_path / "parts") as run:
        for step in begin(run, config):
            if "new network" in step.remark:
                break
    with Run(tmp_path / "parts") as run:
        saved = run.saved()
        assert (saved.state.generation, saved.state.first_step) == (1, 15)
        *_, last = run.resume(saved, verse)
    assert last.score == expected.score
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_d9_a_training_that_keeps_the_end_of_its_documents_apart_goes_on_with_it(verse, tmp_path):
    """As all did before the documents were chosen."""
    text = Text.from_string(verse + "".join(f"the last of {n}\n" for n in range(60)))

    def begin(run):
        corpus = prepare(text, split_on="line", split_seed=None)
        assert "the last of 59" in corpus.tokenizer.decode(corpus.validation)
        shape = ModelConfig(len(corpus.tokenizer), hidden_size=16)
        writer = TextGenerator(LanguageModel.new(shape, 0), corpus.tokenizer)
        return run.begin(writer, corpus, CONFIG)

    with Run(tmp_path / "whole") as run:
        for _ in begin(run):
            pass
    with Run(tmp_path / "parts") as run:
        for step in begin(run):
            if step.number == 13:
                break
    with Run(tmp_path / "parts") as run:
        saved = run.saved()
        assert saved.writer.record.corpus.split_seed is None
        for _ in run.resume(saved, text):
            pass
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_a_state_of_an_earlier_version_knows_of_no_generations(whole, verse, sign):
    for state in state_folders(whole):
        path = state / "config.json"
        record = json.loads(path.read_text())
        del record["training"]["generations"]
        for name in ("generation", "first_step", "first_second"):
            del record["progress"][name]
        path.write_text(json.dumps(record))
        sign(state)
    with Run(whole) as run:
        *_, last = run.resume(run.saved(), verse, steps=33)
    assert last.number == 33


def test_a_training_that_died_between_two_saves_goes_on_from_the_last(
    begin, whole, verse, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "chargen.runs.folder.CHEAP_SECONDS", 60
    )  # an evaluation never passes without a state
    folder = tmp_path / "died"
    with Run(tmp_path / "alive") as run:
        *_, step = itertools.islice(begin(run), 13)
        assert not step.evaluated  # the last save is behind us
        shutil.copytree(tmp_path / "alive", folder)  # what a pulled plug leaves
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 13, "tor')
    (folder / "resume" / "state-0000099.new").mkdir()
    with Run(folder) as run:
        saved = run.saved()
        assert saved.state.step == 12
        for _ in run.resume(saved, verse):
            pass
    assert same(whole, folder)
    assert not list(folder.glob("resume/*.new"))


def test_only_the_last_two_states_are_kept_and_nothing_else_is_touched(begin, tmp_path):
    folder = tmp_path / "run"
    (folder / "resume").mkdir(parents=True)
    (folder / "resume" / "mine.txt").write_text("mine")
    with Run(folder, save_seconds=0) as run:
        for _ in itertools.islice(begin(run), 10):
            pass
        assert len(state_folders(folder)) == 2
    assert [state.name for state in state_folders(folder)] == ["state-0000010", "state-0000011"]
    assert (folder / "resume" / "mine.txt").read_text() == "mine"
    assert not (folder / ".lock").exists()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "flipped", "no manifest", "empty"])
def test_a_damaged_state_is_passed_over_with_its_fault_told(begin, whole, verse, damage):
    newest, older = state_folders(whole)[-1], state_folders(whole)[-2]
    tensors = newest / "state.safetensors"
    data = bytearray(tensors.read_bytes())
    if damage == "truncated":
        tensors.write_bytes(data[:-100])
    elif damage == "flipped":
        data[-1000] ^= 1
        tensors.write_bytes(data)
    elif damage == "no manifest":
        (newest / "manifest.json").unlink()
    else:
        for path in newest.iterdir():
            path.write_bytes(b"")
    with Run(whole) as run:
        saved = run.saved()
        assert len(saved.faults) == 1
        assert newest.name in saved.faults[0]
        assert saved.state.step == json.loads((older / "config.json").read_text())["progress"]["step"]
        *_, last = run.resume(saved, verse)
    assert last.finished
    for state in state_folders(whole):
        (state / "state.safetensors").write_bytes(b"")
    with Run(whole) as run, pytest.raises(ChargenError, match=r"no usable training state"):
        run.saved()


def _change(state, sign, change):
    """Changes config.json and the tensors of a state, as another version would have written them."""
    config = json.loads((state / "config.json").read_text())
    tensors = load_file(state / "state.safetensors")
    change(config, tensors)
    (state / "config.json").write_text(json.dumps(config))
    save_file(tensors, state / "state.safetensors")
    sign(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, _: c["training"].update(rhythm=1), "another version of chargen: it has a 'rhythm'"),
        (lambda c, _: c["model"].update(depth=1), "another version of chargen: it has a 'depth'"),
        (
            lambda c, _: c["progress"].pop("position"),
            "another version.*: it lacks .*progress.position",
        ),
        (lambda c, _: c.pop("place"), "another version of chargen: it lacks .*place"),
        (
            lambda _, t: t.pop("soap.average.head.bias"),
            "another version.* lacks soap.average.head.bias",
        ),
        (lambda _, t: t.update(momentum=torch.ones(1)), "another version.* holds momentum"),
        (lambda c, _: c.update(format=3), "has the format 3, this chargen reads 2: .* a newer one"),
        (lambda c, _: c["training"].update(batch="four"), "is damaged"),
    ],
)
def test_r16_a_state_of_another_version_is_said_to_be_one(whole, sign, change, message):
    for state in state_folders(whole):
        _change(state, sign, change)
    with Run(whole) as run, pytest.raises(ChargenError, match=message) as caught:
        run.saved()
    assert "Error(" not in str(caught.value)


def test_where_nothing_was_kept_there_is_nothing_to_go_on_from(poet, tmp_path):
    with Run(tmp_path / "new") as run:
        assert run.saved() is None
    assert not (tmp_path / "new").exists()
    poet.save(tmp_path / "model")
    with Run(tmp_path / "model") as run, pytest.raises(ChargenError, match="not the state of its"):
        run.saved()


def test_a_finished_training_says_so_and_goes_on_with_a_larger_budget(whole, verse):
    with Run(whole) as run:
        saved = run.saved()
        assert saved.finished
        with pytest.raises(ChargenError, match=r"20 steps are spent.*has had 30"):
            run.resume(saved, verse, steps=20)
    with Run(whole) as run:
        *_, last = run.resume(run.saved(), verse, steps=45)
    assert (last.number, last.finished) == (45, True)
    steps = [line["step"] for line in lines(whole)]
    assert steps == sorted(steps)
    assert [line["final"] for line in lines(whole)].count(True) == 1


@pytest.mark.parametrize(("more", "seed"), [("the sea waits\n", 0), ("", 1)])
def test_r4_the_model_of_another_training_is_not_this_ones_end(whole, verse, tmp_path, more, seed):
    """Killed after its last state, before its last save: the folder has a model of as many steps."""
    with Run(tmp_path / "killed") as run:
        writer = TextGenerator.new(verse, hidden_size=16, dropout=0.2)
        corpus = writer.prepare(verse + more)
        for _ in run.begin(writer, corpus, replace(CONFIG, seed=seed)):
            pass
    shutil.rmtree(whole / "resume")
    shutil.copytree(tmp_path / "killed" / "resume", whole / "resume")
    with Run(whole) as run:
        saved = run.saved()
        assert saved.state.over
        assert not saved.finished


def test_r4_a_training_that_begins_removes_the_one_before_and_nothing_else(begin, whole):
    (whole / "notes.txt").write_text("mine")
    with Run(whole) as run:
        steps = begin(run)
        assert (whole / "model.safetensors").exists()
        next(steps)
        assert sorted(path.name for path in whole.iterdir()) == [".lock", "notes.txt", "resume"]
        assert [run.saved().state.step] == [0]
        assert len(state_folders(whole)) == 1


def test_r4_a_training_that_cannot_begin_leaves_the_one_before(begin, whole, monkeypatch):
    def fail(*_):
        raise ChargenError("the disk is full")

    with Run(whole) as run:
        steps = begin(run)
        with monkeypatch.context() as patch:
            patch.setattr("chargen.runs.run.save_state", fail)
            with pytest.raises(ChargenError, match="full"):
                next(steps)
        assert run.saved().finished
    assert TextGenerator.load(whole).record.scores["final"]


def test_the_learning_rate_of_a_longer_budget_is_the_one_of_its_place(begin, verse, tmp_path):
    with Run(tmp_path / "run") as run:
        for _ in begin(run):
            pass
    with Run(tmp_path / "run") as run:
        saved = run.saved()
        steps = run.resume(saved, verse, steps=60)
        next(steps)
        rate = saved.state.optimizer.param_groups[0]["lr"]
    halfway = CONFIG.learning_rate * (1 + FINAL_RATE) / 2  # down the cosine
    assert rate == pytest.approx(halfway, rel=0.05)


def test_another_text_is_refused_with_the_two_ways_on(whole, verse):
    with Run(whole) as run, pytest.raises(ChargenError, match=r"put the old text back, or train anew"):
        run.resume(run.saved(), verse + "!")


@pytest.mark.slow
def test_minutes_count_what_was_spent_before(begin, verse, tmp_path):
    with Run(tmp_path / "run") as run:
        for step in begin(run, TrainConfig(minutes=0.1, batch=4, window=16)):
            if step.seconds > 2:
                break
    with Run(tmp_path / "run") as run:
        first, *_, last = run.resume(run.saved(), verse)
    assert first.seconds > 2
    assert first.progress > 2 / 6
    assert last.seconds < 2 * 6  # six seconds in all, with room for a busy machine


@pytest.mark.slow
def test_who_wants_to_read_more_than_enough_is_told_how(begin, verse, tmp_path):
    with Run(tmp_path / "run") as run:
        for _ in begin(run, TrainConfig(epochs=100, batch=4, window=64)):
            pass
    with Run(tmp_path / "run") as run:
        with pytest.raises(ChargenError, match=r"read its text 10. times, which is enough.*epochs"):
            run.resume(run.saved(), verse, minutes=30)
        *_, last = run.resume(run.saved(), verse, epochs=110)
    assert last.finished


def test_a_second_training_in_the_same_folder_is_refused(begin, tmp_path):
    with (
        Run(tmp_path / "run"),
        pytest.raises(ChargenError, match=rf"another training.*process {os.getpid()}"),
        Run(tmp_path / "run"),
    ):
        pass
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / ".lock").write_text("4194304\n")  # of a process that is gone
    with Run(tmp_path / "run"):
        pass


def test_other_threads_and_another_torch_are_told(begin, verse, tmp_path):
    with Run(tmp_path / "run") as run:
        next(begin(run))
    with Run(tmp_path / "run") as run:
        saved = run.saved()
        assert saved.inexact() == ""
        saved.environment |= {"threads": 64, "torch": "1.0"}
        *_, last = run.resume(saved, verse)
        assert last.finished
        assert "torch 1.0 then" in saved.inexact()
        assert "threads 64 then, 1 now" in saved.inexact()


def test_the_randomness_of_another_device_begins_anew_and_the_training_goes_on(verse):
    """From CPU to GPU and back: the states of their generators differ in size."""
    corpus = prepare(Text.from_string(verse))
    writer = TextGenerator.new(verse, hidden_size=16, dropout=0.2)
    progress = TrainingState.begin(writer.model, CONFIG)
    next(writer.train(corpus, **vars(CONFIG), progress=progress))
    tensors = dict(progress.tensors(writer.model))
    tensors["rng"] = torch.zeros(16, dtype=torch.uint8)
    progress.restore(writer.model, tensors, progress.numbers())
    *_, last = writer.train(corpus, **vars(CONFIG), progress=progress)
    assert last.finished


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("first", "second"), [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")])
def test_a_training_moves_between_devices(verse, tmp_path, first, second):
    writer = TextGenerator.new(verse, hidden_size=128, dropout=0.2)
    writer.model.to(first)
    with Run(tmp_path / "run") as run:
        for step in run.begin(writer, writer.prepare(verse), CONFIG):
            if step.number == 13:
                break
    with Run(tmp_path / "run") as run:
        saved = run.saved(second)
        *_, last = run.resume(saved, verse)
        assert last.finished
        assert bool(saved.inexact()) == (first != second)


@pytest.mark.skipif(not trains_in_bf16("lstm"), reason="this processor cannot train in bf16")
def test_a_state_that_is_carried_in_bf16_is_saved_and_resumed(begin, verse, tmp_path):
    config = replace(CONFIG, precision="bf16")
    for name, leave_at in (("whole", None), ("parts", 11)):
        with Run(tmp_path / name) as run:
            for step in begin(run, config):
                if step.number == leave_at:
                    break
    with Run(tmp_path / "parts") as run:
        saved = run.saved()
        tensors = load_file(state_folders(tmp_path / "parts")[-1] / "state.safetensors")
        assert tensors["state.0.0"].dtype == torch.bfloat16
        for _ in run.resume(saved, verse):
            pass
    assert same(tmp_path / "whole", tmp_path / "parts")
