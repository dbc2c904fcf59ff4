"""One rule for all doors: the same text from a file, a folder, a pipe or memory."""

import io
import os
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen import ChargenError
from chargen.data.text import Text, documents


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


@pytest.mark.parametrize(
    ("split_on", "text", "expected"),
    [
        ("line", "Ada\nGrace\n\nEmmy", ["Ada", "Grace", "Emmy"]),
        ("blank-line", "\none\ntwo\n\n\n\nthree\n\n", ["one\ntwo", "three"]),
        ("%%", "a%%b\n%%\n%%%%c", ["a", "b", "c"]),
        ("line", "", []),
    ],
)
@given(data=st.data())
def test_documents_are_the_same_wherever_the_pieces_are_cut(split_on, text, expected, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert list(documents(pieces, split_on)) == expected
