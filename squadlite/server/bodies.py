"""Reading what a client sends, up to so many bytes and not too slowly."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeGuard

from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_JSON_BYTES = 64 << 10
# A body must come faster than this after a while; a phone's uplink at its worst is faster.
GRACE_SECONDS = 15.0
MIN_BYTES_PER_SECOND = 8 << 10
# What is left of a body that isn't read must not be taken for the next request.
_CLOSE = {"Connection": "close"}


async def stream_body(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """
    The pieces of a request's body.

    Raises:
        HTTPException: more than `limit` bytes, or too slow.
        ClientDisconnect: the client went away.
    """
    try:
        announced = int(request.headers.get("content-length", "0"))
    except ValueError:
        raise HTTPException(400, "Content-Length: expected a number") from None
    received = 0
    started = time.monotonic()
    async with aclosing(request.stream()) as pieces:
        while announced <= limit and received <= limit:
            allowed = GRACE_SECONDS + received / MIN_BYTES_PER_SECOND
            try:
                async with asyncio.timeout(started + allowed - time.monotonic()):
                    piece = await anext(pieces, None)
            except TimeoutError:
                raise HTTPException(408, "the body came too slowly", _CLOSE) from None
            if piece is None:
                return
            received += len(piece)
            if received <= limit:
                yield piece
    raise HTTPException(413, f"a body of more than {limit} bytes", _CLOSE)


async def read_json(request: Request) -> Any:
    """
    A request's body as JSON.

    Raises:
        HTTPException: it isn't JSON, is too large or too slow.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Another site's form can send other types without asking the browser first.
        raise HTTPException(415, f"Content-Type {kind[:60]!r}, expected application/json")
    async with aclosing(stream_body(request, MAX_JSON_BYTES)) as pieces:
        body = b"".join([piece async for piece in pieces])
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "a body that isn't JSON") from None


async def read_object(request: Request, *names: str, optional: tuple[str, ...] = ()) -> Any:
    """
    A request's body as a JSON object with these members and no others.

    Raises:
        HTTPException: it is another.
    """
    value = await read_json(request)
    if not isinstance(value, dict) or not set(names) <= value.keys() <= {*names, *optional}:
        known = ", ".join([*names, *(f"{name} (optional)" for name in optional)])
        raise HTTPException(400, f"expected a JSON object with {known} and nothing else")
    return value


def is_count(value: object) -> TypeGuard[int]:
    """Whether a JSON value is a whole number from 0 that SQLite can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
