"""The cache finds a text by its content, and removes nothing but its own entries."""

import errno
import gc
import os
import shutil
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargen import ChargenError, Copies, Text
from chargen.data.cache import cache_folder, encode, tokenize
from chargen.data.corpus import prepare, split


def corpus_of(text, **options):
    return prepare(Text.from_string(text), **options)


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
def test_the_second_time_a_text_is_found_in_the_cache(kind, verse, monkeypatch):
    first = corpus_of(verse, kind=kind, vocab_size=320)
    monkeypatch.setattr("chargen.data.cache.build_tokenizer", None)  # would fail if called
    second = corpus_of(verse, kind=kind, vocab_size=320)
    assert np.array_equal(first.training, second.training)
    assert np.array_equal(first.validation, second.validation)


def test_the_cache_knows_a_text_by_its_content(tmp_path):
    file = tmp_path / "same-name.txt"
    for letter in "ab":
        file.write_text(letter * 500)
        corpus = prepare(Text.open([str(file)]))
        assert corpus.tokenizer.characters == letter


def test_the_pieces_of_bpe_are_learned_from_the_training_part_alone():
    corpus = corpus_of("common words here " * 500 + "zyxwvu" * 150, kind="bpe", vocab_size=400)
    assert not any(b"zyx" in piece for piece in corpus.tokenizer.pieces)


def test_ids_in_the_cache_are_those_of_the_text_in_memory(verse):
    corpus = corpus_of(verse)
    parts = list(encode(Text.from_string(verse), corpus.tokenizer))
    again = split(np.concatenate(parts), corpus.tokenizer, Text.from_string(verse), None, 0.1)
    assert np.array_equal(corpus.training, again.training)


def test_an_unwritable_cache_is_an_error_with_the_next_step(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ChargenError, match="CHARGEN_CACHE"):
        corpus_of("never seen before " * 20)


def test_nothing_is_left_behind_when_preparing_fails():
    text = Text("bad", (("bad", lambda: open(__file__, "rb")),), encoding="utf-16")  # noqa: SIM115
    with pytest.raises(ChargenError):
        prepare(text, kind="byte")
    assert not list(cache_folder().glob(".draft-*"))


def age(folder, days=60):
    """Makes a folder and all that is in it look old."""
    then = time.time() - days * 86_400
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))


FOREIGN = {
    "thesis/chapter.txt": "mine",
    "thesis/ids": "mine",
    "0123456789abcdef0123456789abcdef/photo.jpg": "mine",
    "0123456789abcdef0123456789abcdee/ids/photo.jpg": "mine",
    ".draft-of my novel/page.txt": "mine",
    ".draft-abcd1234/page.txt": "mine",
    "notes.txt": "mine",
}


def test_r1_only_entries_of_the_cache_are_swept(monkeypatch, tmp_path):
    """The cache may be a folder that a person keeps other things in."""
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path))
    for name, content in FOREIGN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "00000000000000000000000000000000").mkdir()
    old, fresh = (tokenize(Text.from_string(letter * 500))[2] for letter in "ab")
    draft = tmp_path / ".draft-k1ll3d__"
    draft.mkdir()
    (draft / "ids").write_text("")
    link = tmp_path / "fedcba9876543210fedcba9876543210"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "ids").write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for folder in tmp_path.iterdir():
        if folder != fresh:
            age(folder)
    tokenize(Text.from_string("c" * 500))  # a new entry, after which the cache is swept
    assert not old.exists()
    assert not draft.exists()
    assert fresh.exists()
    assert (link / "ids").read_text() == "mine"
    assert (tmp_path / "00000000000000000000000000000000").exists()
    assert {name: (tmp_path / name).read_text() for name in FOREIGN} == FOREIGN


@pytest.mark.slow
def test_r1_what_is_in_use_is_not_swept(monkeypatch, tmp_path):
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path))
    monkeypatch.setattr("chargen.data.cache.MAPPED_BYTES", 0)
    corpus = prepare(Text.from_string("a" * 500))
    (entry,) = tmp_path.iterdir()
    age(entry)
    tokenize(Text.from_string("b" * 500))
    assert entry.exists()
    assert (np.asarray(corpus.training) == 0).all()
    del corpus
    gc.collect()
    age(entry)
    tokenize(Text.from_string("c" * 500))
    assert not entry.exists()


WORDS = "the sea sings, a bird waits\n" * 40


