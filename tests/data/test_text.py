"""One rule for all doors: the same text from a file, a folder, a pipe or memory."""

import io
import os
import sys
import threading

import pytest

from chargen import ChargenError
from chargen.data.text import Text


def read(path, encoding="utf-8") -> str:
    return "".join(Text.open([str(path)], encoding).pieces())


@pytest.fixture
def written(tmp_path):
    def write(data: bytes, name="corpus.txt"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def test_newlines_become_one_and_a_byte_order_mark_is_dropped(written):
    assert read(written(b"\xef\xbb\xbfa\r\nb\rc\nd")) == "a\nb\nc\nd"


def test_line_separators_that_are_not_newlines_stay(written):
    text = "a\u2028b\x85c\x0bd\x0ce\x00"
    assert "".join(Text.from_string(text).pieces()) == text
    assert read(written(text[:-1].encode())) == text[:-1]


@pytest.mark.parametrize("character", ["é", "日", "👩"])
def test_a_character_on_the_border_of_two_chunks_is_whole(written, character):
    text = "x" * ((1 << 20) - 1) + character + "\r\n" + "y"
    assert read(written(text.encode())) == text.replace("\r\n", "\n")


def test_a_newline_pair_on_the_border_of_two_chunks_is_one(written):
    text = "x" * ((1 << 20) - 1) + "\r\ny"
    assert read(written(text.encode())) == "x" * ((1 << 20) - 1) + "\ny"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"abc\xff\xfe", "0xff at offset 3 .*encoding cp1252"),
        ("café".encode("latin-1"), "0xe9 at offset 3"),
        ("é".encode()[:1], "0xc3 at offset 0"),
        (b"x" * (1 << 20) + b"\xc3", "offset 1,048,576"),
        (b"\xff\xfea\x00b\x00", "looks like UTF-16; read it with encoding utf-16"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"some\x00bytes", "a binary file"),
    ],
)
def test_what_is_not_a_text_is_an_error_with_the_next_step(written, data, message):
    with pytest.raises(ChargenError, match=message):
        read(written(data))


def test_another_encoding_is_read_when_named(written):
    assert read(written("café".encode("latin-1")), "latin-1") == "café"
    assert read(written("naïve\n".encode("utf-16")), "utf-16") == "naïve\n"


@pytest.mark.parametrize("encoding", ["nonsense", "rot13", "base64"])
def test_an_encoding_that_is_none_is_an_error(written, encoding):
    with pytest.raises(ChargenError, match=f"no text encoding '{encoding}'"):
        read(written(b"abc"), encoding)


def test_a_missing_file_is_an_error_that_names_it():
    with pytest.raises(ChargenError, match=r"no file or folder 'nowhere\.txt'"):
        Text.open(["nowhere.txt"])


def test_a_folder_gives_its_text_files_in_order_and_says_what_it_left_out(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.txt").write_text("two")
    (tmp_path / "a.c").write_text("one\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG....")
    (tmp_path / ".hidden").write_text("hidden")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    text = Text.open([str(tmp_path)])
    assert "".join(text.pieces()) == "one\ntwo"
    assert any("picture.png" in note for note in text.notes)


def test_a_folder_without_text_is_an_error(tmp_path):
    with pytest.raises(ChargenError, match="holds no text files"):
        Text.open([str(tmp_path)])


def test_files_are_joined_with_a_newline_where_one_is_missing(written):
    one, two = written(b"one", "1.txt"), written(b"two\n", "2.txt")
    assert "".join(Text.open([str(one), str(two), str(one)]).pieces()) == "one\ntwo\none"


def test_standard_input_can_be_read_twice(monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO("né\r\n".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    text = Text.open(["-"])
    assert ["".join(text.pieces()), "".join(text.pieces())] == ["né\n", "né\n"]
    assert text.name == "stdin"


def test_a_pipe_is_read_like_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"through a pipe"))
    writer.start()
    text = Text.open([str(pipe)])
    writer.join()
    assert ["".join(text.pieces()), "".join(text.pieces())] == ["through a pipe"] * 2


def test_the_sum_of_a_single_file_is_that_of_its_bytes(written):
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Text.open([str(written(b""))]).sha256 == empty


def test_the_built_in_corpus_is_python_documentation():
    text = "".join(Text.open(["python-docs"]).pieces())
    assert len(text) > 300_000
    assert "The `import` statement" in text or 'The "import" statement' in text


def test_r5_a_text_that_grows_or_shrinks_between_two_readings_is_refused(written):
    for after in (b"one\ntwo\nthree\n", b"one\n", b"one\nTWO\n"):
        path = written(b"one\ntwo\n")
        text = Text.open([str(path)])
        assert "".join(text.pieces()) == "one\ntwo\n"
        path.write_bytes(after)
        with pytest.raises(ChargenError, match="has changed while it was read"):
            list(text.pieces())
        with pytest.raises(ChargenError, match="has changed while it was read"):
            list(text.pieces(0.5))


def test_r5_one_reading_gives_the_text_and_its_sum(written, monkeypatch):
    text = Text.open([str(written(b"one"))])
    list(text.pieces())
    monkeypatch.setattr("chargen.data.text.hashlib", None)  # would fail if summed again
    assert text.sha256 == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"


def test_r7_a_folder_that_is_closed_is_named(tmp_path, monkeypatch):
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "a.txt").write_text("text")
    (tmp_path / "shut").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ChargenError, match=r"shut cannot be read: Permission denied"):
        Text.open([str(tmp_path)])


def test_r7_links_that_are_not_followed_are_counted(tmp_path):
    (tmp_path / "poems").mkdir()
    (tmp_path / "poems" / "a.txt").write_text("text")
    (tmp_path / "poems" / "again").symlink_to(tmp_path / "poems")
    (tmp_path / "poems" / "gone.txt").symlink_to(tmp_path / "nowhere")
    text = Text.open([str(tmp_path / "poems")])
    assert "".join(text.pieces()) == "text"
    assert text.notes[1].startswith("left out 2 that are no text files: ")


@pytest.mark.parametrize("stdin", [None, io.StringIO()])
def test_r14_a_closed_standard_input_is_said(monkeypatch, stdin):
    if stdin:
        stdin.close()
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(ChargenError, match="standard input is closed; give a file"):
        Text.open(["-"])


def test_r18_a_file_that_cannot_be_read_to_its_end_is_named_with_the_cause(written):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise OSError(5, "Input/output error")

    text = Text("disk", (("disk/a.txt", lambda: Broken(b"text")),))
    for read in (lambda: text.sha256, lambda: list(text.pieces())):
        with pytest.raises(ChargenError, match=r"disk/a\.txt cannot be read: Input/output error"):
            read()
