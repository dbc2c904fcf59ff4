"""What is saved comes back; what was not saved by chargen is refused in one sentence."""

import errno
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from chargen import ChargenError, TextGenerator
from chargen.storage.checkpoint import newest


@pytest.fixture
def saved(poet, tmp_path):
    poet.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
@pytest.mark.parametrize("split_on", [None, "line"])
def test_a_loaded_model_writes_and_scores_as_the_saved_one(kind, split_on, verse, tmp_path):
    writer = TextGenerator.new(
        verse, tokenizer=kind, vocab_size=320, split_on=split_on, hidden_size=16
    )
    writer.save(tmp_path / "model")
    again = TextGenerator.load(tmp_path / "model")
    options = {"length": 80, "seed": 3}
    assert again.generate("the ", **options) == writer.generate("the ", **options)
    assert again.score(verse) == writer.score(verse)


def test_the_folder_can_be_read_by_eye(saved):
    config = json.loads((saved / "config.json").read_text())
    assert (config["format"], config["kind"]) == (1, "language-model")
    assert config["model"]["hidden_size"] == 32
    assert config["corpus"]["val_fraction"] == 0.1
    assert config["training"]["steps"] == 150
    assert 0 < config["scores"]["val_bits_per_character"] < 1.5
    names = {"config.json", "tokenizer.json", "model.safetensors", "manifest.json"}
    assert {path.name for path in saved.iterdir()} == names


def test_files_have_the_permissions_that_the_umask_leaves(poet, tmp_path):
    before = os.umask(0o027)
    try:
        poet.save(tmp_path / "model")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()}
    assert modes == {0o640}


def test_saving_again_replaces_the_model_and_touches_nothing_else(poet, verse, saved):
    (saved / "notes.txt").write_text("mine")
    other = TextGenerator.new(verse, hidden_size=8)
    other.save(saved)
    assert TextGenerator.load(saved).model.config.hidden_size == 8
    assert (saved / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["config.json", "manifest.json", "model.safetensors"])
def test_r2_a_file_that_no_save_wrote_is_not_replaced(poet, tmp_path, name):
    (tmp_path / name).write_text('{"name": "mine"}')
    with pytest.raises(ChargenError, match=f"holds a {name} that is not of a chargen model"):
        poet.save(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: '{"name": "mine"}'}


def test_r2_a_model_whose_manifest_is_damaged_can_be_replaced(poet, saved):
    (saved / "manifest.json").write_text("{")
    poet.save(saved)
    TextGenerator.load(saved)


@pytest.mark.parametrize("renamed", range(5))
def test_a_save_cut_short_leaves_the_old_model_or_the_new_one(
    poet, verse, saved, monkeypatch, renamed
):
    """The plug is pulled before, between and after the renames."""
    replace, count = os.replace, [0]

    def pulled(source, target):
        count[0] += 1
        if count[0] > renamed:
            raise OSError("pulled")
        replace(source, target)

    other = TextGenerator.new(verse, hidden_size=8)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", pulled)
        if renamed < 4:
            with pytest.raises(ChargenError, match="cannot be written"):
                other.save(saved)
        else:
            other.save(saved)
    assert TextGenerator.load(saved).model.config.hidden_size == (32 if renamed == 0 else 8)


@pytest.mark.parametrize("renamed", range(5))
@pytest.mark.parametrize("moment", [*range(4), "full disk"])
def test_r3_a_save_after_a_save_that_was_cut_short_never_loses_both(
    poet, verse, saved, monkeypatch, renamed, moment
):
    """The first save is cut short behind the manifest's rename, the next one anywhere at all."""
    replace, fsync, count = os.replace, os.fsync, [0]

    def pulled(source, target):
        count[0] += 1
        if count[0] > renamed:
            raise OSError("pulled")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", pulled)
        with suppress(ChargenError):
            TextGenerator.new(verse, hidden_size=8).save(saved)
    expected = TextGenerator.load(saved).model.config.hidden_size

    def full(descriptor):
        count[0] += 1
        if count[0] > (1 if moment == "full disk" else moment):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    count[0] = 0
    with monkeypatch.context() as patch:
        if moment == "full disk":  # which leaves no draft of the new save
            patch.setattr(os, "fsync", full)
        else:  # as a kill would: what has been written so far stays as it is
            patch.setattr(os, "fsync", full)
            patch.setattr("pathlib.Path.unlink", lambda *_, **__: None)
        with suppress(ChargenError):
            TextGenerator.new(verse, hidden_size=12).save(saved)
    assert TextGenerator.load(saved).model.config.hidden_size == expected
    TextGenerator.new(verse, hidden_size=12).save(saved)
    assert TextGenerator.load(saved).model.config.hidden_size == 12
    assert not list(saved.glob("*.new"))


def _edit_config(folder, change, sign):
    """Lies in config.json, with a manifest that agrees."""
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    sign(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=999), "written by a newer one"),
        (lambda c: c.update(kind="classifier"), "holds a 'classifier'"),
        (lambda c: c.update(model=[]), r"config\.json\.model is \[\]"),
        (lambda c: c["model"].update(hidden_size=10**9), "too small for"),
        (lambda c: c["model"].update(num_layers=10**9), "too small for"),
        (lambda c: c["model"].update(hidden_size=31), "config.json asks for"),
        (
            lambda c: c["model"].update(num_layers=1),
            "another version of chargen: .* holds stack.layers.1",
        ),
        (lambda c: c["model"].update(hidden_size="32"), "hidden_size must be"),
        (lambda c: c["model"].update(vocab_size=7), "its tokenizer has"),
        (lambda c: c["model"].update(surprise=1), "another version of chargen: it has a 'surprise'"),
        (
            lambda c: c["model"].pop("vocab_size"),
            "another version of chargen: it lacks a 'vocab_size'",
        ),
        (lambda c: c["model"].update(cell="gru"), "config.json asks for"),
    ],
)
def test_a_config_that_lies_is_refused(saved, sign, change, message):
    _edit_config(saved, change, sign)
    with pytest.raises(ChargenError, match=message):
        TextGenerator.load(saved)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "missing"])
