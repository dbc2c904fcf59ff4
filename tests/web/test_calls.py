"""Calls are checked before they are queued, few at once for each, and ended when nobody reads them."""

import asyncio
import json
import shutil
import threading
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from chargen.web import calls
from chargen.web.calls import Calls
from chargen.web.gate import Gate
from chargen.web.gradio_setup import Blocks, api, gr
from chargen.web.upload_folder import FOLDER


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def endless():
    """A page with an endpoint that never ends by itself, and one that ends at once."""
    ended = threading.Event()

    def endless(text: str = "") -> str:
        try:
            while not ended.wait(0.01):
                yield text
        finally:
            ended.set()

    def short(text: str, number: float = 1.0) -> str:
        return text * int(number)

    def named(event: gr.SelectData) -> str:
        return str(event.value)

    def build():
        with Blocks(analytics_enabled=False) as blocks:
            add_handlers()
        return blocks.queue(max_size=None)

    def add_handlers():
        button, field, output = gr.Button(), gr.Number(label="How many"), gr.Textbox()
        gr.State()
        button.click(
            lambda number: str(number), field, output, api_name="private", api_visibility="private"
        )
        output.select(named, None, output, api_name="named", api_visibility="private")
        api(endless, api_name="endless")
        api(short, api_name="short")

    yield build, ended
    ended.set()
    shutil.rmtree(FOLDER, ignore_errors=True)


@asynccontextmanager
async def opened(build, clock):
    """Serves a page without a network; a context of (its calls, a client)."""
    blocks = build()  # here, where a loop runs, since Gradio would begin one and not close it
    checked = Calls(blocks, clock)
    app = gr.mount_gradio_app(FastAPI(), blocks, path="/")
    transport = httpx.ASGITransport(Gate(app, checked), raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost/gradio_api") as client,
    ):
        yield checked, client


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


def test_w15_a_call_that_nobody_reads_is_ended(endless):
    build, ended = endless

    async def check():
        clock = Clock()
        async with opened(build, clock) as (checked, client):
            event = (await client.post("/call/endless", json={"data": [""]})).json()["event_id"]
            await until(lambda: event in checked.queue.event_ids_to_events)
            await asyncio.sleep(0.1)
            await checked.sweep()
            clock.now = calls.UNREAD_SECONDS - 1
            await checked.sweep()
            assert not ended.is_set()
            with checked.reading(event):
                clock.now = 1000.0
                await checked.sweep()
                assert not ended.is_set()
            await checked.sweep()
            clock.now += calls.UNREAD_SECONDS + 1
            await checked.sweep()
            await until(ended.is_set)
            answer = await client.get(f"/call/endless/{event}")
            assert "nobody read this call" in answer.text
            assert (await client.get(f"/call/endless/{event}")).status_code == 404

    asyncio.run(check())


def test_w15_answers_that_nobody_reads_are_forgotten(endless):
    build, _ = endless

    async def check():
        clock = Clock()
        async with opened(build, clock) as (checked, client):
            posted = await client.post("/call/short", json={"data": ["x", 3]})
            event = posted.json()["event_id"]
            await until(lambda: event not in checked.queue.event_ids_to_events)
            await checked.sweep()
            clock.now = calls.UNREAD_SECONDS + 1
            await checked.sweep()
            assert '["xxx"]' in (await client.get(f"/call/short/{event}")).text
            event = (await client.post("/call/short", json={"data": ["x", 3]})).json()["event_id"]
            await until(lambda: event not in checked.queue.event_ids_to_events)
            await checked.sweep()
            clock.now += calls.KEPT_SECONDS + 1
            await checked.sweep()
            assert (await client.get(f"/call/short/{event}")).status_code == 404

    asyncio.run(check())


def test_w15_few_calls_at_once_for_a_session_and_none_is_in_the_way_of_a_short_one(endless):
    build, _ = endless

    async def check():
        async with opened(build, Clock()) as (_, client):

            async def post(name, data, **fields):
                return await client.post(f"/call/{name}", json={"data": data, **fields})

            for _ in range(calls.MAX_AT_ONCE):
                assert (await post("endless", [""], session_hash="one")).status_code == 200
            refused = await post("endless", [""], session_hash="one")
            assert (refused.status_code, refused.json()["detail"]) == (
                429, f"At most {calls.MAX_AT_ONCE} calls at once; wait for an answer.",
            )  # fmt: skip
            statuses = [
                (await post("endless", [""], session_hash=f"s{number}")).status_code
                for number in range(90)
            ]
            assert set(statuses) == {200, 503}
            assert statuses.count(200) <= calls.MAX_WAITING
            posted = await post("short", ["x", 2], session_hash="visitor")
            answer = await client.get(f"/call/short/{posted.json()['event_id']}")
            assert '["xx"]' in answer.text

    asyncio.run(check())


