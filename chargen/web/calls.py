"""Calls of handlers: checked before Gradio queues them, and ended when nobody reads their answers."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
import typing
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chargen.web.gradio_setup import Api, ProcessCompletedMessage, gr
from chargen.web.upload_folder import FOLDER

MAX_AT_ONCE = 12  # calls of one handler by one session, or by one address without a session
MAX_OF_SESSION = 32  # calls of all handlers; the page makes about 15 when it is opened
MAX_WAITING = 32  # calls of one handler
MAX_HELD = 200_000_000  # bytes of all calls that wait or run
UNREAD_SECONDS = 10.0  # after which a call is ended whose answers nobody reads
KEPT_SECONDS = 60.0  # for which answers wait that nobody reads
LINGER_SECONDS = 0.3  # for which a stream stays open when all calls of its session have ended
_POLL_SECONDS = 0.02
MAX_UNREAD = 100  # calls whose answers nobody reads; those that wait longest are forgotten
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
BODY_SIZE = "chargen.body_size"  # where the scope of a request has the number of its bytes
_EVENT = re.compile(r"[0-9a-f]{32}")
_SHOWN = 60  # characters of what a caller sent
# What a component accepts, by the type in Gradio's description of it.
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "array": (list,),
}
_NAMES = {
    "string": "text",
    "number": "number",
    "integer": "number",
    "boolean": "truth value",
    "array": "list",
}


class Refusal(Exception):
    """An answer to a request that the page does not serve: an HTTP status and a sentence."""

    def __init__(self, status: int, sentence: str, parameter: str = "", retry_after: int = 0) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.parameter = parameter  # which one the sentence is about, if any
        self.retry_after = retry_after  # seconds


class Calls:
    """The calls that Gradio's queue of a page holds; `timer` returns seconds."""

    def __init__(self, blocks: gr.Blocks, timer: Callable[[], float] = time.monotonic) -> None:
        self._blocks = blocks
        self._timer = timer
        self._readers: Counter[str] = Counter()  # open streams by session
        self._closing: dict[str, asyncio.Event] = {}  # by session, set once its stream has ended
        self._unread: dict[str, float] = {}  # since when, by call

    @property
    def queue(self) -> Any:
        """Gradio's queue, to which it has no public way."""
        return self._blocks._queue

    def admit(self, name: str, version: str, body: dict[str, Any], size: int, address: str) -> None:
        """Raises Refusal for a call that cannot be made, or not now.

        `name` is that of an endpoint, or empty where the body has the number of a handler; in
        `version` "v2" the body holds the arguments by their names.
        """
        handler = self._endpoint(name) if name else self._handler(body.get("fn_index"))
        session = None if version else body.get("session_hash")
        if session is None and not name:
            raise Refusal(422, "This call needs a session_hash.", "session_hash")
        if session is not None:
            checked_session(session)
        if version:
            _check_names(handler, body)
        else:
            _check_data(handler, body.get("data"))
            _check_event(handler, body)
        self._check_load(handler, session, size, address)

    def session_of(self, event: str) -> str:
        """Returns the session that reads the answers to a call; raises Refusal for an unknown call."""
        queued = self.queue.event_ids_to_events.get(event)
        if queued is not None:
            return str(queued.session_hash)
        for session, events in self.queue.pending_event_ids_session.items():
            if event in events:
                return str(session)
        raise Refusal(404, f"There is no call {_shown(event)}, or its answers were read already.")

    @contextmanager
    def reading(self, session: str) -> Iterator[None]:
        """Marks a session as read while its stream is open."""
        self._readers[session] += 1
        try:
            yield
        finally:
            self._readers[session] -= 1
            if not self._readers[session]:
                del self._readers[session]

    async def resumed(self, session: str) -> bool:
        """Returns whether a session makes another call within `LINGER_SECONDS`."""
        for _ in range(round(LINGER_SECONDS / _POLL_SECONDS)):
            if self.queue.pending_event_ids_session.get(session):
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return bool(self.queue.pending_event_ids_session.get(session))

    @contextmanager
    def closing(self, session: str) -> Iterator[None]:
        """Marks the stream of a session as one that ends."""
        event = self._closing[session] = asyncio.Event()
        try:
            yield
        finally:
            event.set()
            if self._closing.get(session) is event:
                del self._closing[session]

    async def closed(self, session: str) -> None:
        """Returns once no stream of a session is ending, so that the page opens another one."""
        if session in self._closing:
            await self._closing[session].wait()

    async def sweep_forever(self) -> None:
        """Ends, about once a second, the calls whose answers nobody reads."""
        while True:
            await asyncio.sleep(1)
            await self.sweep()

    async def sweep(self) -> None:
        """Ends calls that nobody has read for `UNREAD_SECONDS`; forgets them after `KEPT_SECONDS`."""
        queue, now = self.queue, self._timer()
        unread = {
            event: session
            for session, events in queue.pending_event_ids_session.items()
            if session not in self._readers
            for event in events
        }
        self._unread = {event: self._unread.get(event, now) for event in unread}
        longest_first = sorted(self._unread.items(), key=lambda item: item[1])
        for number, (event, since) in enumerate(longest_first, 1):
            forgotten = now - since > KEPT_SECONDS or number <= len(longest_first) - MAX_UNREAD
            if forgotten or now - since > UNREAD_SECONDS:
                await self._end(event)
            if forgotten:
                self._forget(event, unread[event])
        self._forget_sessions()

    async def _end(self, event: str) -> None:
        """Ends a call if it waits or runs; whoever reads it later finds a sentence."""
        queue = self.queue
        call = queue.event_ids_to_events.get(event)
        if call is None or not call.alive:
            return
        messages = queue.pending_messages_per_session.get(call.session_hash)
        if messages is not None:
            said = {"error": f"nobody read this call for {UNREAD_SECONDS:g} seconds; it was ended"}
            messages.put_nowait(ProcessCompletedMessage(output=said, success=False, event_id=event))
        await queue.clean_events(event_id=event)
        call.alive = False  # also where it was still waiting

    def _forget(self, event: str, session: str) -> None:
        """Drops a call whose answers nobody has read, and with the last one those of its session."""
        events = self.queue.pending_event_ids_session.get(session, set())
        events.discard(event)
        if not events:
            self.queue.pending_event_ids_session.pop(session, None)
            self.queue.pending_messages_per_session.pop(session, None)

    def _forget_sessions(self) -> None:
        """Drops what Gradio keeps for a call without a session, whose id stands for one."""
        holder = self._blocks.state_holder
        for session in [s for s in holder.session_data if _EVENT.fullmatch(s)]:
            if session not in self.queue.event_ids_to_events:
                holder.session_data.pop(session, None)
                holder.time_last_used.pop(session, None)

    def _endpoint(self, name: str) -> Any:
        for handler in self._blocks.fns.values():
            if handler.api_name == name and handler.api_visibility != "private":
                return handler
        raise Refusal(404, f"There is no endpoint {_shown(name)}; /gradio_api/info lists them.")

    def _handler(self, number: Any) -> Any:
        handler = self._blocks.fns.get(number) if type(number) is int else None
        if handler is None or handler.fn is None:
            raise Refusal(404, f"There is no handler with the fn_index {_shown(number)}.")
        return handler

    def _check_load(self, handler: Any, session: str | None, size: int, address: str) -> None:
        """Raises Refusal if this caller, this handler or the server has as many calls as it may."""
        events = [event for event in self.queue.event_ids_to_events.values() if event.alive]
        if session is None:
            own = [e for e in events if e.session_hash == e._id and e.request.client.host == address]
        else:
            own = [event for event in events if event.session_hash == session]
        same = [event for event in own if event.concurrency_id == handler.concurrency_id]
        for count, limit in ((len(same), MAX_AT_ONCE), (len(own), MAX_OF_SESSION)):
            if count >= limit:
                raise Refusal(429, f"At most {limit} calls at once; wait for an answer.", "", 1)
        waiting = self.queue.event_queue_per_concurrency_id.get(handler.concurrency_id)
        if waiting is not None and len(waiting.queue) >= MAX_WAITING:
            raise Refusal(503, "Too many calls of this kind are waiting; try again soon.", "", 5)
        held = sum(event.request.scope.get(BODY_SIZE, 0) for event in events)
        if held + size > MAX_HELD:
            raise Refusal(503, "Too many large calls are waiting; try again soon.", "", 5)


