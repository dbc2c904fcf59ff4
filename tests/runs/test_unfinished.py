"""W4: trainings that can go on are found by what their folders hold."""

import json

from chargen import ClassifierRun, Run, TextClassifier, TextGenerator
from chargen.runs.launch import NewTraining, TrainRequest
from chargen.runs.unfinished import unfinished_trainings


def train(folder, text, leave_at=None, **budget):
    source = folder.parent / "source.txt"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(text)
    with Run(folder) as run:
        sizes = {"hidden_size": 8, "embedding_size": 4, "batch": 2, "window": 8, "learning_rate": 1e-3}
        for step in NewTraining(
            run, TrainRequest((str(source),), generations=1, **budget, **sizes)
        ).start():
            if step.number == leave_at:
                break


def test_w4_a_training_that_was_left_is_found_with_how_far_it_is(tmp_path, verse):
    train(tmp_path / "left", verse, leave_at=3, steps=9)
    train(tmp_path / "minutes", verse, leave_at=3, minutes=2)
    train(tmp_path / "epochs", verse, leave_at=3, epochs=2)
    train(tmp_path / "ended", verse, steps=4)
    (tmp_path / "empty").mkdir()
    found = {training.folder.name: training.progress for training in unfinished_trainings(tmp_path)}
    assert found["left"] == "3 of 9 steps"
    assert found["minutes"].endswith(" of 2:00 minutes")
    assert found["epochs"] == "some of 2 epochs"
    assert set(found) == {"left", "minutes", "epochs"}
    assert unfinished_trainings(tmp_path / "nowhere") == []


def test_w4_a_classifiers_training_is_one_of_its_kind(tmp_path, moods):
    def train(name, settings, **budget):
        reader = TextClassifier.new(moods, hidden_size=8, embedding_size=4)
        with ClassifierRun(tmp_path / name) as run:
            for step in run.begin(reader, reader.prepare(moods, **budget), settings):
                if step.number == 3:
                    break

    train("steps", {"data": None}, steps=9)
    train("minutes", {"data": None}, minutes=2)
    train("python", {}, steps=9)
    found = {training.folder.name: training for training in unfinished_trainings(tmp_path)}
    assert set(found) == {"steps", "minutes"}
    assert {training.kind for training in found.values()} == {"classifier"}
    assert found["steps"].progress == "3 of 9 steps"
    assert found["minutes"].progress.endswith(" of 2:00 minutes")  # the preparation is part of them


def test_w4_a_training_of_python_and_a_damaged_one_are_left_out(tmp_path, verse):
    generator = TextGenerator.new(verse, hidden_size=8, embedding_size=4)
    with Run(tmp_path / "python") as run:
        from chargen.training.config import TrainConfig

        corpus = generator.prepare(verse)
        for step in run.begin(generator, corpus, TrainConfig(steps=9, batch=2, window=8)):
            if step.number == 2:
                break
    train(tmp_path / "damaged", verse, leave_at=2, steps=9)
    for config in (tmp_path / "damaged" / "resume").glob("*/config.json"):
        config.write_text(json.dumps({"progress": 3}))
    assert unfinished_trainings(tmp_path) == []
