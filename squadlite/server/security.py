"""Who may ask the server: hosts, origins and the token; and what browsers are told with replies."""

import hmac
import ipaddress
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from squadlite.server.replies import error_response

TOKEN_COOKIE = "squadlite_token"
# The program's own files, which say nothing of the books.
_PUBLIC = ("/static/", "/manifest.webmanifest", "/worker.js", "/icon.svg", "/icon.png")
_SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether an address, or the name "localhost", is one that only this machine reaches."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


class Guard:
    """
    Lets an application see only the requests that it should answer.

    A page of another site can make a browser send requests here, and a name that it owns can be
    pointed at this machine; so that the Host must be ours, and the Origin that of the Host. Names
    are the only danger: an address in the Host is one that the browser has connected to.

    Args:
        app: the application.
        host: the address that the server is bound to.
        token: what a request must know; None: nothing.
    """

    def __init__(self, app: ASGIApp, *, host: str, token: str | None) -> None:
        self._app = app
        self._only_loopback = is_loopback(host)
        self._token = token
        self._names = {"localhost"}
        if not self._only_loopback:
            own = socket.gethostname().lower()
            self._names |= {host.lower(), own, f"{own}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        given_in_link = self._token is not None and scope["path"] == "/" and self._has_link(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    answered[name] = value
                is_public = scope["path"].startswith(_PUBLIC)
                answered.setdefault("cache-control", "no-cache" if is_public else "no-store")
                if given_in_link:
                    answered["set-cookie"] = (
                        f"{TOKEN_COOKIE}={self._token}; Path=/; HttpOnly; SameSite=Strict"
                    )
            await send(message)

        if not self._is_our_host(headers):
            refusal = error_response(421, "this server isn't known by that Host")
        elif not _is_our_origin(scope, headers):
            refusal = error_response(403, "a page of another site may not ask this server")
        elif not (given_in_link or self._has_token(scope, headers)):
            refusal = error_response(
                401, "the token is missing or wrong: open the link that `squadlite serve` shows"
            )
        else:
            await self._app(scope, receive, send_guarded)
            return
        given_in_link = False  # who is refused gets no cookie
        await refusal(scope, receive, send_guarded)

    def _is_our_host(self, headers: Headers) -> bool:
        hosts = headers.getlist("host")
        name = _host_name(hosts[0]) if len(hosts) == 1 else None
        if name is None:
            return False
        address = _address(name)
        if address is None:
            return name in self._names
        return address.is_loopback or not self._only_loopback

    def _has_link(self, scope: Scope) -> bool:
        query = scope["query_string"].decode("latin-1")
        return any(self._is_token(token) for token in parse_qs(query).get("token", ())[:1])

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        if self._token is None or scope["path"].startswith(_PUBLIC):
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(token.strip())
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(TOKEN_COOKIE)
        except CookieError:
            return False
        return cookie is not None and self._is_token(cookie.value)

    def _is_token(self, given: str) -> bool:
        # The time that it takes says nothing of how much of it is right.
        return hmac.compare_digest(given.encode("utf-8", "replace"), (self._token or "").encode())


def _is_our_origin(scope: Scope, headers: Headers) -> bool:
    """Whether no page of another site has sent a request, except by a link that was followed."""
    origin = headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc.lower() == headers["host"].lower()
        except ValueError:
            return False
    if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
        return True
    followed = headers.get("sec-fetch-mode") == "navigate"
    return followed and scope["method"] == "GET" and scope["path"] == "/"


def _host_name(host: str) -> str | None:
    """A Host without its port, in lower case; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # a number, or an error
    except ValueError:
        return None
    if parts.netloc != host or parts.username is not None:
        return None
    return parts.hostname


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