def checked_session(session: Any) -> str:
    """Returns the name of a session; raises Refusal for one that neither page nor client makes."""
    if not isinstance(session, str) or not SESSION.fullmatch(session):
        sentence = "A session_hash has up to 64 letters, digits, hyphens and underscores."
        raise Refusal(422, sentence, "session_hash")
    return session


def _check_data(handler: Any, data: Any) -> None:
    """Raises Refusal unless `data` lists what the components of a handler accept."""
    if not isinstance(data, list):
        raise Refusal(422, "This call needs its arguments as a list called data.", "data")
    names = _names(handler)
    if len(data) != len(names):
        takes = f"{len(names)} ({', '.join(names)})" if names else "none"
        sentence = f"This call has {len(data):,} arguments; it takes {takes}."
        raise Refusal(422, sentence, names[len(data)] if len(data) < len(names) else "data")
    for value, component, name in zip(data, handler.inputs, names, strict=True):
        _check_files(value, component, name)
        if not isinstance(component, Api | gr.State):  # endpoints check types themselves
            _check_type(value, component, name, handler.preprocess)


def _check_names(handler: Any, body: dict[str, Any]) -> None:
    """Raises Refusal unless `body` has the arguments of an endpoint by their names."""
    parameters = inspect.signature(handler.fn).parameters
    for name in body.keys() - parameters.keys() - {"oauth_token"}:
        takes = ", ".join(parameters) or "nothing"
        sentence = f"{_shown(name)} is no argument of this call; it takes {takes}."
        raise Refusal(422, sentence, name[:_SHOWN])
    for name, parameter in parameters.items():
        if name not in body and parameter.default is parameter.empty:
            raise Refusal(422, f"The argument {name} is missing.", name)
    for name, value in body.items():
        _check_files(value, None, name)


