"""The page as programs and mischief see it: endpoints, and rows 71 to 79 of the table of faults."""

import asyncio
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from starlette.responses import PlainTextResponse

from chargen import Sampler, Text, TextGenerator
from chargen.generator import STARTER
from chargen.web import html as drawing
from chargen.web.server import LOCAL, Gate

pytestmark = pytest.mark.slow


@contextmanager
def served(home, *options, ended=143):
    """The page as `chargen app` serves it; gives its address and its process."""
    environment = os.environ | {
        "CHARGEN_CACHE": str(home / "cache"),
        "OMP_NUM_THREADS": "1",
        "GRADIO_TEMP_DIR": str(home / "uploads"),
    }
    command = [sys.executable, "-m", "chargen", "app", *options]
    with subprocess.Popen(
        command, cwd=home, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        found = next(m for line in process.stderr if (m := re.search(r"http://[\w.:]+", line)))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found[0], process
        process.terminate()
        assert process.wait(30) == ended


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A page in an empty folder: (address, folder)."""
    home = tmp_path_factory.mktemp("web")
    with served(home, "--port", "7862") as (address, _):
        yield address, home


@pytest.fixture(scope="module")
def client(server):
    return Client(server[0], verbose=False)


@pytest.fixture(scope="module")
def writer():
    return TextGenerator.load(STARTER)


def refused(client, *arguments, **named):
    """What the page says where it refuses."""
    with pytest.raises(AppError) as caught:
        client.predict(*arguments, **named)
    return str(caught.value)


def wait(client, *states, limit=90):
    """The training, once it is in one of these states."""
    began = time.monotonic()
    while True:
        view = client.predict(api_name="/training")
        if view["state"] in states:
            return view
        assert time.monotonic() - began < limit, view
        time.sleep(0.2)


# Endpoints ----------------------------------------------------------------------------------------


def test_every_action_has_a_named_endpoint_with_types(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {
        *("/models", "/write", "/expect", "/train", "/train_classifier"),
        *("/training", "/stop_training", "/classify", "/surprise", "/components", "/copies"),
    }
    types = {p["parameter_name"]: p["python_type"]["type"] for p in endpoints["/write"]["parameters"]}
    assert types["prompt"] == "str"
    assert types["temperature"] == "float"


def test_write_gives_what_the_library_gives(client, writer):
    got = client.predict(prompt="The ", length=200, seed=3, api_name="/write")
    assert got == writer.generate("The ", length=200, seed=3)
    got = client.predict(
        prompt="", length=100, temperature=1.1, top_k=9, top_p=0.9, min_p=0.01, seed=4,
        api_name="/write",
    )  # fmt: skip
    assert got == writer.generate(length=100, temperature=1.1, top_k=9, top_p=0.9, min_p=0.01, seed=4)


def test_write_streams(client):
    parts = list(client.submit(prompt="A ", length=5000, seed=1, api_name="/write"))
    assert len(parts) > 3
    for part, longer in itertools.pairwise(parts):
        assert longer.startswith(part)


def test_expect_gives_the_distribution_that_is_drawn_from(client, writer):
    got = client.predict(text="The functio", temperature=0.5, api_name="/expect")
    wanted = writer.read("The functio").expected(Sampler(0.5))
    assert got == pytest.approx(wanted)
    assert next(iter(got)) == "n"


def test_looking_inside_gives_what_the_library_gives(client, writer):
    text = "The function returns a lsit."
    got = client.predict(text=text, api_name="/surprise")
    wanted = list(writer.surprise(text).characters())
    assert [c["text"] for c in got["characters"]] == list(text)
    assert [c["bits"] for c in got["characters"]] == pytest.approx([c.bits for c in wanted])
    assert got["bits_per_character"] == pytest.approx(writer.score(text).bits_per_character, abs=1e-6)
    manual = "".join(Text.open(["python-docs"]).pieces())
    got = client.predict(text=manual[5000:7000], api_name="/components")
    assert [row["property"] for row in got] == [
        row.property for row in writer.components(manual[5000:7000])
    ]
    got = client.predict(text="Xqz " + manual[700:760] + " Xqz", api_name="/copies")
    assert got["passages"][0]["start"] in (3, 4)
    assert got["share"] > 0.8
    assert got["new_words"]["Xqz"] == 2


def test_what_is_asked_of_the_inside_is_checked(client):
    for endpoint in ("/surprise", "/components"):
        assert "at most 10,000" in refused(client, text="a" * 10_001, api_name=endpoint)
        assert "no model" in refused(client, text="a", model="../x", api_name=endpoint)
        assert "none of these" in refused(client, text="日本", api_name=endpoint)
    assert "too few" in refused(client, text="ab", api_name="/components")
    assert "at most 200,000" in refused(client, text="a" * 200_001, api_name="/copies")
    assert "at least 1" in refused(client, text="a", least=0, api_name="/copies")


def test_a_text_is_learned_and_written_like(client, server, verse):
    view = client.predict(text=verse, name="verse", minutes=0.15, api_name="/train")
    assert view["state"] == "preparing"
    assert "one training at a time" in refused(
        client, text=verse, name="more", minutes=1, api_name="/train"
    )
    view = wait(client, "finished", "failed")
    assert view["state"] == "finished", view["message"]
    assert view["scores"][-1][1] < view["baselines"]["unigram model"]
    assert "verse" in client.predict(api_name="/models")["generators"]
    text = client.predict(prompt="a bird ", model="verse", length=60, seed=0, api_name="/write")
    assert re.match(r"a bird (sings|waits) (now|still)\n", text)
    assert "already" in refused(client, text=verse, name="verse", api_name="/train")
    kept = TextGenerator.load(server[1] / "checkpoints" / "verse")
    assert kept.generate("a bird ", length=60, seed=0) == text


def test_a_table_is_learned_and_judged_by(client):
    rows = "".join(f"{'good day' if i % 2 else 'bad night'} {i},{i % 2}\n" for i in range(200))
    view = client.predict(table=rows, name="days", minutes=0.1, api_name="/train_classifier")
    view = wait(client, "finished", "failed")
    assert view["state"] == "finished", view["message"]
    assert sum(map(sum, view["confusion"])) == 20
    classes = client.predict(text="good day 7", model="days", api_name="/classify")
    assert list(classes) == ["1", "0"]
    assert sum(classes.values()) == pytest.approx(1)


def test_a_training_is_stopped_with_what_it_learned(client, server, verse, call):
    client.predict(text=verse * 40, name="stopped", minutes=60, api_name="/train")
    wait(client, "training")
    began = time.monotonic()
    client.predict(api_name="/stop_training")
    wait(client, "stopped")
    assert time.monotonic() - began < 5
    assert client.predict(model="stopped", length=10, api_name="/write")
    status, _, err = call(
        *("train", "--resume", "-o", server[1] / "checkpoints" / "stopped", "--minutes", "0.1"),
    )
    assert (status, "done" in err) == (0, True), err  # the terminal can go on with it


def test_a_page_that_is_killed_leaves_its_training_whole_and_not_at_work(tmp_path, verse, call):
    with served(tmp_path, "--port", "7865", ended=-9) as (url, process):
        client = Client(url, verbose=False)
        client.predict(text=verse * 40, name="orphan", minutes=60, api_name="/train")
        wait(client, "training")
        process.kill()
    deadline = time.monotonic() + 20
    while True:  # until the training has noticed, nobody else may go on with it
        command = ["train", "--resume", "-o", "checkpoints/orphan", "--minutes", "0.2"]
        status, _, err = call(*command)
        if status == 0 or time.monotonic() > deadline:
            break
        assert "another process" in err or "at work" in err, err
        time.sleep(0.5)
    assert (status, "done" in err) == (0, True), err


# Mischief -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": "a" * 10_000_000}, "at most 20,000"),
        ({"length": 1_000_000_000}, "at most 20,000"),
        ({"length": -1}, "at most"),
        ({"length": "many"}, "whole number"),
        ({"length": None}, "whole number"),
        ({"temperature": -1}, "temperature must be 0 or more"),
        ({"temperature": "NaN"}, "must be a number"),
        ({"top_p": 7}, "top-p must be"),
        ({"seed": -3}, "seed must be"),
        ({"seed": 2**60}, "seed must be"),
        ({"prompt": ["x"]}, "must be a text"),
        ({"prompt": "日本"}, "U+65E5"),
        ({"model": "../../etc"}, "no model"),
        ({"model": "/etc/passwd"}, "no model"),
        ({"model": {}}, "must be a text"),
    ],
)
def test_row_71_what_is_too_much_is_refused_and_the_page_goes_on(client, arguments, message):
    began = time.monotonic()
    assert message in refused(client, api_name="/write", **arguments)
    assert time.monotonic() - began < 5
    assert client.predict(length=5, api_name="/write")


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "x" * 61, "nul\0", "/tmp/x", "~", "\n"]
)
def test_row_71_a_name_is_never_a_path(client, verse, name):
    assert "cannot be a name" in refused(client, text=verse, name=name, api_name="/train")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "short"}, "nothing to learn"),
        ({"text": "a" * 21_000_000}, ""),
        ({"minutes": 0}, "minutes"),
        ({"minutes": 1e9}, "minutes"),
        ({"minutes": "x"}, "must be a number"),
        ({"split_on": "page"}, "split_on"),
    ],
)
def test_row_71_a_training_that_makes_no_sense_is_refused(client, verse, arguments, message):
    wanted = {"text": verse, "name": "nonsense"} | arguments
    assert message in refused(client, api_name="/train", **wanted)
    assert client.predict(api_name="/training")["state"] not in ("preparing", "training")


def test_row_72_uploads_are_checked_by_what_is_in_them(server, tmp_path):
    from chargen.errors import ChargenError
    from chargen.web.tabs.train import _text

    binary = tmp_path / "picture.txt"
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    latin = tmp_path / "latin.txt"
    latin.write_bytes("café".encode("latin-1"))
    for path, message in ((binary, "picture.txt"), (latin, "latin.txt")):
        with pytest.raises(ChargenError, match=message) as caught:
            _text("Upload a file", "", str(path))
        assert str(tmp_path) not in str(caught.value)
    client = Client(server[0], verbose=False, httpx_kwargs={"timeout": 60})
    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * 26_000_000)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the client makes of a 413
        client.predict(handle_file(large), api_name="/classify")
    kept = [f for f in (server[1] / "uploads").rglob("*") if f.is_file() and f.stat().st_size > 1e7]
    assert not kept


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 400),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/info"])
def test_row_73_it_answers_to_its_own_name_and_page_alone(server, path, headers, status):
    answer = httpx.get(server[0] + path, headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert answer.text.startswith("This page does not answer")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:7860", "Origin": "https://example.org"}, 200),
        ({"Host": "example.org", "Origin": "https://example.org"}, 200),
        ({"Host": "example.org", "Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "https://example.org"}, 400),
        ({"Host": "127.0.0.1", "Content-Length": "99000000"}, 413),
    ],
)
def test_row_73_behind_a_proxy_it_answers_to_the_proxy_too(headers, status):
    async def page(scope, receive, send):
        await PlainTextResponse("hello")(scope, receive, send)

    async def ask():
        transport = httpx.ASGITransport(Gate(page, LOCAL, "example.org"))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/", headers=headers)

    assert asyncio.run(ask()).status_code == status


def test_row_73_nothing_can_be_stored_from_elsewhere(server):
    answer = httpx.post(
        server[0] + "/gradio_api/upload",
        files={"files": ("a.txt", b"x")},
        headers={"Origin": "http://evil.example"},
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "checkpoints/verse/config.json", "../app.py", "..%2f..%2fetc%2fpasswd"]
)
def test_row_74_no_file_can_be_had(server, path):
    (server[1] / "checkpoints" / "verse").mkdir(parents=True, exist_ok=True)
    assert httpx.get(f"{server[0]}/gradio_api/file={path}").status_code in (403, 404)


def test_row_75_whoever_stops_or_leaves_frees_the_model_at_once(client):
    for _ in range(12):  # more than are served at a time
        job = client.submit(length=20_000, seed=1, api_name="/write")
        next(iter(job))
        job.cancel()
    began = time.monotonic()
    assert client.predict(length=5, api_name="/write")
    assert time.monotonic() - began < 2


def test_row_76_eight_visitors_at_once_each_get_their_own(server, writer):
    wanted = {seed: writer.generate(f"{seed} ", length=1500, seed=seed) for seed in range(8)}
    got = {}

    def visitor(seed):
        own = Client(server[0], verbose=False)
        got[seed] = own.predict(prompt=f"{seed} ", length=1500, seed=seed, api_name="/write")

    threads = [threading.Thread(target=visitor, args=(seed,)) for seed in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == wanted


def test_row_77_markup_is_text():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&${alert(1)}{{value}}\x1b\n\tx"
    for html in (
        drawing.sheet(evil, evil),
        drawing.bars({evil: 0.5}, evil),
        drawing.heat([(evil, 0.3), ("b", -0.1)]),
        drawing.matrix([evil, "b"], [[1, 2], [3, 4]]),
        drawing.note(evil),
        drawing.facts([(evil, evil)]),
        drawing.curve([(0, 1), (1, 2)], [(1, 2)], {evil: 1.5}, evil, (evil, evil)),
    ):
        assert not re.search(r"<(script|img)|\$\{|\{\{|\x1b", html)
    assert "\n\tx" in drawing.sheet(evil)


def test_row_79_a_port_that_is_taken_is_said(call):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.set_teacher()
        port = taken.getsockname()[1]
        status, _, err = call("app", "--port", port)
    assert status == 1
    assert f"port {port}" in err
    assert "Traceback" not in err


def test_a_public_address_wants_a_log_in(call):
    status, _, err = call("app", "--host", "0.0.0.0", "--port", 7869)
    assert status == 1
    assert "--auth" in err
    assert "Traceback" not in err


def test_a_log_in_guards_all(tmp_path):
    with served(tmp_path, "--port", "7863", "--auth", "ann:secret") as (url, _):
        assert httpx.get(f"{url}/gradio_api/info").status_code == 401
        client = Client(url, auth=("ann", "secret"), verbose=False)
        assert client.predict(length=5, seed=1, api_name="/write")


def test_the_settings_of_a_stopped_training_can_be_read(server):
    state = sorted((server[1] / "checkpoints" / "stopped" / "resume").glob("state-*"))[-1]
    assert json.loads((state / "config.json").read_text())["settings"]["corpus"]
