"""The page as programs see it: endpoints, and rows 71, 75 and 76 of the table of faults."""

import itertools
import threading
import time

import pytest
from gradio_client import Client

from chargen import Sampler, Text

pytestmark = pytest.mark.slow


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


def test_what_is_asked_of_the_inside_is_checked(client, refused):
    for endpoint in ("/surprise", "/components"):
        assert "at most 10,000" in refused(client, text="a" * 10_001, api_name=endpoint)
        assert "no model" in refused(client, text="a", model="../x", api_name=endpoint)
        assert "none of these" in refused(client, text="日本", api_name=endpoint)
    assert "too few" in refused(client, text="ab", api_name="/components")
    assert "at most 200,000" in refused(client, text="a" * 200_001, api_name="/copies")
    assert "from 1 to" in refused(client, text="a", least=0, api_name="/copies")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": "a" * 10_000_000}, "at most 20,000"),
        ({"length": 1_000_000_000}, "from 0 to 20,000"),
        ({"length": 1.5}, "whole number"),
        ({"length": 2**70}, "from 0 to 20,000"),
        ({"top_k": -5}, "top_k must be a whole number from 0 to"),
        ({"min_p": 2}, "min_p must be a number from 0 to 1"),
        ({"length": -1}, "from 0 to 20,000; it is -1"),
        ({"length": "many"}, "whole number"),
        ({"length": None}, "whole number"),
        ({"temperature": -1}, "temperature must be a number, at least 0"),
        ({"temperature": "NaN"}, "must be a number"),
        ({"top_p": 7}, "top_p must be a number from 0 to 1"),
        ({"top_p": 0}, "top-p must be above 0"),
        ({"seed": -3}, "seed must be"),
        ({"seed": 2**60}, "seed must be"),
        ({"prompt": ["x"]}, "must be a text"),
        ({"prompt": "日本"}, "U+65E5"),
        ({"model": "../../etc"}, "no model"),
        ({"model": "/etc/passwd"}, "no model"),
        ({"model": {}}, "must be a text"),
    ],
)
def test_row_71_what_is_too_much_is_refused_and_the_page_goes_on(client, refused, arguments, message):
    began = time.monotonic()
    assert message in refused(client, api_name="/write", **arguments)
    assert time.monotonic() - began < 5
    assert client.predict(length=5, api_name="/write")


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