def _check_type(value: Any, component: Any, name: str, strict: bool) -> None:
    """Raises Refusal for a value of another type than that of its component.

    A handler that converts its arguments itself (not `strict`) takes any text or number, and so does a
    menu, whose choices may be either.
    """
    kind = component.api_info().get("type")
    loose = not strict or isinstance(component, gr.Dropdown | gr.Radio)
    if value is None or kind not in _TYPES or (loose and isinstance(value, str | int | float)):
        return
    accepted = _TYPES[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
        raise Refusal(422, f"{name} must be a {_NAMES[kind]}; it is {_shown(value)}.", name)
    if isinstance(value, list) and not all(isinstance(item, str | int | float) for item in value):
        raise Refusal(422, f"{name} must be a list of texts or numbers.", name)


def _check_files(value: Any, component: Any, name: str) -> None:
    """Raises Refusal for a file elsewhere than among the uploads, which Gradio would fetch."""
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            path = item.get("path")
            uploaded = (
                isinstance(component, gr.File)
                and isinstance(path, str)
                and "\0" not in path
                and Path(path).resolve().is_relative_to(FOLDER.resolve())
            )
            if "path" in item and not uploaded:
                raise Refusal(
                    422, f"{name} must be a file that was uploaded here; choose it again.", name
                )
            rest += item.values()
        elif isinstance(item, list):
            rest += item
    if isinstance(component, gr.File) and not isinstance(value, dict | list | None):
        raise Refusal(422, f"{name} must be a file that was uploaded here; choose it again.", name)


def _check_event(handler: Any, body: dict[str, Any]) -> None:
    """Raises Refusal unless the call has what the page sends with it."""
    if body.get("batched"):
        raise Refusal(422, "Calls are not batched here.", "batched")
    if not handler.collects_event_data:
        return
    if not isinstance(body.get("event_data"), dict):
        raise Refusal(422, "This call needs its event_data, an object.", "event_data")
    for hint in typing.get_type_hints(inspect.unwrap(handler.fn)).values():
        if inspect.isclass(hint) and issubclass(hint, gr.EventData):
            try:
                hint(None, body.get("event_data"))
            except Exception as error:
                raise Refusal(422, "This event_data is not complete.", "event_data") from error


def _names(handler: Any) -> list[str]:
    """Returns the names of a handler's arguments: its parameters', or else its components' labels."""
    if handler.api_visibility != "private":
        return list(inspect.signature(handler.fn).parameters)
    return [str(getattr(c, "label", None) or type(c).__name__.lower()) for c in handler.inputs]


def _shown(value: Any) -> str:
    """Returns what a caller sent, cut to a few words."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