@pytest.fixture
def own(monkeypatch, tmp_path):
    """A cache of its own, in which no other test has an entry."""
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def damage(path, data):
    """Truncates, flips, empties or removes a file, as `data` draws it."""
    content = bytearray(path.read_bytes())
    how = data.draw(st.sampled_from(["truncate", "flip", "extend", "remove"]))
    if how == "remove":
        path.unlink()
        return
    if how == "extend":
        content += b"x"
    elif content:
        position = data.draw(st.integers(0, len(content) - 1))
        if how == "truncate":
            del content[position:]
        else:
            content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    data=st.data(),
    kind=st.sampled_from(["char", "bpe"]),
    split_on=st.sampled_from([None, "line"]),
    mapped=st.sampled_from([0, 1 << 26]),
)
def test_r6_a_damaged_entry_is_made_anew(own, monkeypatch, data, kind, split_on, mapped):
    """Whatever is done to its files, the tokens are those of the text, and one line says so."""
    shutil.rmtree(own, ignore_errors=True)
    monkeypatch.setattr("chargen.data.cache.MAPPED_BYTES", mapped)
    recipe = {"kind": kind, "vocab_size": 300, "split_on": split_on}
    before = corpus_of(WORDS + f"{kind} {split_on}\n", **recipe)
    expected = np.array(before.training)
    del before
    (entry,) = [folder for folder in own.iterdir() if folder.is_dir()]
    for path in sorted(entry.iterdir()):
        if data.draw(st.booleans()):
            damage(path, data)
    text = Text.from_string(WORDS + f"{kind} {split_on}\n")
    after = prepare(text, **recipe)
    assert np.array_equal(after.training, expected)
    assert len(text.notes) <= 1


def test_r6_what_is_made_anew_is_said(own):
    corpus_of(WORDS)
    (entry,) = own.iterdir()
    ids = entry / "ids"
    ids.write_bytes(ids.read_bytes()[:500])  # as a full disk or a cut connection leaves it
    text = Text.from_string(WORDS)
    assert len(prepare(text).training) == len(WORDS) * 9 // 10
    assert text.notes == [
        f"the cached tokens in {entry} are made anew: ids was changed: its sum is not the one that "
        "was written"
    ]
    again = Text.from_string(WORDS)
    prepare(again)
    assert not again.notes


def test_r6_a_damaged_index_of_copies_is_made_anew(own):
    assert Copies.of(WORDS).find("bird") == (40, 17)
    (entry,) = own.iterdir()
    suffixes = entry / "suffixes"
    suffixes.write_bytes(suffixes.read_bytes()[::-1])
    assert Copies.cached(Text.from_string(WORDS).sha256) is None
    assert Copies.of(WORDS).find("bird") == (40, 17)
    assert Copies.cached(Text.from_string(WORDS).sha256).find("bird") == (40, 17)


def test_r6_tokens_that_are_in_use_are_not_emptied_under_their_reader(own):
    corpus = corpus_of(WORDS)
    (entry,) = own.iterdir()
    (entry / "ids").write_bytes(b"")
    corpus_of(WORDS)  # makes the entry anew
    assert corpus.tokenizer.decode(corpus.training) == WORDS[: len(corpus.training)]


def test_r6_the_files_of_an_entry_have_the_sums_that_sha256sum_checks(own):
    Copies.of(WORDS)
    (entry,) = own.iterdir()
    names = sorted(path.name for path in entry.iterdir() if path.suffix != ".sha256")
    assert names == ["ids", "suffixes", "tokenizer.json"]
    assert all((entry / f"{name}.sha256").read_text().endswith(f"  {name}\n") for name in names)


def test_r15_an_entry_can_be_read_by_other_users(own):
    umask = os.umask(0o022)
    try:
        corpus_of(WORDS)
    finally:
        os.umask(umask)
    (entry,) = own.iterdir()
    assert entry.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in entry.iterdir()} == {0o644}


def test_r15_to_be_readable_is_enough(own, monkeypatch):
    Copies.of(WORDS)

    def refuse(path, *_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert len(corpus_of(WORDS).training) == len(WORDS) * 9 // 10
    assert Copies.of(WORDS).find("bird")[0] == 40


def test_r15_a_full_disk_is_named_with_its_cause_and_the_way_on(own, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ChargenError, match=rf"{own}.*No space left.*CHARGEN_CACHE"):
            corpus_of(WORDS)
    assert not list(own.iterdir())


def test_r13_without_a_home_folder_the_cache_is_in_the_temporary_one(monkeypatch, tmp_path):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("CHARGEN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pathlib.Path.home", homeless)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    text = Text.from_string(WORDS)
    prepare(text)
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert text.notes == [
        f"this user has no home folder: the cache is {folder}, until CHARGEN_CACHE names another"
    ]


def test_r5_a_text_that_changes_while_it_is_read_is_refused_and_not_cached(own, tmp_path):
    file = tmp_path / "log.txt"
    file.write_text("one line\n" * 100)
    text = Text.open([str(file)])
    assert text.sha256
    file.write_text("two line\n" * 100)
    with pytest.raises(ChargenError, match=r"log has changed while it was read.*once nothing writes"):
        prepare(text)
    assert not own.exists() or not list(own.iterdir())
    assert len(prepare(Text.open([str(file)])).training) == 810
