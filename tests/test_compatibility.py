"""What an earlier chargen wrote can still be loaded, sampled from, scored and resumed."""

import json
import shutil
from pathlib import Path

import pytest

from chargen import Copies, Run, Text, TextClassifier, TextGenerator

WRITTEN = Path(__file__).parent / "fixtures" / "format-1"
EXPECTED = json.loads((WRITTEN / "expected.json").read_text("utf-8"))
VERSE = (WRITTEN / "verse.txt").read_text("utf-8")


@pytest.fixture
def folder(tmp_path):
    """A copy of the folders that were written, so that they stay as they are."""
    shutil.copytree(WRITTEN, tmp_path / "written")
    return tmp_path / "written"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lstm", {"temperature": 0.7}),
        ("second-generation", {"temperature": 0.7}),
        ("gru", {"temperature": 0.7}),
        ("bpe", {}),
        ("byte", {}),
    ],
)
def test_an_old_model_writes_and_scores_as_it_did(folder, name, options):
    writer = TextGenerator.load(folder / name)
    expected = EXPECTED[name]["text"]
    if writer.record.corpus.split_on == "line":  # a document has ended since where a line does
        expected = expected.split("\n")[0]
    assert writer.generate("the ", length=60, seed=3, **options) == expected
    assert writer.score(VERSE).bits_per_character == pytest.approx(EXPECTED[name]["bits"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "second-generation", "gru"])
def test_an_old_state_is_resumed_to_where_it_would_have_come(folder, name):
    """Sums are rounded differently by another processor, hence the tolerance."""
    expected = EXPECTED[name]
    with Run(folder / name) as run:
        saved = run.saved()
        assert saved.state.step == expected["step"]
        *_, last = run.resume(saved, Text.open([str(folder / "verse.txt")]))
    assert last.number == expected["resumed_steps"]
    assert last.score.bits_per_character == pytest.approx(expected["resumed_bits"], rel=1e-3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classifier", "a bird sings now"),
        ("bidirectional-classifier", "a bird sings now was good"),
    ],
)
def test_an_old_classifier_judges_as_it_did(folder, name, text):
    reader = TextClassifier.load(folder / name)
    assert reader.predict(text) == pytest.approx(EXPECTED[name]["prediction"], rel=1e-5)
    reader.save(folder / "saved anew")
    again = TextClassifier.load(folder / "saved anew")
    assert again.predict(text) == reader.predict(text)


def test_an_old_entry_of_the_cache_is_not_taken_for_a_new_one(folder, monkeypatch):
    """Nothing proves an old entry, so the same text gets a new one."""
    monkeypatch.setenv("CHARGEN_CACHE", str(folder / "cache"))
    text = Text.open([str(folder / "verse.txt")])
    assert list(Copies.of(text).find("the sea sings")) == EXPECTED["find"]
    assert not text.notes
