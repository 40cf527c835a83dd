"""Running the server: its socket, its link, its end."""

import asyncio
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from squadlite.answering.reader import Reader
from squadlite.errors import ServerError
from squadlite.library.library import Library
from squadlite.server.app import make_app
from squadlite.server.security import is_loopback

# Browsers keep a few connections each; more than these are refused at once.
MAX_CONNECTIONS = 400
HEADER_SECONDS = 10.0
# A client that takes its answer slowly is left when the server stops.
_FAREWELL_SECONDS = 3
_TOKEN_BYTES = 24
# Nothing is sent there: its route says which of this machine's addresses others see.
_OUTSIDE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


@dataclass(frozen=True)
class Served:
    """
    A library that is ready to be served.

    Attributes:
        app: the application.
        socket: that it listens at, already.
        url: of the page, with the token where there is one.
        token: what every request must know; None: nothing.
    """

    app: Starlette
    socket: socket.socket
    url: str
    token: str | None


def prepare(
    library: Path, reader: Reader, *, host: str, port: int, token: str | None = None
) -> Served:
    """
    Get a library ready to be served.

    Args:
        library: its file, made where there is none.
        reader: the model.
        host: the address to be bound to; any but this machine's own needs a token.
        port: 0: any that is free.
        token: None: a random one where one is needed.

    Raises:
        LibraryError: the file isn't a library, or can't be opened.
        ServerError: the address can't be had.
    """
    Library(library).close()
    listening = _listen(host, port)
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(_TOKEN_BYTES)
    name = _visible_name(host, listening)
    url = f"http://{name}:{listening.getsockname()[1]}/"
    if token is not None:
        url += f"?token={token}"
    return Served(make_app(library, reader, host=host, token=token), listening, url, token)


def run(served: Served) -> None:
    """Serve until the process is told to stop, by Ctrl-C or SIGTERM, and then as it was told."""
    make_server(served).run([served.socket])


def make_server(served: Served) -> uvicorn.Server:
    """The server of an application, to be run with its socket."""
    config = uvicorn.Config(
        served.app,
        http=_PatientProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=_FAREWELL_SECONDS,
    )
    return _Server(config, served.app)


class _Server(uvicorn.Server):
    """Ends the work first, so that those who wait for it are told and their connections end."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._app.state.desks.close)
        await super().shutdown(sockets)


class _PatientProtocol(H11Protocol):
    """Waits for a request's headers for a while, but not for ever."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._give_up = self.loop.call_later(HEADER_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._give_up.cancel()
        if self.cycle is None or self.cycle.response_complete:
            self._give_up = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up.cancel()
        super().connection_lost(exc)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=MAX_CONNECTIONS)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServerError(f"{host}:{port}: can't be listened at ({reason})") from error


def _visible_name(host: str, listening: socket.socket) -> str:
    """How others call the address that a socket listens at."""
    address = host
    if listening.getsockname()[0] in {"0.0.0.0", "::"}:
        try:
            with socket.socket(listening.family, socket.SOCK_DGRAM) as probe:
                probe.connect((_OUTSIDE[listening.family], 9))
                address = probe.getsockname()[0]
        except OSError:
            address = socket.gethostname()
    return f"[{address}]" if ":" in address else address
