"""Serving the page: to this computer alone unless told otherwise, and never to a stranger's page."""

from __future__ import annotations

import atexit
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from chargen.errors import ChargenError
from chargen.web import theme as look
from chargen.web.page import Page

LOCAL = ("localhost", "127.0.0.1", "::1")
LARGEST_REQUEST = 25_000_000  # bytes: a text of 20 MB, and what stands around it
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Gate:
    """Refuses requests under a foreign name, from another site's page, and beyond all size.

    A page elsewhere can make a browser send requests here. Its own name in the Host header
    (DNS rebinding) or in Origin gives it away; Gradio itself answers such requests.
    """

    def __init__(self, app: Any, hosts: tuple[str, ...], proxy: str = "") -> None:
        self._app, self._proxy = app, proxy  # the name of a proxy that stands before the page
        self._hosts = hosts  # none: any, where a log-in guards the page

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """One request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        origin = urlsplit(headers["origin"]) if "origin" in headers else None
        refusal = None
        if self._hosts and name not in (*self._hosts, self._proxy):
            refusal = 400, "This page does not answer to that name."
        elif origin and origin.netloc != host and (not self._proxy or origin.hostname != self._proxy):
            refusal = 403, "This page does not answer to other pages."
        elif int(headers.get("content-length") or 0) > LARGEST_REQUEST:
            refusal = 413, "Too large: at most 20 MB."
        if refusal:
            await PlainTextResponse(refusal[1], refusal[0])(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def serve(
    page: Page,
    host: str = LOCAL[1],
    port: int | None = None,
    auth: tuple[str, str] | None = None,
    root_path: str = "",
    open_to_all: bool = False,
    browser: bool = False,
) -> str:
    """Serves the page in the background; returns its address.

    Raises ChargenError for a public address without a log-in, unless it is `open_to_all`, and for a
    port that is taken.
    """
    local = host in LOCAL
    if not local and auth is None and not open_to_all:
        raise ChargenError(
            f"{host} can be reached by others: give --auth USER:PASSWORD, or --open-to-all if "
            "everybody who can reach it may train and write here"
        )
    atexit.register(page.job.close)
    proxy = urlsplit(root_path).hostname or ""
    hosts = LOCAL if local else ()
    try:
        _, url, _ = page.blocks.launch(
            server_name=host,
            server_port=port,
            auth=auth,
            root_path=root_path or None,
            inbrowser=browser,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            show_error=False,
            max_file_size=LARGEST_REQUEST,
            allowed_paths=[],
            blocked_paths=[str(page.job.checkpoints.absolute())],
            footer_links=["api", "settings"],
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            pwa=False,
            theme=look.theme(),
            css=look.CSS,
            head=look.HEAD,
            app_kwargs={"middleware": [Middleware(Gate, hosts=hosts, proxy=proxy)]},
        )
    except OSError as error:
        raise ChargenError(
            f"port {port} of {host} cannot be used: another program may have it; take another --port"
        ) from error
    return str(url)
