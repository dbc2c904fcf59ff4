"""Any request is answered by a status below 500, without a traceback, in memory that is bounded."""

import http.client
import json
import os
import random
import re
import subprocess
import sys
from urllib.parse import quote, urlsplit

import pytest
from gradio_client import Client

pytestmark = pytest.mark.slow

REQUESTS = 3000
GROWTH = 150  # megabytes that the server may grow by in the second half
LIST_ROUTES = """
import json
from chargen.web.gradio_setup import gr
from gradio.routes import App
own = []
for route in App.create_app(gr.Blocks()).routes:
    own += [route] if hasattr(route, "path") else route.original_router.routes
print(json.dumps([(route.path, sorted(route.methods)) for route in own]))
"""
# Written by hand, since Python's own writer refuses some of them.
VALUES = [
    *("null", "true", "-1", "0", "1.5", "1e400", "-1e400", "NaN", "Infinity", str(2**70), "9" * 5000),
    *('""', '"x"', '"\\ud800"', '"\\u0000"', '"' + "y" * 5000 + '"', '"../../etc/passwd"', '"日本"'),
    *("[]", "{}", "[[[]]]", '{"a": {"b": [1, null]}}', '["a", 1, null]', "[" * 900 + "]" * 900),
    *(
        '{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}',
        '{"path": "http://a.example/x"}',
    ),
    *('{"path": null}', '"starter"', '"line"', "5", "0.5"),
]
BODIES = ["", "{", "[]", "null", "\xff\xfe", "{}" * 2, '{"data": }', "a=1&b=2", "[" * 100_000]
TYPES = [
    "application/json", "text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=x", "application/json; charset=utf-16", "garbage",
]  # fmt: skip
FORMS = [
    '--x\r\nContent-Disposition: form-data; name="files"; filename="{0}"\r\n\r\nhello\r\n--x--\r\n',
    '--x\r\nContent-Disposition: form-data; name="files"\r\n\r\nno file\r\n--x--\r\n',
    '--x\r\nContent-Disposition: form-data; name="{0}"; filename="a"\r\n\r\nhello\r\n--x--\r\n',
    "--x\r\n\r\n--x--", "--x", "\0" * 100,
]  # fmt: skip
HEADERS = [
    *[
        ("Host", host)
        for host in ("", "[::1", "[::1]:x", "a b", "evil.example", "localhost:99999999", "é")
    ],
    *[
        ("Origin", origin)
        for origin in ("", "null", "http://[::1", "http://evil.example", "x", "//", "é:/")
    ],
    *[(f"X-Forwarded-{name}", "evil.example") for name in ("Host", "For", "Proto", "Prefix", "Port")],
    *[("X-Gradio-Server", "http://evil.example"), ("Cookie", "=;;=\xff"), ("Range", "bytes=9-1")],
    *[("Content-Length", "-1"), ("Content-Length", "x"), ("Transfer-Encoding", "gzip")],
    *[("Authorization", "Bearer x"), ("Accept-Encoding", "br;q=x"), ("If-None-Match", "x" * 3000)],
]


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    """All addresses of Gradio with their methods, also those that the page does not serve."""
    environment = os.environ | {"CHARGEN_CACHE": str(tmp_path_factory.mktemp("cache"))}
    done = subprocess.run(
        [sys.executable, "-c", LIST_ROUTES],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def memory(process):
    with open(f"/proc/{process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def ask(netloc, method, path, body=b"", headers=()):
    """Returns the status, the headers and the beginning of the answer."""
    connection = http.client.HTTPConnection(netloc, timeout=20)
    try:
        names = {name.lower() for name, _ in headers}
        connection.putrequest(method, path, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value.encode("utf-8"))
        if body and not names & {"content-length", "transfer-encoding"}:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body)
        answer = connection.getresponse()
        streams = (answer.getheader("Content-Type") or "").startswith("text/event-stream")
        return answer.status, answer.headers, b"" if streams else answer.read(3000)
    finally:
        connection.close()


def arguments(rng, fns):
    """Returns the body of a call that is wrong in one way or several."""
    fn, count = rng.choice(fns)
    count = max(0, count + rng.choice([0, 0, 0, 0, -1, 1, -count, 50]))
    data = "[" + ",".join(rng.choice(VALUES) for _ in range(count)) + "]"
    fields = {
        "data": rng.choice([data] * 8 + VALUES),
        "fn_index": rng.choice([str(fn)] * 8 + VALUES),
        "session_hash": rng.choice([f'"s{rng.randrange(10**9)}"'] * 5 + VALUES),
        "event_data": rng.choice(["null", *VALUES]),
        "trigger_id": rng.choice(["null", "3", *VALUES]),
        "batched": rng.choice(["null", "null", "null", *VALUES]),
        "event_id": rng.choice(["null", *VALUES]),
    }
    for name in rng.sample(sorted(fields), rng.choice([0, 0, 1, 3])):
        del fields[name]
    return "{" + ",".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


def request(rng, routes, names, fns):
    """Returns (method, path, body, headers) of a random request to one of Gradio's addresses."""
    path, methods = rng.choice(routes)
    if rng.random() < 0.5:  # more often to where much can go wrong
        path = rng.choice(
            ["/gradio_api/queue/join", "/gradio_api/call/{api_name}", "/gradio_api/upload"]
        )
        methods = ["POST"]
    path = path.replace(
        "{api_name}", rng.choice([*names, *names, *names, "nothing", "%C3%A9", "%ff", "handler"])
    )
    fill = [*VALUES, "0" * 32, "abc", "..%2f..", "%00", "a" * 4000, "1", "https://a.example/x"]
    path = re.sub(r"\{[^}]*\}", lambda _: quote(rng.choice(fill), safe="%")[:6000], path)
    if rng.random() < 0.3:
        path += "?session_hash=" + quote(rng.choice(fill))[:6000]
    method = rng.choice([*methods * 6, "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"])
    kind, headers = rng.choice(TYPES), rng.sample(HEADERS, rng.choice([0, 0, 0, 1, 2]))
    body = rng.choice([arguments(rng, fns)] * 4 + BODIES)
    if "upload" in path:
        kind = rng.choice(["multipart/form-data; boundary=x"] * 3 + TYPES)
        body = rng.choice(
            [form.format(rng.choice(["a.txt", "", "../x", "\0", "é" * 300])) for form in FORMS]
        )
    elif rng.random() < 0.7:
        kind = "application/json"
    headers = [*headers, ("Content-Type", kind)]
    return method, path, body.encode("utf-8", "replace"), headers


def test_w19_whatever_is_asked_the_answer_is_a_status_below_500(serve, tmp_path, routes):
    with serve(tmp_path) as (url, process):
        log = tmp_path / "log"
        netloc = urlsplit(url).netloc
        client = Client(url, verbose=False)
        config = client.config
        fns = [(fn["id"], len(fn["inputs"])) for fn in config["dependencies"]]
        named = [fn for fn in config["dependencies"] if fn["api_visibility"] == "public"]
        # Trainings would go on beside the test.
        names = [fn["api_name"] for fn in named if "train" not in fn["api_name"]]
        rng = random.Random(20)
        before, faults = 0.0, []
        for number in range(REQUESTS):
            if number == REQUESTS // 2:  # what is loaded once has been loaded
                before = memory(process)
            asked = request(rng, routes, names, fns)
            try:
                status, headers, text = ask(netloc, *asked)
            except (http.client.HTTPException, ConnectionError):
                continue  # uvicorn hangs up on what is no HTTP
            if not headers.get("Date"):
                continue  # so does uvicorn's own answer to a broken header
            wordless = status >= 400 and asked[0] != "HEAD" and len(text) < 10
            bare = headers.get("X-Content-Type-Options") != "nosniff"
            if (status >= 500 and status != 503) or wordless or bare:
                faults.append((status, asked, text))
        assert faults == []
        assert memory(process) - before < GROWTH
        assert client.predict(prompt="The ", length=5, seed=1, api_name="/write")
    assert "Traceback" not in log.read_text(), log.read_text()[:5000]
