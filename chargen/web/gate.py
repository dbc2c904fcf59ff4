"""The gate in front of Gradio: it answers whoever may ask, for what the page and its programs ask."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.formparsers import MultiPartException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response

from chargen.web.calls import BODY_SIZE, Calls, Refusal, checked_session
from chargen.web.log import report
from chargen.web.login import LoginAttempts
from chargen.web.upload_folder import make_room
from chargen.web.uploads import MAX_BYTES, MEGABYTE

MAX_REQUEST = 25 * MEGABYTE  # bytes: a text of 20 MB and what a request adds to it
_MAX_FORM = 10_000  # bytes of a user's name and password
_FILE_TOO_LARGE = f"Too large: {MAX_BYTES // MEGABYTE} MB is the maximum allowed size of a file."
_MULTIPART = 2**16  # bytes that a form adds to its file
_BODY_SECONDS = 300.0  # in which the body of a request has to arrive
_CLOSING_SECONDS = 0.1  # until the page has taken notice that its stream has ended
_READ_SECONDS = 30.0  # after which a client is given up that takes nothing of what is sent
_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_ORIGIN = re.compile(rf"null|[A-Za-z][A-Za-z0-9+.-]*://({_HOST.pattern})?")
# What others say that a proxy has said. Without a proxy, whoever sends it chooses what others see.
_PROXY_HEADERS = (b"forwarded", b"x-gradio-server", b"x-original-host")
# What the page and `gradio_client` ask for; nothing else of Gradio is served.
_PUBLIC = re.compile(
    r"/|/(assets|static|svelte)/.+|(/gradio_api)?/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json"
)
_PRIVATE = re.compile(
    r"/config/?|/logout|/gradio_api/((info|user|login_check)/?|app_id/?|openapi\.json"
    r"|queue/(data|status)|heartbeat/(?P<heartbeat>[^/]+)|upload_progress|file=(?P<file>.+)"
    r"|call/(?P<version>v2/)?(?P<name>[^/]+)/(?P<event>[^/]+))"
)
_POSTED = re.compile(
    r"/login/?|/gradio_api/(?P<action>upload|cancel|reset|queue/join"
    r"|call/(?P<version>v2/)?(?P<name>[^/]+))/?"
)


class Gate:
    """Refuses requests that the page does not need, each with a status and a sentence.

    A page elsewhere can make a visitor's browser send requests here, which Gradio would answer. Its
    name gives it away: in the Host header after DNS rebinding, otherwise in Origin.
    """

    def __init__(
        self,
        app: Any,
        calls: Calls,
        gradio: Any = None,
        hosts: tuple[str, ...] = (),
        root_path: str = "",
        framed_by: str = "",
    ) -> None:
        self._app = app
        self._calls = calls
        self._gradio = gradio  # Gradio's own app, which knows who has logged in
        self._hosts = hosts  # empty for any name, where a log-in protects the page
        self._root_path = root_path.rstrip("/")  # under which a proxy shows the page, if any does
        self._proxy = urlsplit(root_path).hostname or ""
        self._logins = LoginAttempts()
        self._headers = [
            (b"content-security-policy", f"frame-ancestors 'self' {framed_by}".rstrip().encode()),
            (b"x-content-type-options", b"nosniff"),
        ]

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answers one request, or passes it on to the page."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            await self._answer(scope, receive, _Answer(send, self._headers))
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: _Scope, receive: _Receive, answer: _Answer) -> None:
        refusal: Refusal | None = None
        try:
            self._check_names(scope)
            await self._route(scope, receive, answer)
        except Refusal as error:
            refusal = error
        except Exception as error:
            # Gradio runs handlers in its queue, so what arrives here is about the request itself.
            report(f"{scope['method']} {scope['path']}", error)
            answer.failed = not answer.started
        if refusal is None and answer.failed:
            refusal = Refusal(400, "This request cannot be understood.")
        if answer.started:
            await answer.finish()
        elif refusal is not None:
            await _response(scope, refusal)(scope, receive, answer)

    def _check_names(self, scope: _Scope) -> None:
        """Checks for whom the request is and from where it comes."""
        if not self._root_path:
            scope["headers"] = [
                (name, value)
                for name, value in scope["headers"]
                if name not in _PROXY_HEADERS and not name.startswith(b"x-forwarded-")
            ]
        values: dict[bytes, list[str]] = {b"host": [], b"origin": []}
        for name, value in scope["headers"]:
            if name in values:
                values[name].append(value.decode("latin-1"))
        hosts, origins = values[b"host"], values[b"origin"]
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            raise Refusal(400, "This page does not answer without the name of a host.")
        host = hosts[0].lower()
        name = urlsplit(f"//{host}").hostname or ""
        if self._hosts and name not in (*self._hosts, self._proxy):
            raise Refusal(400, "This page does not answer to this host name.")
        if len(origins) > 1 or not all(_ORIGIN.fullmatch(origin) for origin in origins):
            raise Refusal(400, "This page does not answer to an origin without a valid name.")
        for origin in origins:
            netloc = origin.lower().partition("://")[2]
            own = netloc == host or (self._proxy and urlsplit(f"//{netloc}").hostname == self._proxy)
            if not own:
                raise Refusal(403, "This page does not answer to the pages of other sites.")

    async def _route(self, scope: _Scope, receive: _Receive, answer: _Answer) -> None:
        """Passes the request on if it is one that the page serves."""
        path, method = scope["path"], scope["method"]
        if path.startswith(f"{self._root_path}/"):  # a proxy may pass it on or not
            path = path[len(self._root_path) :]
        posted = _POSTED.fullmatch(path)
        asked = _PRIVATE.fullmatch(path)
        if not (posted or asked or _PUBLIC.fullmatch(path)):
            raise Refusal(404, "There is nothing at this address.")
        if method not in (("POST",) if posted else ("GET", "HEAD")):
            raise Refusal(405, f"This address answers to {'POST' if posted else 'GET'} alone.")
        login = path.startswith("/login")
        if (asked or posted) and not login and not self._logged_in(scope):
            raise Refusal(401, "Log in first.")
        _check_length(scope)
        if login:
            await self._log_in(scope, receive, answer)
        elif posted and posted["action"] == "upload":
            await self._upload(scope, receive, answer)
        elif posted:
            await self._call(scope, receive, answer, posted)
        else:
            await self._get(scope, receive, answer, asked)

    def _logged_in(self, scope: _Scope) -> bool:
        """Returns whether a request comes with the cookie of a login, where there is one."""
        if self._gradio is None or self._gradio.auth is None:
            return True
        cookies = HTTPConnection(scope).cookies
        names = (f"access-token-{kind}{self._gradio.cookie_id}" for kind in ("", "unsecure-"))
        return any(cookies.get(name) in self._gradio.tokens for name in names)

    async def _log_in(self, scope: _Scope, receive: _Receive, answer: _Answer) -> None:
        body = await _read(receive, _MAX_FORM)
        if body is None:
            return
        address = (scope.get("client") or ("",))[0]
        wait = self._logins.begin(address)
        if wait:
            raise Refusal(429, f"Too many wrong passwords; try again in {wait} seconds.", "", wait)
        await self._app(scope, _replay(body, receive, answer), answer)
        if answer.status < 400:
            self._logins.succeed(address)

    async def _upload(self, scope: _Scope, receive: _Receive, answer: _Answer) -> None:
        """Passes an upload on, and counts its bytes as they come."""
        limit, size = MAX_BYTES + _MULTIPART, 0

        async def counted() -> _Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            # Gradio removes what it has of a file for this exception alone, and looks for these words.
            if size > limit:
                raise MultiPartException(_FILE_TOO_LARGE)
            if message["type"] == "http.disconnect":
                raise MultiPartException("The upload was broken off.")
            return message

        if _length(scope) > limit:
            raise Refusal(413, _FILE_TOO_LARGE)
        await asyncio.to_thread(make_room, _length(scope) or limit)
        await self._app(scope, counted, answer)

    async def _call(
        self, scope: _Scope, receive: _Receive, answer: _Answer, posted: re.Match[str]
    ) -> None:
        """Passes a call on once its arguments have been checked."""
        raw = await _read(receive, MAX_REQUEST)
        if raw is None:
            return
        try:
            body = orjson.loads(raw)
        except ValueError as error:
            raise Refusal(400, "The body of this request must be JSON, in UTF-8.") from error
        if not isinstance(body, dict):
            raise Refusal(422, "The body of this request must be an object in JSON.")
        if posted["action"] in ("cancel", "reset"):
            _check_text(body, "event_id")
            if posted["action"] == "cancel":
                _check_text(body, "session_hash")
                if type(body.get("fn_index")) is not int:
                    raise Refusal(422, "This request needs a fn_index, a whole number.", "fn_index")
        else:
            address = (scope.get("client") or ("",))[0]
            name, version = posted["name"] or "", posted["version"] or ""
            self._calls.admit(name, version, body, len(raw), address)
        scope[BODY_SIZE] = len(raw)
        session = str(body.get("session_hash"))
        del body

        async def after_stream(message: _Message) -> None:
            if message["type"] == "http.response.start":
                await self._calls.closed(session)
            await answer(message)

        await self._app(scope, _replay(raw, receive, answer), after_stream)

    async def _get(
        self, scope: _Scope, receive: _Receive, answer: _Answer, asked: re.Match[str] | None
    ) -> None:
        async def alive() -> _Message:
            return {"type": "http.disconnect"} if answer.given_up else await receive()

        if asked and asked["file"] and re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", asked["file"]):
            raise Refusal(403, "This page fetches no file from elsewhere.")
        if asked and asked["heartbeat"]:
            checked_session(asked["heartbeat"])
        session = ""
        if asked and asked["event"]:
            session = self._calls.session_of(asked["event"])
        elif asked and scope["path"].endswith("/queue/data"):
            session = checked_session(HTTPConnection(scope).query_params.get("session_hash"))
        if not session:
            await self._app(scope, alive, answer)
            return

        # Uncompressed, since what is said has to be seen.
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        with self._calls.reading(session):
            await self._stream(scope, alive, answer, session)

    async def _stream(self, scope: _Scope, alive: _Receive, answer: _Answer, session: str) -> None:
        """Streams the answers to a session, and goes on for a moment when all its calls have ended.

        Gradio ends the stream with the last call. A call that is made meanwhile would wait for its
        answers on a stream that the page believes to be open.
        """
        ending: list[_Message] = []  # that the stream ends

        async def forward(message: _Message) -> None:
            if ending or b'"close_stream"' in message.get("body", b""):
                ending.append(message)
            elif message["type"] != "http.response.start" or not answer.started:
                await answer(message)

        while True:
            await self._app(dict(scope), alive, forward)
            if not ending:
                return
            if not await self._calls.resumed(session):
                break
            ending.clear()
        with self._calls.closing(session):
            for message in ending:
                await answer(message)
            await asyncio.sleep(_CLOSING_SECONDS)


class _Answer:
    """Sends an answer with the headers of the gate, but none that says only that Gradio failed."""

    def __init__(self, send: _Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send, self._headers = send, headers
        self.status = 500  # until the answer has one
        self.started = False
        self.failed = False
        self.given_up = False  # because the client takes nothing
        self._finished = False

    async def __call__(self, message: _Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.failed = self.status == 500
            if not self.failed:
                self.started = True
                own = {name for name, _ in self._headers}
                others = [pair for pair in message.get("headers", []) if pair[0].lower() not in own]
                message = {**message, "headers": [*others, *self._headers]}
        if self.failed or self.given_up:
            return
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._finished = True
        try:
            async with asyncio.timeout(_READ_SECONDS):
                await self._send(message)
        except TimeoutError:
            self.given_up = True

    async def finish(self) -> None:
        """Ends an answer that Gradio broke off."""
        if not self._finished:
            await self({"type": "http.response.body", "body": b""})


async def _read(receive: _Receive, limit: int) -> bytes | None:
    """Returns the body of a request, or None if the client left; raises Refusal for too many bytes."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > limit:
                    raise Refusal(413, _too_large(limit))
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError as error:
        raise Refusal(408, f"The request took longer than {_BODY_SECONDS:g} seconds.") from error


