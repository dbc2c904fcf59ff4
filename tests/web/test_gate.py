"""The gate counts bytes, knows who asks from where, and serves nothing that the page does not need."""

import asyncio
import http.client
import json
import re
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.responses import PlainTextResponse

from chargen.web.calls import Calls
from chargen.web.gate import MAX_REQUEST, Gate
from chargen.web.gradio_setup import gr


async def page(scope, receive, send):
    """Answers with the headers that reach Gradio."""
    headers = json.dumps({name.decode(): value.decode() for name, value in scope["headers"]})
    await PlainTextResponse(headers)(scope, receive, send)


def ask(method, path, headers=(), app=page, content=None, **options):
    async def ask():
        gate = Gate(app, Calls(gr.Blocks()), **options)
        transport = httpx.ASGITransport(gate, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=list(headers), content=content)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "header",
    [
        *[
            ("Host", host)
            for host in ("", "[::1", "[::1]x", "a b", "user@localhost", "localhost:x", "a/b")
        ],
        *[
            ("Origin", o)
            for o in ("", "http://[::1", "localhost", "http://a b", "http://a/b", "null, null")
        ],
    ],
)
def test_w19_a_host_or_an_origin_without_a_name_is_refused(header):
    answer = ask("GET", "/", [header])
    assert answer.status_code == 400
    assert answer.text.startswith("This page does not answer")


def test_w19_two_hosts_or_origins_are_refused():
    assert ask("GET", "/", [("Host", "localhost"), ("Host", "localhost")]).status_code == 400
    assert ask("GET", "/", [("Origin", "http://localhost")] * 2).status_code == 400


@pytest.mark.parametrize("name", ["Host", "Proto", "For", "Prefix", "Server", "Port"])
def test_w19_headers_of_a_proxy_are_believed_only_where_there_is_one(name):
    header = (f"X-Forwarded-{name}", "evil.example")
    assert "evil.example" not in ask("GET", "/", [header]).text
    assert "evil.example" in ask("GET", "/", [header], root_path="/here").text


@pytest.mark.parametrize("name", ["Forwarded", "X-Gradio-Server"])
def test_w19_other_headers_of_a_proxy_are_dropped_too(name):
    assert "evil.example" not in ask("GET", "/", [(name, "http://evil.example")]).text


@pytest.mark.parametrize(
    "path",
    [
        *("/openapi.json", "/docs", "/redoc", "/monitoring", "/gradio_api/proxy=https://a.hf.space/x"),
        *(
            "/gradio_api/run/write",
            "/gradio_api/api/write",
            "/gradio_api/component_server",
            "/pwa_icon",
        ),
        *("/gradio_api/process_recording", "/gradio_api/vibe-code/", "/gradio_api/startup-events"),
        *("/gradio_api/deep_link", "/gradio_api/stream/x/close", "/gradio_api/dev/reload", "/x"),
    ],
)
def test_what_the_page_does_not_need_is_not_served(path):
    for method in ("GET", "POST"):
        answer = ask(method, path)
        assert answer.status_code == 404
        assert "There is nothing at this address." in answer.text


def test_a_proxy_may_pass_its_path_on_or_not():
    for path in ("/here/config", "/config", "/here/"):
        assert ask("GET", path, root_path="/here").status_code == 200
    for path in ("/here", "/hereconfig", "/there/config"):
        assert ask("GET", path, root_path="/here").status_code == 404


def test_another_method_is_refused():
    assert ask("PUT", "/").status_code == 405
    assert ask("GET", "/gradio_api/queue/join").status_code == 405
    assert ask("OPTIONS", "/config").status_code == 405


def test_no_file_is_fetched_from_elsewhere():
    answer = ask("GET", "/gradio_api/file=https://a.example/x")
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/", "/config", "/nothing", "/gradio_api/file=http://a.example"])
def test_w16_each_answer_forbids_frames_and_guesses(path):
    async def careless(scope, receive, send):
        headers = {"X-Content-Type-Options": "x", "Content-Security-Policy": "x"}
        await PlainTextResponse("", headers=headers)(scope, receive, send)

    answer = ask("GET", path, app=careless)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    answer = ask("GET", path, app=careless, framed_by="https://a.example")
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'self' https://a.example"


def test_a_failure_of_gradio_is_answered_by_a_sentence_and_one_line_in_the_log(capsys):
    async def broken(scope, receive, send):
        raise KeyError("x" * 100_000)

    async def failing(scope, receive, send):
        await PlainTextResponse("Internal Server Error", 500)(scope, receive, send)

    for app in (broken, failing):
        answer = ask("GET", "/", app=app)
        assert (answer.status_code, answer.text) == (400, "This request cannot be understood.")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "KeyError" in err
    assert len(err) < 1500