def test_a_damaged_file_is_named(saved, name, damage):
    path = saved / name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-9] ^= 1
    path.write_bytes({"flip": data, "cut": data[:-1], "empty": b"", "missing": b""}[damage])
    if damage == "missing":
        path.unlink()
    with pytest.raises(ChargenError, match=f"{name} is missing or was changed"):
        TextGenerator.load(saved)


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{", b'{"a": "b"}', b"\xff"])
def test_a_damaged_manifest_is_an_error(saved, manifest):
    (saved / "manifest.json").write_bytes(manifest)
    with pytest.raises(ChargenError, match="manifest"):
        TextGenerator.load(saved)


def test_a_manifest_cannot_name_files_elsewhere(saved):
    (saved / "manifest.json").write_text(json.dumps({"config.json": "", "../../etc/passwd": ""}))
    with pytest.raises(ChargenError, match=r"manifest|missing"):
        TextGenerator.load(saved)
    (saved / "manifest.json").write_text(json.dumps({"../config.json": "", "config.json": ""}))
    with pytest.raises(ChargenError, match="outside the folder"):
        TextGenerator.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.update({"head.bias": w["head.bias"] / 0}), "head.bias that are not finite"),
        (lambda w: w.pop("head.bias"), "lacks head.bias"),
        (lambda w: w.update(extra=torch.zeros(3)), "holds extra"),
        (lambda w: w.update({"head.bias": w["head.bias"].long()}), "int64"),
    ],
)
def test_weights_that_are_not_the_models_are_refused(saved, sign, change, message):
    weights = load_file(saved / "model.safetensors")
    change(weights)
    save_file(weights, saved / "model.safetensors")
    sign(saved)
    with pytest.raises(ChargenError, match=message):
        TextGenerator.load(saved)


@pytest.mark.parametrize(
    "tokenizer",
    [
        '{"kind": "char", "documents": false, "characters": ["a", "b"]}',
        '{"kind": "char", "documents": false, "characters": {"a": 1}}',
        '{"kind": "char", "documents": false, "characters": 5}',
        '{"kind": ["char"], "documents": false, "characters": "ab"}',
        '{"kind": "char", "documents": false, "characters": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "[" * 100_000,
        "[]",
        "null",
        '{"kind": "char"',
        '{"kind": "bpe", "documents": false}',
        '{"kind": "char", "documents": false, "characters": "\\ud800"}',
    ],
)
def test_r10_a_tokenizer_that_lies_is_refused(saved, sign, tokenizer):
    (saved / "tokenizer.json").write_text(tokenizer)
    sign(saved)
    with pytest.raises(ChargenError, match=r"is damaged: (tokenizer\.json|a character)"):
        TextGenerator.load(saved)


def test_a_pickle_is_not_executed(saved, sign, tmp_path):
    witness = tmp_path / "executed"
    payload = f"cos\nsystem\n(S'touch {witness}'\ntR.".encode()
    (saved / "model.safetensors").write_bytes(payload * 2000)
    sign(saved)
    with pytest.raises(ChargenError, match="damaged"):
        TextGenerator.load(saved)
    assert not witness.exists()


@pytest.mark.parametrize("moment", range(1, 13))
def test_r8_a_model_can_be_loaded_while_it_is_saved_anew(poet, saved, monkeypatch, moment):
    """Another process saves between two looks at the folder: the old model is read, or the new one."""
    other = TextGenerator.new("other words", hidden_size=48)
    looks, is_file = [], Path.is_file

    def look(path):
        looks.append(path)
        if len(looks) == moment:
            other.save(saved)
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", look)
    loaded = TextGenerator.load(saved)
    assert loaded.model.config in (poet.model.config, other.model.config)


@pytest.mark.parametrize("moment", range(1, 9))
def test_r8_files_that_are_renamed_meanwhile_are_found(poet, saved, monkeypatch, moment):
    """The other process has renamed its manifest, and renames the files while they are looked for."""
    contents = {path.name: path.read_bytes() for path in saved.iterdir()}
    for name in contents.keys() - {"manifest.json"}:
        (saved / name).rename(saved / f"{name}.new")
    looks, is_file = [], Path.is_file

    def look(path):
        looks.append(path)
        if len(looks) == moment:
            for draft in saved.glob("*.new"):
                draft.rename(draft.with_suffix(""))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", look)
    assert TextGenerator.load(saved).model.config == poet.model.config


def test_a_folder_without_a_model_is_an_error_with_the_next_step(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ChargenError, match=r"no model in .*TextGenerator.train makes one"):
            TextGenerator.load(folder)


def test_the_newest_model_is_the_one_saved_last(saved, tmp_path):
    assert newest(tmp_path) == saved
    shutil.copytree(saved, tmp_path / "later")
    os.utime(tmp_path / "later" / "manifest.json", (2e9, 2e9))
    (tmp_path / "empty").mkdir()
    assert newest(tmp_path) == tmp_path / "later"
    assert newest(tmp_path / "nowhere") is None