def _replay(body: bytes, receive: _Receive, answer: _Answer) -> _Receive:
    """Returns a `receive` that gives the body that was read, once."""
    rest = [body]

    async def replay() -> _Message:
        if rest:
            return {"type": "http.request", "body": rest.pop(), "more_body": False}
        return {"type": "http.disconnect"} if answer.given_up else await receive()

    return replay


def _length(scope: _Scope) -> int:
    """Returns the number of bytes that a request says it has, or 0."""
    value = next((v for name, v in scope["headers"] if name == b"content-length"), b"")
    return int(value) if re.fullmatch(rb"[0-9]{1,18}", value) else 0


def _check_length(scope: _Scope) -> None:
    if _length(scope) > MAX_REQUEST:
        raise Refusal(413, _too_large(MAX_REQUEST))


def _too_large(limit: int) -> str:
    size = f"{limit // MEGABYTE} MB" if limit >= MEGABYTE else f"{limit:,} bytes"
    return f"Too large: at most {size} are read here."


def _check_text(body: dict[str, Any], name: str) -> None:
    if not isinstance(body.get(name), str) or len(body[name]) > 64:
        raise Refusal(422, f"This request needs {name}, a text of at most 64 characters.", name)


def _response(scope: _Scope, refusal: Refusal) -> Response:
    """Returns the answer to a refused request, as Gradio's clients expect it."""
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else None
    if scope["method"] != "POST" and refusal.status != 401:
        return PlainTextResponse(refusal.sentence, refusal.status, headers)
    detail: Any = refusal.sentence
    if refusal.status == 401:
        detail = {"error": refusal.sentence, "auth_message": None}
    elif refusal.status == 422:
        detail = [
            {
                "__type__": "validate",
                "is_valid": False,
                "parameter_name": refusal.parameter,
                "message": refusal.sentence,
            }
        ]
    return JSONResponse({"detail": detail}, refusal.status, headers)