def test_w2_bytes_are_counted_as_they_come():
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 10 * MAX_REQUEST:
            sent += 2**20
            yield b" " * 2**20

    answer = ask("POST", "/gradio_api/call/write", content=endless())
    assert (answer.status_code, answer.json()["detail"]) == (
        413,
        "Too large: at most 25 MB are read here.",
    )
    assert sent <= MAX_REQUEST + 2**21


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"\xff", 400), (b'{"data": [NaN]}', 400), (b"[" * 100_000, 400),
        (b'{"data": ["\\ud800"]}', 400), (b"[]", 422), (b"null", 422), (b"{}", 404),
    ],
)  # fmt: skip
def test_w19_a_body_that_is_no_json_is_refused(body, status):
    assert ask("POST", "/gradio_api/call/write", content=body).status_code == status


def test_w19_an_overlong_length_is_refused_before_it_comes():
    headers = [("Content-Length", str(MAX_REQUEST + 1))]
    assert ask("POST", "/gradio_api/upload", headers).status_code == 413


@pytest.mark.slow
def test_w2_a_body_without_end_leaves_nothing_in_log_or_folder(server):
    address, home = server
    before = (home / "log").stat().st_size
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    with closing(connection):
        for path, kind in (
            ("call/write", "application/json"),
            ("upload", "multipart/form-data; boundary=x"),
        ):
            body = [b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n']
            body += [b"x" * 2**20] * 60
            connection.request(
                "POST", f"/gradio_api/{path}", iter(body), {"Content-Type": kind}, encode_chunked=True
            )
            answer = connection.getresponse()
            assert (answer.status, b"Too large: " in answer.read()) == (413, True)
    missing = json.dumps({"data": ["x" * 20_000_000]})
    answer = httpx.post(f"{address}/gradio_api/call/write", content=missing, timeout=60)
    assert answer.status_code == 422
    assert (home / "log").stat().st_size - before < 2000
    with socket.create_connection((urlsplit(address).hostname, urlsplit(address).port)) as broken_off:
        head = "POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n"
        head += f"Content-Type: {kind}\r\n\r\n"
        broken_off.sendall(head.encode() + b"".join(body[:3]))
    uploads = home / "cache" / "uploads"
    for _ in range(200):
        left = [path for path in uploads.rglob("tmp*") if path.is_file()]
        if not left:
            break
        time.sleep(0.05)
    assert left == []


@pytest.mark.slow
def test_w14_everything_is_behind_the_login_and_guessing_takes_long(serve, tmp_path):
    with serve(tmp_path, "--auth", "ann:secret") as (address, _):
        for method, path in (
            *[
                ("POST", f"/gradio_api/{path}")
                for path in ("cancel", "reset", "queue/join", "call/write")
            ],
            *[("GET", f"/gradio_api/{path}") for path in ("info", "app_id", "user", "openapi.json")],
            *[
                ("GET", path)
                for path in ("/config", "/gradio_api/heartbeat/a", "/gradio_api/queue/status")
            ],
        ):
            assert httpx.request(method, address + path, json={}).status_code == 401, path
        assert httpx.get(f"{address}/openapi.json").status_code == 404
        assert "auth_required" in httpx.get(address).text
        with httpx.Client(base_url=address) as visitor:
            right = {"username": "ann", "password": "secret"}
            assert visitor.post("/login", data=right).status_code == 200
            assert visitor.get("/gradio_api/app_id").status_code == 200
            body = {"event_id": "", "session_hash": "a", "fn_index": 0}
            assert visitor.post("/gradio_api/cancel", json=body).status_code == 200
            wrong = {"username": "ann", "password": "guess"}
            statuses = [visitor.post("/login", data=wrong).status_code for _ in range(7)]
            assert statuses == [400] * 5 + [429] * 2
            # Nobody passes for another address.
            header = {"X-Forwarded-For": "10.1.2.3"}
            answer = visitor.post("/login", data=right, headers=header)
            assert answer.status_code == 429
            assert re.search("try again in [0-9]+ seconds", answer.json()["detail"])


@pytest.mark.slow
def test_w25_the_limit_is_said_in_one_unit_and_the_settings_are_gone(server, tmp_path):
    config = httpx.get(f"{server[0]}/config").json()
    assert config["footer_links"] == ["api"]
    assert config["max_file_size"] == 20 * 2**20  # which a browser shows as 20 MB
