"""The README.md of a trained model: it says what the model is, and is never taken from its owner."""

import pytest
from huggingface_hub import ModelCard

from chargen import ClassifierRun, Run, TextClassifier, TextGenerator, TrainConfig
from chargen.runs.card import NAME, classifier_card, generator_card, write_card


def train(folder, verse, steps=4, **options):
    writer = TextGenerator.new(verse, hidden_size=8, embedding_size=4)
    config = TrainConfig(steps=steps, batch=2, window=8)
    with Run(folder) as run:
        for _ in run.begin(writer, writer.prepare(verse), config, **options):
            pass
    return folder / NAME


def test_the_card_of_a_generator_says_what_it_is_and_how_good(verse, tmp_path):
    path = train(tmp_path / "my verse", verse, baselines={"xz": 1.25, "5-gram model": 0.75})
    text, card = path.read_text("utf-8"), ModelCard.load(path)
    writer = TextGenerator.load(path.parent)
    bits = writer.record.scores["val_bits_per_character"]
    assert (card.data.library_name, card.data.pipeline_tag) == ("chargen", "text-generation")
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("bits_per_character", round(bits, 4))
    assert card.data.model_name == "my verse"
    assert "an LSTM of 2 layers × 8" in text
    rows = [text.index(row) for row in ("| this model |", "| 5-gram model | 0.750", "| xz | 1.250")]
    assert rows == sorted(rows)
    written = writer.generate(length=600, seed=1).split("\n")
    assert "\n".join(line[:100] for line in written[:10]).rstrip() in text
    assert "Fill in what others may do" in text
    assert verse[:300] not in text  # the text itself stays where it is


def test_a_generator_of_documents_shows_several(tmp_path):
    names = "".join(f"{a}{b}\n" for a in "ABCDEFGH" for b in ("nna", "lla", "tto", "rno")) * 9
    writer = TextGenerator.new(names, split_on="line", hidden_size=8, embedding_size=4)
    with Run(tmp_path / "names") as run:
        config = TrainConfig(steps=30, batch=2, window=8)
        for _ in run.begin(writer, writer.prepare(names), config):
            pass
    text = (tmp_path / "names" / NAME).read_text("utf-8")
    assert "chargen sample -m names -n 600 --num 10 --seed 1" in text
    for written in writer.generate_many(num=10, length=600, seed=1):
        assert written.split("\n")[0][:100] in text


def test_the_card_of_a_classifier_says_what_it_tells_apart(moods, tmp_path):
    reader = TextClassifier.new(moods, hidden_size=8)
    with ClassifierRun(tmp_path / "moods") as run:
        for _ in run.begin(reader, reader.prepare(moods, steps=4)):
            pass
    path = tmp_path / "moods" / NAME
    text, card = path.read_text("utf-8"), ModelCard.load(path)
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.eval_results[0].metric_value == round(reader.record.scores["accuracy"], 4)
    assert "2 classes: `glad`, `sad`" in text
    assert "| n-grams alone |" in text


def test_a_card_that_was_edited_stays(verse, tmp_path):
    path = train(tmp_path / "verse", verse)
    first = path.read_text("utf-8")
    train(tmp_path / "verse", verse, steps=6)
    second = path.read_text("utf-8")
    assert second != first  # nobody had touched it
    edited = second.replace("# license: mit", "license: cc0-1.0")
    path.write_text(edited, "utf-8")
    train(tmp_path / "verse", verse, steps=3)
    assert path.read_text("utf-8") == edited


def test_a_card_of_somebody_else_stays_and_one_of_a_replaced_model_goes(verse, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / NAME).write_text("mine")
    train(tmp_path / "own", verse)
    assert (tmp_path / "own" / NAME).read_text() == "mine"
    path = train(tmp_path / "verse", verse)
    writer = TextGenerator.new(verse, hidden_size=8, embedding_size=4)
    with Run(tmp_path / "verse") as run:
        next(run.begin(writer, writer.prepare(verse), TrainConfig(steps=3, batch=2, window=8)))
        assert not path.exists()


@pytest.mark.parametrize("name", ["a: b", 'say "no"', "#1", "  x ", "日本", "- y\n---"])
def test_whatever_a_name_is_the_metadata_can_be_read(verse, tmp_path, name):
    writer = TextGenerator.new(verse, hidden_size=8, embedding_size=4)
    writer.record.corpus.name = name
    writer.record.scores = {"val_bits_per_character": 2.0}
    write_card(tmp_path, generator_card(name, writer, {}))
    card = ModelCard.load(tmp_path / NAME)
    assert card.data.model_name == name
    assert card.data.eval_results[0].dataset_name == name


def test_without_a_score_there_is_none_to_show(verse, moods, tmp_path):
    writer = TextGenerator.new("``` ````" * 50, hidden_size=8, embedding_size=4)
    text = generator_card("ticks", writer, {})
    assert "model-index" not in text
    assert "How well" not in text
    assert "`" * 5 in text  # a fence that is longer than any in the sample
    reader = TextClassifier.new(moods, hidden_size=8)
    assert "How well" not in classifier_card("moods", reader)
