"""What config.json says of a model comes back as it was, whichever version wrote it."""

import json
from pathlib import Path

import pytest

from chargen import TextClassifier, TextGenerator
from chargen.generator import STARTER

WRITTEN = Path(__file__).parents[1] / "fixtures" / "format-1"


@pytest.mark.parametrize("name", ["lstm", "byte", "classifier", STARTER])
def test_a_model_of_an_earlier_version_is_saved_with_the_same_config(name, tmp_path):
    kind = TextClassifier if name == "classifier" else TextGenerator
    kind.load(WRITTEN / name).save(tmp_path / "again")
    before, after = WRITTEN / name / "config.json", tmp_path / "again" / "config.json"
    assert after.read_bytes() == before.read_bytes()


def test_keys_of_another_version_are_kept(poet, sign, tmp_path):
    poet.save(tmp_path / "poet")
    path = tmp_path / "poet" / "config.json"
    config = json.loads(path.read_text())
    config["corpus"]["licence"] = "CC0"
    config |= {"extra": 1, "author": "me"}
    path.write_text(json.dumps(config))
    sign(tmp_path / "poet")
    writer = TextGenerator.load(tmp_path / "poet")
    assert writer.record.corpus.extra == {"licence": "CC0"}
    assert writer.record.extra == {"extra": 1, "author": "me"}
    writer.save(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text()) == config


def test_before_any_training_the_record_has_only_the_separator_of_documents(verse, tmp_path):
    writer = TextGenerator.new(verse, split_on="line", hidden_size=8)
    writer.save(tmp_path / "new")
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert list(config) == ["format", "kind", "model", "corpus"]
    assert config["corpus"] == {"split_on": "line"}
