"""Serves the page: to this computer alone unless asked otherwise, and never to a foreign page."""

from __future__ import annotations

import atexit
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from chargen.errors import ChargenError
from chargen.web import theme
from chargen.web.page import Page

LOCAL = ("localhost", "127.0.0.1", "::1")
MAX_REQUEST = 25_000_000  # bytes: a text of 20 MB and what a request adds to it
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Gate:
    """Refuses requests to another host name, from the page of another site, and of excessive size.

    A page elsewhere can make a visitor's browser send requests here, which Gradio would answer. Its
    name gives it away: in the Host header after DNS rebinding, otherwise in Origin.
    """

    def __init__(self, app: Any, hosts: tuple[str, ...], proxy: str = "") -> None:
        self._app = app
        self._hosts = hosts  # empty for any name, where a log-in protects the page
        self._proxy = proxy  # the name of the proxy that visitors see, if any

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answers one request, or passes it on to the page."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        origin = urlsplit(headers["origin"]) if "origin" in headers else None
        refusal = None
        if self._hosts and name not in (*self._hosts, self._proxy):
            refusal = 400, "This page does not answer to this host name."
        elif origin and origin.netloc != host and (not self._proxy or origin.hostname != self._proxy):
            refusal = 403, "This page does not answer to the pages of other sites."
        elif int(headers.get("content-length") or 0) > MAX_REQUEST:
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
    """Serves the page in the background and returns its address.

    `auth` is the user and the password to log in with, `root_path` the address under which a proxy
    shows the page. Raises ChargenError for a public `host` without `auth`, unless it is `open_to_all`,
    and for a port that cannot be used.
    """
    local = host in LOCAL
    if not local and auth is None and not open_to_all:
        raise ChargenError(
            f"others can reach this page at {host}",
            "give a user and a password as {auth}, or {open_to_all} to let everybody train and write",
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
            max_file_size=MAX_REQUEST,
            allowed_paths=[],
            blocked_paths=[str(page.job.checkpoints.absolute())],
            footer_links=["api", "settings"],
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            pwa=False,
            theme=theme.theme(),
            css=theme.CSS,
            head=theme.HEAD,
            app_kwargs={"middleware": [Middleware(Gate, hosts=hosts, proxy=proxy)]},
        )
    except OSError as error:
        raise ChargenError(
            f"port {port} of {host} cannot be used, perhaps because another program has it",
            "take another {port}",
        ) from error
    return str(url)
