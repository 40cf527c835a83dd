"""Server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from squadlite.server.replies import encode_json

# Proxies and phones close connections that are silent for longer.
KEEP_ALIVE_SECONDS = 15.0


class Event(NamedTuple):
    """An event: its name, and what it says as JSON."""

    name: str
    data: object


class Feed:
    """
    Events on their way from a thread to the event loop in which the feed was made.

    Attributes:
        is_closed: whether nobody listens any more.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    def put(self, event: Event | None) -> None:
        """Send an event, or None behind the last one; from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the loop is gone, and whoever listened with it
            self.is_closed = True

    def close(self) -> None:
        """Want no more events."""
        self.is_closed = True

    async def events(self) -> AsyncIterator[Event]:
        """All events up to the last one."""
        while (event := await self._events.get()) is not None:
            yield event


class EventStream:
    """
    A response of events, an ASGI application.

    Args:
        events: what to send; closed where the client goes away.
        on_end: called when all is sent, or nobody is left to send to.
    """

    def __init__(
        self, events: AsyncIterator[Event], on_end: Callable[[], object] = lambda: None
    ) -> None:
        self._events = events
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        sending = asyncio.ensure_future(self._send(send, headers))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._on_end()
            for task in (sending, leaving):
                task.cancel()
            results = await asyncio.gather(sending, leaving, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _send(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        # A piece at once, so that a client knows that its question was taken.
        body = b": \n\n"
        await send({"type": "http.response.body", "body": body, "more_body": True})
        pending = asyncio.ensure_future(anext(self._events, None))
        try:
            while True:
                done, _ = await asyncio.wait({pending}, timeout=KEEP_ALIVE_SECONDS)
                if done:
                    event = pending.result()
                    if event is None:
                        break
                    body = b"event: %s\ndata: %s\n\n" % (
                        event.name.encode(),
                        encode_json(event.data),
                    )
                    pending = asyncio.ensure_future(anext(self._events, None))
                else:
                    body = b": \n\n"
                await send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            pending.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
