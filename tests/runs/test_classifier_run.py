"""A classifier's training in its folder: stopped anywhere, it goes on as if it had not been."""

import json
import shutil

import pytest

from chargen import (
    ChargenError,
    ClassifierRun,
    Labelled,
    Run,
    TextClassifier,
    TextGenerator,
    TrainConfig,
)
from chargen.runs.saved import state_folders


@pytest.fixture
def begin(moods):
    """Starts the same training in any folder."""

    def begin(run, validation=None, *, wide=True, budget=None, **recipe):
        reader = TextClassifier.new(moods, hidden_size=16, wide=wide, **recipe)
        prepared = reader.prepare(moods, validation, **(budget or {"steps": 30}), balance=True, seed=3)
        return run.begin(reader, prepared, {"colour": "red"})

    return begin


def train(folder, begin, leave_at=None, **options):
    with ClassifierRun(folder) as run:
        for step in begin(run, **options):
            if step.number == leave_at:
                break
    return folder


def go_on(folder, moods, validation=None, **budget):
    with ClassifierRun(folder) as run:
        for _ in run.resume(run.saved(), moods, validation, **budget):
            pass
    return folder


def lines(folder):
    """The metrics without the time that they took."""
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def same(a, b):
    """Whether two trainings left the same: model, metrics, and state to go on from."""
    assert lines(a) == lines(b)
    for name in ("model.safetensors", "ngrams.safetensors", "tokenizer.json"):
        assert (a / name).exists() == (b / name).exists()
        assert not (a / name).exists() or (a / name).read_bytes() == (b / name).read_bytes(), name
    last = [state_folders(folder)[-1] / "state.safetensors" for folder in (a, b)]
    assert last[0].read_bytes() == last[1].read_bytes()
    scores = [TextClassifier.load(folder).record.scores for folder in (a, b)]
    for score in scores:
        del score["seconds"], score["characters_per_second"]
    assert scores[0] == scores[1]
    return True


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"wide": False},
        {"cell": "gru", "bidirectional": True, "pooling": "attention"},
        {"tokenizer": "bpe", "vocab_size": 300, "pooling": "last"},
    ],
    ids=["wide", "alone", "two directions", "pieces"],
)
@pytest.mark.parametrize("leave_at", [0, 7, 30])
def test_a_whole_training_is_two_parts_of_it(begin, moods, tmp_path, recipe, leave_at):
    whole = train(tmp_path / "whole", begin, **recipe)
    parts = train(tmp_path / "parts", begin, leave_at, **recipe)
    assert same(whole, go_on(parts, moods))


def test_texts_to_validate_on_of_their_own_are_needed_again(begin, moods, tmp_path):
    held_out = moods.select(range(0, len(moods), 3))
    whole = train(tmp_path / "whole", begin, validation=held_out)
    parts = train(tmp_path / "parts", begin, 9, validation=held_out)
    with pytest.raises(ChargenError, match="validated on texts of their own"):
        go_on(parts, moods)
    with pytest.raises(ChargenError, match="does not hold the texts and labels"):
        go_on(parts, moods, held_out[:-1])
    assert same(whole, go_on(parts, moods, held_out))


def test_other_texts_or_labels_are_refused_with_the_two_ways_on(begin, moods, tmp_path):
    folder = train(tmp_path / "moods", begin, 9)
    first, second = moods.classes
    turned = [second if label == first else first for label in moods.labels]
    for texts, labels in [(moods.texts[1:], moods.labels[1:]), (moods.texts, turned)]:
        other = Labelled(texts, labels, "others.csv")
        with pytest.raises(
            ChargenError, match=r"others.csv does not hold .* put the old ones back, or"
        ):
            go_on(folder, other)


def test_a_finished_training_says_so_and_goes_on_with_a_larger_budget(begin, moods, tmp_path):
    folder = train(tmp_path / "moods", begin)
    with ClassifierRun(folder) as run:
        saved = run.saved()
        assert saved.finished
        assert saved.settings == {"colour": "red"}
        assert saved.budget == ("steps", 30)
        assert [saved.is_spent(steps=steps) for steps in (None, 30, 31)] == [True, True, False]
        with pytest.raises(ChargenError, match="12 steps are spent: this training has had 30"):
            run.resume(saved, moods, steps=12)
    go_on(folder, moods, steps=45)
    assert TextClassifier.load(folder).record.scores["steps"] == 45
    assert [line["step"] for line in lines(folder)][-1] == 45


