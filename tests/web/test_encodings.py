"""W4: an encoding is guessed for a file that is not in UTF-8, and a line shows whether it fits."""

import pytest

from chargen.errors import ChargenError
from chargen.web import uploads
from chargen.web.encodings import ENCODINGS, guess, is_other_encoding, telling_line


@pytest.mark.parametrize(
    ("encoding", "text", "guessed"),
    [
        ("cp1252", "naïve café — “so”", "cp1252"),
        ("latin-1", "café", "cp1252"),
        ("utf-16", "日本", "utf-16"),
        ("latin-1", "\x81\x8d", "cp1250"),
    ],
)
def test_w4_the_first_encoding_that_can_be_read_is_guessed(tmp_path, encoding, text, guessed):
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(ChargenError) as refused:
        uploads.read_text(str(path))
    assert is_other_encoding(refused.value)
    if guessed in ("cp1252", "utf-16"):
        assert guess(str(path)) == guessed
        assert uploads.read_text(str(path), guessed) == text
    else:
        assert uploads.read_text(str(path), guess(str(path)))


def test_w4_every_encoding_of_the_menu_exists(tmp_path):
    path = tmp_path / "text.txt"
    for encoding in ENCODINGS.values():
        path.write_bytes("plain".encode(encoding))
        assert uploads.read_text(str(path), encoding) == "plain"


def test_w4_a_line_that_shows_the_encoding_is_shown():
    assert telling_line("first\n  second, déjà vu  \nthird é") == "second, déjà vu"
    assert telling_line("only\nASCII") == "only"
    long = telling_line("x" * 500 + "é" + "y" * 500)
    assert "é" in long
    assert len(long) < 130


def test_w25_a_file_that_is_gone_is_a_sentence(tmp_path):
    with pytest.raises(ChargenError, match=r"^gone\.txt is no longer here; choose the file again$"):
        uploads.read_text(str(tmp_path / "gone.txt"))
