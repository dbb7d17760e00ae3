"""The guard before the app: names of this machine, addresses, how much they may send and how long that may take."""

import asyncio
import hmac
import ipaddress
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, Response

from cyclopean.errors import sentence

LOG = logging.getLogger("cyclopean.app")

UPLOAD = "/upload/"
LOCAL = ("127.0.0.1", "localhost", "::1")
LONGEST_BODY = 64_000  # bytes of whatever is not an upload
SLOWEST_BODY = 20.0  # seconds in which that must arrive
WAYS = ("GET", "HEAD", "POST")
UNKNOWN_NAME = "This app does not answer to that name; whoever runs it can add it: cyclopean app --trusted-host NAME\n"
NO_KEY = "This app is private: open the whole address that `cyclopean app` printed when it started.\n"

Receive = Callable[[], Awaitable[Any]]


class Refused(Exception):  # noqa: N818  (it is not an error)
    """A request that goes no further: the status of the answer, and its text."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Guard:
    """Around everything: who may ask, for what, with how much; and nothing may be loaded from elsewhere.

    Who has not been given the `key` of this start gets nothing. It comes with the first address and stays in a cookie,
    so that reloading and a second tab need no key; no page elsewhere makes a browser send that cookie.
    """

    OPEN = (
        *("/static/", UPLOAD, "/here/", "/leave/", "/step/", "/job/"),
        *("/picture/", "/file/", "/glance/", "/space/", "/example/"),
    )
    OPEN_EXACTLY = ("/", "/start")
    HEADERS = (
        (
            b"content-security-policy",
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
            b"media-src 'self' blob:; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
            b"frame-ancestors 'self'",
        ),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
    )

    def __init__(
        self, app: Any, host: str, names: Iterable[str] = (), key: str | None = None, cookie: str = "cyclopean"
    ) -> None:
        """Guard `app`: `host` is where it listens, `names` are further names, `cookie` names what holds the `key`.

        Without a key everybody who reaches it may ask.
        """
        self.app, self.host, self.key, self.cookie = app, host, key, cookie
        self.names = {name.lower() for name in names}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":  # nothing here speaks anything else
            return
        started = False

        async def with_headers(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {name for name, _ in message["headers"]}
                more = [(name, value) for name, value in self.HEADERS if name not in present]
                message["headers"] = [*message["headers"], *more, *self._cookie(scope)]
            await send(message)

        try:
            await self.app(*await self._admitted(scope, receive), with_headers)
        except Refused as refused:
            await PlainTextResponse(refused.text, refused.status)(scope, receive, with_headers)
        except Exception as error:
            LOG.error("%s", without_tokens(sentence(error, f"answering {scope['path'].split('/')[1]!r}")))
            if not started:
                await Response(status_code=500)(scope, receive, with_headers)

    async def _admitted(self, scope: Any, receive: Receive) -> tuple[Any, Receive]:
        """Return what the application receives of a request. Raises Refused."""
        path = scope["path"]
        if not answers_to(_header(scope, b"host"), self.host, self.names):
            raise Refused(400, UNKNOWN_NAME)
        # Browsers tell which page asks; only a link may come from a page elsewhere.
        if _header(scope, b"sec-fetch-site") in ("cross-site", "same-site") and path != "/":
            raise Refused(403)
        if self.key is not None and not (self._given(scope) or self._kept(scope)):
            raise Refused(403, NO_KEY)
        if path not in self.OPEN_EXACTLY and not path.startswith(self.OPEN):
            raise Refused(404)
        if scope["method"] not in WAYS:
            raise Refused(405)
        scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if not _of_a_proxy(name)]}
        if path.startswith(UPLOAD):
            return scope, receive
        try:
            body = await asyncio.wait_for(_small_body(receive), SLOWEST_BODY)
        except TimeoutError:
            raise Refused(408) from None
        if len(body) > LONGEST_BODY:
            raise Refused(413)
        return scope, _again(body, receive)

    def _given(self, scope: Any) -> bool:
        """Return whether the address has the key."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        return self._is_key(next(iter(query.get("key", ())), ""))

    def _kept(self, scope: Any) -> bool:
        """Return whether the browser has kept the key from an earlier page."""
        parts = (part.strip().partition("=") for part in _header(scope, b"cookie").split(";"))
        return any(name == self.cookie and self._is_key(value) for name, _, value in parts)

    def _is_key(self, value: str) -> bool:
        return self.key is not None and hmac.compare_digest(value.encode(), self.key.encode())

    def _cookie(self, scope: Any) -> list[tuple[bytes, bytes]]:
        """Return the header that keeps the key, for the page that was opened with it.

        Without a path the cookie is for the folder of the page, wherever a proxy has put that.
        """
        if scope["path"] != "/" or not self._given(scope):
            return []
        secure = "; Secure" if _header(scope, b"x-forwarded-proto") == "https" else ""
        return [(b"set-cookie", f"{self.cookie}={self.key}; HttpOnly; SameSite=Strict{secure}".encode())]


def answers_to(header: str, host: str, names: Iterable[str] = ()) -> bool:
    """Return whether an app that listens at `host` answers to the Host `header`.

    A page elsewhere can make a browser ask this machine under a name of its own (DNS rebinding), never under a bare
    address. So an app for the network answers to any address, since machines have more of them than they know, to the
    names of this machine, and to `names`; an app for this machine alone only to its local names and to `names`.
    """
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d+)?", header)
    name = match[1].strip("[]").rstrip(".").lower() if match else ""
    if not name:
        return False
    if name in LOCAL[:2] or name in names:
        return True
    if host in LOCAL:
        return name == "::1" and ":" in host
    try:
        ipaddress.ip_address(name)
    except ValueError:
        machine = socket.gethostname().lower()
        return name in {machine, machine.split(".")[0], f"{machine.split('.')[0]}.local", host.lower()}
    return True


def without_tokens(text: str) -> str:
    """Return `text` for the log: nobody who reads it can open a visitor's pictures."""
    return re.sub(r"[\w-]{32}", "...", text)


def _header(scope: Any, key: bytes) -> str:
    """Return the first header of a name, empty without one."""
    return next((value for name, value in scope["headers"] if name == key), b"").decode("latin-1")


def _of_a_proxy(header: bytes) -> bool:
    """Return whether a header claims what only the connection can tell; HTTPS is harmless."""
    named = header.startswith((b"x-forwarded", b"x-real", b"x-original", b"x-rewrite")) or header == b"forwarded"
    return named and header != b"x-forwarded-proto"


async def _small_body(receive: Receive) -> bytes:
    """Return the body, up to a little more than anything but an upload ever needs."""
    body, more = b"", True
    while more and len(body) <= LONGEST_BODY:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Return `receive` as if nothing had been read yet."""
    first = [{"type": "http.request", "body": body, "more_body": False}]

    async def once_more() -> dict[str, Any]:
        return first.pop() if first else await receive()

    return once_more