def test_a_call_that_is_made_while_the_stream_ends_is_answered_on_it(endless):
    build, _ = endless

    async def check():
        async with opened(build, Clock()) as (checked, client):

            async def join(number):
                body = {"fn_index": 0, "session_hash": "one", "data": [number]}
                return (await client.post("/queue/join", json=body)).json()["event_id"]

            events = [await join(1)]
            stream = asyncio.create_task(client.get("/queue/data?session_hash=one"))
            await until(lambda: events[0] not in checked.queue.event_ids_to_events)
            await asyncio.sleep(0.1)
            assert not stream.done()
            events.append(await join(2))
            said = [json.loads(line[6:]) for line in (await stream).text.splitlines() if line]
            done = [message["event_id"] for message in said if message["msg"] == "process_completed"]
            assert done == events
            assert [message["msg"] for message in said].count("close_stream") == 1
            assert said[-1]["msg"] == "close_stream"

    asyncio.run(check())


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/call/short", {"data": []}, 422, "This call has 0 arguments; it takes 2 (text, number)."),
        ("/call/short", {"data": [1, 2, 3]}, 422, "3 arguments"),
        ("/call/short", {}, 422, "a list called data"),
        ("/call/short", {"data": "x"}, 422, "a list called data"),
        ("/call/short", {"data": ["", 1], "session_hash": "../x"}, 422, "session_hash"),
        ("/call/short", {"data": ["", 1], "batched": True}, 422, "not batched"),
        ("/call/short", {"data": [{"path": "http://a.example/"}, 1]}, 422, "uploaded here"),
        ("/call/other", {"data": []}, 404, "There is no endpoint 'other'"),
        ("/call/private", {"data": [1]}, 404, "no endpoint"),
        ("/call/v2/short", {}, 422, "The argument text is missing."),
        ("/call/v2/short", {"text": "", "size": 1}, 422, "'size' is no argument"),
        ("/call/v2/other", {}, 404, "There is no endpoint"),
        ("/queue/join", {"fn_index": 0, "data": [1]}, 422, "session_hash"),
        ("/queue/join", {"fn_index": 99, "session_hash": "a", "data": []}, 404, "no handler"),
        ("/queue/join", {"fn_index": "0", "session_hash": "a", "data": [1]}, 404, "no handler"),
        ("/queue/join", {"fn_index": 0, "session_hash": "a", "data": ["x"]}, 422, "must be a number"),
        ("/queue/join", {"fn_index": 0, "session_hash": "a", "data": [True]}, 422, "must be a number"),
        ("/queue/join", {"fn_index": 0, "session_hash": "a", "data": [[1]]}, 422, "How many"),
        ("/queue/join", {"fn_index": 1, "session_hash": "a", "data": []}, 422, "event_data"),
        ("/cancel", {"event_id": 1, "session_hash": "a", "fn_index": 0}, 422, "event_id"),
        ("/cancel", {"event_id": "", "session_hash": "a", "fn_index": None}, 422, "fn_index"),
        ("/reset", {}, 422, "event_id"),
        ("/reset", [], 422, "object"),
    ],
)
def test_w19_what_does_not_fit_is_refused_in_a_sentence_before_it_is_queued(
    endless, path, body, status, sentence
):
    async def check():
        async with opened(endless[0], Clock()) as (checked, client):
            answer = await client.post(path, json=body)
            assert answer.status_code == status
            detail = answer.json()["detail"]
            assert sentence in (detail if isinstance(detail, str) else detail[0]["message"])
            assert not checked.queue.event_ids_to_events

    asyncio.run(check())


def test_w19_arguments_by_name_have_defaults(endless):
    async def check():
        async with opened(endless[0], Clock()) as (_, client):
            posted = await client.post("/call/v2/short", json={"text": "x"})
            answer = await client.get(f"/call/v2/short/{posted.json()['event_id']}")
            assert json.loads(answer.text.rpartition("data: ")[2]) == ["x"]

    asyncio.run(check())
