"""What the tests of the page share: a page that is served, and clients that talk to it."""

import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from chargen import TextGenerator
from chargen.generator import STARTER

MARKUP = "<b>x</b> ${alert(1)} {{value}} <img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def serve():
    """Serves the page of a folder as `chargen app` does: a context of (address, process)."""

    def keep_log(stream, path):
        with path.open("a") as log:
            for line in stream:
                log.write(line)
                log.flush()

    @contextmanager
    def serve(home, *options, ended=143):
        environment = os.environ | {
            "CHARGEN_CACHE": str(home / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "chargen", "app", *options]
        with subprocess.Popen(
            command, cwd=home, env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            address = next(m for line in process.stderr if (m := re.search(r"http://[\w.:]+", line)))
            threading.Thread(target=keep_log, args=(process.stderr, home / "log"), daemon=True).start()
            try:
                yield address[0], process
            finally:  # a test that fails must not leave a server for which Popen would wait
                process.terminate()
            assert process.wait(30) == ended

    return serve


@pytest.fixture(scope="session")
def server(serve, tmp_path_factory):
    """A page that begins in an empty folder, the same for all tests: (address, folder)."""
    home = tmp_path_factory.mktemp("web")
    with serve(home) as (address, _):
        yield address, home


@pytest.fixture(scope="session")
def client(server):
    return Client(server[0], verbose=False)


@pytest.fixture(scope="session")
def writer():
    return TextGenerator.load(STARTER)


@pytest.fixture(scope="session")
def refused():
    """Returns what the page says where it refuses a call."""

    def refused(client, *arguments, **named):
        with pytest.raises(AppError) as caught:
            client.predict(*arguments, **named)
        return str(caught.value)

    return refused


@pytest.fixture(scope="session")
def wait():
    """Returns the status of the training once its state is one of these."""

    def wait(client, *states, limit=90):
        began = time.monotonic()
        while True:
            status = client.predict(api_name="/training")
            if status["state"] in states:
                return status
            assert time.monotonic() - began < limit, status
            time.sleep(0.2)

    return wait


@pytest.fixture(scope="session")
def names():
    """A list of 2,000 names in few letters, one a line."""
    rng = random.Random(1)
    syllables = ["an", "be", "ka", "mi", "lo", "ru", "sa", "to", "el", "jo"]
    return "".join("".join(rng.choices(syllables, k=rng.randint(2, 4))) + "\n" for _ in range(2000))


@pytest.fixture(scope="session")
def home(tmp_path_factory, names):
    """The folder of the page that the browser visits, with a few models in it."""
    home = tmp_path_factory.mktemp("page")
    for name, text, split_on in (("markup", MARKUP * 20, None), ("names", names, "line")):
        generator = TextGenerator.new(text, hidden_size=16, split_on=split_on)
        for _ in generator.train(text, steps=60, batch=4, window=16):
            pass
        generator.save(home / "checkpoints" / name)
    # A text of the starter model is there in a blink: to stop one, something slower is needed.
    TextGenerator.new(MARKUP, hidden_size=768).save(home / "checkpoints" / "slow")
    return home


@pytest.fixture(scope="session")
def address(serve, home):
    """The page as `chargen app` serves it, the same for all tests in a browser."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serve(home, "--port", str(port)) as (address, _):
        yield address
    log = (home / "log").read_text()
    assert "Traceback" not in log, log


@pytest.fixture(scope="session")
def pictures():
    folder = Path(__file__).parent / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def visit(browser, address):
    """Opens the page; at the end, nothing may have gone wrong in it or have been asked of others."""
    from playwright.sync_api import expect

    faults, contexts, under_way = [], [], {}

    def visit(width=1280, height=860, model="starter", url=address, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda r: (
                None
                if r.url.startswith((url, "data:", "blob:"))
                else faults.append(f"asked elsewhere: {r.url}")
            ),
        )
        requests = under_way[page] = set()
        page.on("request", lambda r: requests.add(r))
        page.on("requestfinished", lambda r: requests.discard(r))
        page.on("requestfailed", lambda r: requests.discard(r))
        page.goto(url)
        expect(page.locator("#write")).to_be_visible(timeout=15_000)
        expect(page.locator("#bars button").first).to_be_visible(timeout=15_000)
        page.locator("#model input").click()
        page.get_by_role("option", name=model, exact=True).click()
        expect(page.locator("#model input")).to_have_value(model)
        return page

    def idle(page):
        """Waits until no request has been under way for 0.2 seconds: the page is as it will stay."""
        tenths = 0
        while tenths < 2:
            page.wait_for_timeout(100)
            tenths = 0 if any("heartbeat" not in r.url for r in under_way[page]) else tenths + 1

    def reload(page):
        """Reloads while no request is under way: Gradio would abort it and log that as an error."""
        idle(page)
        page.reload()

    visit.idle, visit.reload, visit.faults = idle, reload, faults
    yield visit
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture(scope="session")
def picture(pictures):
    """Takes a picture of a page under a name."""

    def picture(page, name, full_page=True):
        page.wait_for_timeout(300)  # for what still moves
        page.screenshot(path=pictures / f"{name}.png", full_page=full_page)

    return picture


@pytest.fixture(scope="session")
def tab():
    """Opens a tab of a page, on a narrow screen from the menu of those that find no room."""

    def tab(page, name):
        button = page.get_by_role("tab", name=name, exact=True)
        if button.is_visible():
            button.click()
        else:
            page.locator(".overflow-menu > button").first.click()
            page.locator(".overflow-dropdown button", has_text=name).click()

    return tab


@pytest.fixture(scope="session")
def look_inside(tab):
    """Opens a part of the tab to look inside, with a model and its example."""
    from playwright.sync_api import expect

    def look_inside(page, part, model="starter", example="^The function returns a"):
        tab(page, "Look inside")
        page.locator("#inside-model input").click()
        page.get_by_role("option", name=model, exact=True).click()
        # Its example comes in place of that of the model before.
        expect(page.locator("#inside-text textarea")).to_have_value(re.compile(example))
        tab(page, part)

    return look_inside


@pytest.fixture(scope="session")
def written():
    """Returns the text of the first sheet."""
    return lambda page: page.locator("#written .sheet").first.text_content()


@pytest.fixture(scope="session")
def seconds_until():
    """Waits until a condition holds; returns how long that took."""

    def seconds_until(condition, limit=30.0):
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < limit
            time.sleep(0.005)
        return time.monotonic() - began

    return seconds_until
