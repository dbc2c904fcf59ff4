"""Public texts from a server that may be gone, lie, stop halfway or send for ever."""

import contextlib
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chargen import ChargenError
from chargen.data import download as fetching
from chargen.data.download import Source, fetch

DATA = b"".join(f"line {i}\n".encode() for i in range(50_000))
SUM = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """/whole, /moved, /half (stops halfway unless asked for the rest), /other, /endless, /old."""

    def do_GET(self):
        place = self.path[1:]
        if place == "moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
            return
        if place == "gone":
            self.send_error(404)
            return
        begin = 0
        asked = self.headers.get("Range")
        if asked and place != "old":
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(DATA):
                self.send_error(416)
                return
        self.server.asked.append(begin)
        self.send_response(206 if begin else 200)
        if place == "endless":
            self.end_headers()
            with_rest = DATA * 20
        else:
            self.send_header("Content-Length", str(len(DATA) - begin))
            self.end_headers()
            with_rest = DATA[begin:].replace(
                b"line 7\n", b"lime 7\n" if place == "other" else b"line 7\n"
            )
            if place == "half" and not begin:
                with_rest = with_rest[:200_000]
        with contextlib.suppress(ConnectionError):
            self.wfile.write(with_rest)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def source(server):
    def source(place):
        url = f"http://127.0.0.1:{server.server_address[1]}/{place}"
        return Source(url, "data.txt", SUM, limit=len(DATA) + 1000)

    return source


@pytest.mark.parametrize("place", ["whole", "moved"])
def test_a_file_arrives_whole_and_is_not_fetched_again(source, server, tmp_path, place):
    *_, (there, total) = fetch(source(place), tmp_path / "new")
    assert there == total == len(DATA)
    assert (tmp_path / "new" / "data.txt").read_bytes() == DATA
    assert list(fetch(source(place), tmp_path / "new")) == []
    assert len(server.asked) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["data.txt"]


@pytest.mark.parametrize("place", ["half", "old"])
def test_a_download_that_broke_off_goes_on_or_begins_anew(source, server, tmp_path, place):
    with pytest.raises(ChargenError, match="try again: a partial download is kept"):
        list(fetch(source("half"), tmp_path))
    assert not (tmp_path / "data.txt").exists()
    list(fetch(source(place), tmp_path))
    assert (tmp_path / "data.txt").read_bytes() == DATA
    assert server.asked == [0, 200_000 if place == "half" else 0]


def test_what_arrived_whole_but_unnamed_gets_its_name(source, tmp_path):
    (tmp_path / "data.txt.part").write_bytes(DATA)
    list(fetch(source("whole"), tmp_path))
    assert (tmp_path / "data.txt").read_bytes() == DATA


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("other", "is not the file it was: its sha256"),
        ("endless", "sends more than"),
        ("gone", "cannot be fetched: .*Not Found"),
    ],
)
def test_what_is_not_the_file_is_not_kept(source, tmp_path, place, message):
    with pytest.raises(ChargenError, match=message):
        list(fetch(source(place), tmp_path))
    assert not list(tmp_path.iterdir())


def test_no_network_is_one_sentence(tmp_path):
    nowhere = Source("http://127.0.0.1:9/data.txt", "data.txt", SUM, 1000)
    with pytest.raises(ChargenError, match=r"cannot be fetched: .*check the network"):
        list(fetch(nowhere, tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_file_of_ones_own_is_never_overwritten(source, tmp_path):
    (tmp_path / "data.txt").write_text("mine")
    with pytest.raises(ChargenError, match="another file than the public one"):
        list(fetch(source("whole"), tmp_path))
    assert (tmp_path / "data.txt").read_text() == "mine"


def test_fetch_by_the_command(run, source, monkeypatch, tmp_path):
    monkeypatch.setitem(fetching.SOURCES, "ag-news", [source("whole")])
    status, out, err = run("fetch", "ag-news")
    assert (status, out) == (0, "data/data.txt\n")
    assert "is right" in err
    assert (tmp_path / "data" / "data.txt").read_bytes() == DATA
    monkeypatch.setitem(fetching.SOURCES, "ag-news", [source("gone")])
    monkeypatch.chdir(tmp_path / "data")
    status, out, err = run("fetch", "ag-news")
    assert (status, out) == (1, "")
    assert "Traceback" not in err


def test_the_public_files_are_those_of_the_lesson():
    names = {source.name for sources in fetching.SOURCES.values() for source in sources}
    countries = {name for name in names if name.startswith("names/")}
    assert len(countries) == 18
    assert names - countries == {"tiny-shakespeare.txt", "ag-news-train.csv", "ag-news-test.csv"}
    assert all(len(s.sha256) == 64 for sources in fetching.SOURCES.values() for s in sources)
