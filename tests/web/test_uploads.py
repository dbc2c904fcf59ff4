"""Uploaded files are checked by what is in them: row 72 of the table of faults."""

import pytest
from gradio_client import Client, handle_file

from chargen.errors import ChargenError
from chargen.web import uploads

pytestmark = pytest.mark.slow


def test_row_72_uploads_are_checked_by_what_is_in_them(server, tmp_path):
    binary = tmp_path / "picture.txt"
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    latin = tmp_path / "latin.txt"
    latin.write_bytes("café".encode("latin-1"))
    for path, message in ((binary, "picture.txt"), (latin, "latin.txt")):
        with pytest.raises(ChargenError, match=message) as caught:
            uploads.read_text(str(path))
        assert str(tmp_path) not in str(caught.value)
    client = Client(server[0], verbose=False, httpx_kwargs={"timeout": 60})
    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * 26_000_000)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the client makes of a 413
        client.predict(handle_file(large), api_name="/classify")
    kept = [
        f
        for f in (server[1] / "cache" / "uploads").rglob("*")
        if f.is_file() and f.stat().st_size > 1e7
    ]
    assert not kept