def test_the_time_of_the_preparation_is_part_of_the_minutes(begin, moods, tmp_path):
    folder = train(tmp_path / "moods", begin, 2, budget={"minutes": 5})
    with ClassifierRun(folder) as run:
        saved = run.saved()
        assert saved.budget == ("minutes", pytest.approx(5))
        assert 0 < saved.preparation.minutes < 1
        assert saved.preparation.config.minutes == pytest.approx(5 - saved.preparation.minutes)
        spent = (saved.preparation.minutes + saved.state.seconds / 60) * 0.99
        with pytest.raises(ChargenError, match="minutes are spent"):
            run.resume(saved, moods, minutes=spent)
        next(run.resume(saved, moods, minutes=3))
    with ClassifierRun(folder) as run:
        assert run.saved().preparation.config.minutes == pytest.approx(3 - saved.preparation.minutes)


@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_a_damaged_state_is_passed_over_with_its_fault_told(begin, moods, tmp_path, damage):
    whole = train(tmp_path / "whole", begin)
    folder = train(tmp_path / "damaged", begin, 23)
    newest = state_folders(folder)[-1]
    tensors = newest / "state.safetensors"
    if damage == "cut":
        tensors.write_bytes(tensors.read_bytes()[:-9])
    elif damage == "gone":
        (newest / "manifest.json").unlink()
    else:
        tensors.write_bytes(tensors.read_bytes()[:-1] + b"\x01")
    with ClassifierRun(folder) as run:
        saved = run.saved()
        assert [newest.name in fault for fault in saved.faults] == [True]
        assert saved.state.step < 23
    assert same(whole, go_on(folder, moods))
    shutil.rmtree(newest.parent)
    with ClassifierRun(folder) as run, pytest.raises(ChargenError, match="not the state"):
        run.saved()


FALSE = {
    "classes": ["one"],
    "max_length": "long",
    "preparation": {},
    "augmentation": {"cropped": "much"},
    "texts": {"sha256": 3},
    "corpus": {"name": 7},
}


@pytest.mark.parametrize("name", FALSE)
def test_a_state_that_was_written_by_somebody_else_is_damaged(begin, tmp_path, sign, name):
    folder = train(tmp_path / "moods", begin, 3)
    for state in state_folders(folder):
        values = json.loads((state / "config.json").read_text())
        (state / "config.json").write_text(json.dumps(values | {name: FALSE[name]}))
        sign(state)
    with ClassifierRun(folder) as run, pytest.raises(ChargenError, match="no usable training state"):
        run.saved()


def test_a_training_of_the_other_kind_is_named_with_its_command(begin, verse, tmp_path):
    folder = train(tmp_path / "moods", begin, 3)
    with Run(folder) as run, pytest.raises(ChargenError, match="chargen classify train --resume -o"):
        run.saved()
    with Run(tmp_path / "verse") as run:
        writer = TextGenerator.new(verse, hidden_size=8)
        config = TrainConfig(steps=9, batch=2, window=8)
        next(run.begin(writer, writer.prepare(verse), config))
    with (
        ClassifierRun(tmp_path / "verse") as run,
        pytest.raises(ChargenError, match="chargen train --resume -o"),
    ):
        run.saved()


def test_what_is_no_prepared_training_is_answered_with_what_to_give(moods, tmp_path):
    reader = TextClassifier.new(moods, hidden_size=8)
    with (
        ClassifierRun(tmp_path / "moods") as run,
        pytest.raises(ChargenError, match=r"give reader.prepare\(data, minutes=3\)"),
    ):
        run.begin(reader, moods)


def test_r2_a_samples_txt_is_somebodys_own_unless_a_generator_wrote_it(begin, moods, verse, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "samples.txt").write_text("mine")
    train(own, begin, 9)
    (own / "samples.txt").write_text("mine, and more")
    go_on(own, moods)
    train(own, begin)  # replaces the first one
    assert (own / "samples.txt").read_text() == "mine, and more"
    with Run(tmp_path / "verse") as run:
        writer = TextGenerator.new(verse, hidden_size=8)
        for _ in run.begin(writer, writer.prepare(verse), TrainConfig(steps=3, batch=2, window=8)):
            pass
    assert (tmp_path / "verse" / "samples.txt").exists()
    train(tmp_path / "verse", begin)
    assert not (tmp_path / "verse" / "samples.txt").exists()
    assert TextClassifier.load(tmp_path / "verse").record.scores["final"]
