"""Serves the page: to this computer alone unless asked otherwise, and never to a foreign page."""

from __future__ import annotations

import asyncio
import atexit
import socket
import threading
import time
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.routing import Mount

from chargen.errors import ChargenError
from chargen.web import theme, upload_folder
from chargen.web.calls import Calls
from chargen.web.gate import Gate
from chargen.web.gradio_setup import gr
from chargen.web.page import Page
from chargen.web.uploads import MAX_BYTES

LOCAL = ("localhost", "127.0.0.1", "::1")
PORTS = range(7860, 7960)  # of which the first free one is taken
_SESSIONS = 200  # whose state is kept; each takes a quarter of a megabyte
_START_SECONDS = 30.0


def serve(
    page: Page,
    host: str = LOCAL[1],
    port: int | None = None,
    auth: tuple[str, str] | None = None,
    root_path: str = "",
    open_to_all: bool = False,
    browser: bool = False,
    framed_by: str = "",
) -> str:
    """Serves the page in the background and returns its address.

    `auth` is the user and the password to log in with, `root_path` the address under which a proxy
    shows the page, `framed_by` another site that may show it in a frame. Raises ChargenError for a
    public `host` without `auth`, unless it is `open_to_all`, and for a port that cannot be used.
    """
    local = host in LOCAL
    if not local and auth is None and not open_to_all:
        raise ChargenError(
            f"others can reach this page at {host}",
            "give a user and a password as {auth}, or {open_to_all} to let everybody train and write",
        )
    listening = _listen(host, port)
    upload_folder.open_folder()
    atexit.register(page.job.close)
    calls = Calls(page.blocks)
    app = _app(page, calls, auth, root_path)
    gate = Gate(
        app,
        calls,
        next(route.app for route in app.routes if isinstance(route, Mount)),  # Gradio's own
        LOCAL if local else (),
        root_path,
        framed_by,
    )
    config = uvicorn.Config(
        gate, log_level="warning", proxy_headers=bool(root_path), server_header=False, ws="none"
    )
    _start(uvicorn.Server(config), listening)
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    url = f"http://{name}:{listening.getsockname()[1]}/"
    if browser:
        webbrowser.open(url)
    return url


def _app(page: Page, calls: Calls, auth: tuple[str, str] | None, root_path: str) -> FastAPI:
    """Returns the app that shows the page, without what Gradio offers beyond it."""

    @asynccontextmanager
    async def sweeping(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(calls.sweep_forever())
        yield
        task.cancel()

    page.blocks.state_session_capacity = _SESSIONS
    app = FastAPI(lifespan=sweeping, openapi_url=None)
    gr.mount_gradio_app(
        app,
        page.blocks,
        path="/",
        auth=auth,
        root_path=root_path or None,
        show_error=False,
        max_file_size=MAX_BYTES,
        allowed_paths=[],
        blocked_paths=[str(page.job.checkpoints.absolute())],
        # No settings: they offer to install the page as an app and to record a video of it.
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        theme=theme.theme(),
        css=theme.CSS,
        head=theme.HEAD,
        app_kwargs={
            "openapi_url": None,
            "exception_handlers": {RequestValidationError: _explain},
        },
    )
    return app


async def _explain(_: Request, error: RequestValidationError) -> JSONResponse:
    """Answers a request whose fields are not those of its address, without repeating their values."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))[:100]
    return JSONResponse({"detail": f"{field}: {first['msg'][:200]}"}, 422)


def _listen(host: str, port: int | None) -> socket.socket:
    """Returns a socket that listens; raises ChargenError if `port`, or all of `PORTS`, is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    failure: OSError | None = None
    for candidate in PORTS if port is None else (port,):
        try:
            return socket.create_server((host, candidate), family=family, backlog=256)
        except OSError as error:
            failure = error
    numbers = f"port {port}" if port is not None else f"none of the ports {PORTS[0]} to {PORTS[-1]}"
    raise ChargenError(
        f"{numbers} of {host} can be used ({failure and failure.strerror}); perhaps another program "
        "has it",
        "take another {port}",
    ) from failure


def _start(server: uvicorn.Server, listening: socket.socket) -> None:
    """Runs the server in a thread of its own, and returns once it answers."""
    arguments: dict[str, Any] = {"sockets": [listening]}
    thread = threading.Thread(target=server.run, kwargs=arguments, daemon=True)
    thread.start()
    began = time.monotonic()
    while not server.started:
        if not thread.is_alive() or time.monotonic() - began > _START_SECONDS:
            raise ChargenError("the page did not start", "see the messages above")
        time.sleep(0.01)
