"""Serving the page: to whom it answers, rows 73, 74 and 79 of the table of faults."""

import asyncio
import socket

import httpx
import pytest
from gradio_client import Client
from starlette.responses import PlainTextResponse

from chargen.web.calls import Calls
from chargen.web.gate import Gate
from chargen.web.gradio_setup import gr
from chargen.web.server import LOCAL

pytestmark = pytest.mark.slow


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
        gate = Gate(page, Calls(gr.Blocks()), hosts=LOCAL, root_path="https://example.org")
        transport = httpx.ASGITransport(gate)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/", headers=headers)

    assert asyncio.run(ask()).status_code == status


def test_row_73_nothing_can_be_stored_from_elsewhere(server):
    answer = httpx.post(
        server[0] + "/gradio_api/upload",
        files={"files": ("a.txt", b"x")},
        headers={"Origin": "http://evil.example"},
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "checkpoints/secret/config.json", "../app.py", "..%2f..%2fetc%2fpasswd"]
)
def test_row_74_no_file_can_be_had(server, path):
    secret = server[1] / "checkpoints" / "secret" / "config.json"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("{}")
    assert httpx.get(f"{server[0]}/gradio_api/file={path}").status_code in (403, 404)


def test_row_79_a_port_that_is_taken_is_said(call):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, err = call("app", "--port", port)
    assert status == 1
    assert f"port {port}" in err
    assert "Traceback" not in err


def test_a_public_address_wants_a_log_in(call):
    status, _, err = call("app", "--host", "0.0.0.0", "--port", 7869)
    assert status == 1
    assert "--auth, or --open-to-all" in err
    assert "Traceback" not in err


def test_a_log_in_guards_all(serve, tmp_path):
    with serve(tmp_path, "--auth", "ann:secret") as (url, _):
        assert httpx.get(f"{url}/gradio_api/info").status_code == 401
        client = Client(url, auth=("ann", "secret"), verbose=False)
        assert client.predict(length=5, seed=1, api_name="/write")
