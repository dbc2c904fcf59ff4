"""The texts that a classifier was validated on are found again, or said to be unknown."""

import pytest

from chargen import ChargenError, Labelled, TextClassifier
from chargen.data.labelled import languages
from chargen.web.classification import held_out
from chargen.web.judging import as_event, judged, sections
from chargen.web.model_store import ModelStore


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path)


@pytest.fixture
def train(tmp_path):
    """Trains a classifier in a folder of its own, as the page does, and returns it."""

    def train(name, data, **options):
        reader = TextClassifier.new(data, hidden_size=8, num_layers=1, wide=False)
        reader.fit(data, steps=2, **options).save(tmp_path / name)
        return reader

    return train


@pytest.fixture
def table(tmp_path):
    """Writes a table into the folder of a classifier, and returns it."""

    def table(name, rows=40, more=""):
        path = tmp_path / name / f"{name}.csv"
        path.parent.mkdir()
        lines = [f"{('good', 'bad')[row % 2]} day {row},{row % 2}\n" for row in range(rows)]
        path.write_text("text,label\n" + "".join(lines) + more)
        return Labelled.open(path, skip_bad_rows=True)

    return table


def test_the_held_out_texts_are_those_that_training_scored(store, table, train):
    data = table("days", more="no label,\n")
    reader = train("days", data)
    texts = held_out(store, "days")
    assert texts.texts == data.split()[1].texts
    score = reader.evaluate(texts)
    assert reader.record.scores["accuracy"] == pytest.approx(score.accuracy)
    bins, _ = judged(score, texts)
    assert [(one.words, one.texts) for one in bins] == [("3-5", 4)]


def test_the_built_in_sentences_are_known_to_every_classifier(store, train):
    data = Labelled.open(languages())
    train("languages", data)
    assert len(held_out(store, "languages")) == 304
    for name, options in (("other share", {"val_fraction": 0.2}), ("own texts", {"validation": data})):
        train(name, data, **options)
        with pytest.raises(ChargenError, match="validated on are not known here"):
            held_out(store, name)
    train("other seed", data, seed=7)
    assert held_out(store, "other seed").texts == data.split(seed=7)[1].texts


def test_texts_that_changed_or_are_gone_are_not_taken_for_those_of_the_training(
    store, table, train, tmp_path
):
    train("days", table("days"))
    with (tmp_path / "days" / "days.csv").open("a") as file:
        file.write("one more day,1\n")
    with pytest.raises(ChargenError, match="'days' was validated on are not known here"):
        held_out(store, "days")
    (tmp_path / "days" / "days.csv").unlink()
    with pytest.raises(ChargenError, match="not known here"):
        held_out(store, "days")
    with pytest.raises(ChargenError, match="there is no model"):
        held_out(store, "nights")


def test_mistakes_reach_the_page_in_one_line(table, train):
    data = table("days")
    score = train("days", data).evaluate(data)
    long = Labelled([f"{text}\n" + "x" * 1000 for text in data.texts], data.labels)
    event = as_event(score, long)
    assert event["mistakes"]
    assert all(len(one["text"]) <= 100 and "\n" not in one["text"] for one in event["mistakes"])
    shown = sections(*judged(score, long))
    assert shown.count("<details") == 2
    assert "Most confident mistakes" in shown
    assert sections([], []) == ""
