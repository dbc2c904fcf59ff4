"""What the tests of the page share: a page that is served, and clients that talk to it."""

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from chargen import TextGenerator
from chargen.generator import STARTER


@pytest.fixture(scope="session")
def serve():
    """Serves the page of a folder as `chargen app` does: a context of (address, process)."""

    @contextmanager
    def serve(home, *options, ended=143):
        environment = os.environ | {
            "CHARGEN_CACHE": str(home / "cache"),
            "OMP_NUM_THREADS": "1",
            "GRADIO_TEMP_DIR": str(home / "uploads"),
        }
        command = [sys.executable, "-m", "chargen", "app", *options]
        with subprocess.Popen(
            command, cwd=home, env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            address = next(m for line in process.stderr if (m := re.search(r"http://[\w.:]+", line)))
            threading.Thread(target=process.stderr.read, daemon=True).start()
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
    with serve(home, "--port", "7862") as (address, _):
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
