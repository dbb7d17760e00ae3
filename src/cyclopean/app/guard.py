"""What is open to visitors: names of this machine, addresses, how much they may send and how long that may take."""

import asyncio
import ipaddress
import json
import logging
import math
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from starlette.responses import PlainTextResponse, Response

from cyclopean.errors import sentence

LOG = logging.getLogger("cyclopean.app")

JOIN, UPLOAD = "/gradio_api/queue/join", "/upload/"
LOCAL = ("127.0.0.1", "localhost", "::1")
LONGEST_BODY = 64_000  # bytes of whatever is not an upload
SLOWEST_BODY = 20.0  # seconds in which that must arrive
WAYS = ("GET", "HEAD", "POST")
UNKNOWN_NAME = "This app does not answer to that name; whoever runs it can add it: cyclopean app --trusted-host NAME\n"

Receive = Callable[[], Awaitable[Any]]


class Refused(Exception):  # noqa: N818  (it is not an error)
    """A request that goes no further: the status of the answer, and what it says."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Guard:
    """Around everything: who may ask, for what, with how much; and nothing may be loaded from elsewhere.

    Only what the page needs of Gradio is open. Its upload and file routes stay shut (visitors could name paths there),
    and those that fetch from the network. What visitors send with an event are numbers, names and switches: Gradio
    would open files, or addresses, that it finds named in anything richer.
    """

    OPEN = (
        *(UPLOAD, "/here/", "/leave/", "/picture/", "/file/", "/glance/", "/space/", "/example/"),
        *("/assets/", "/static/", "/svelte/"),
    )
    OPEN_EXACTLY = (
        *("/", "/theme.css", "/config", "/favicon.ico", "/manifest.json", "/robots.txt"),
        *(JOIN, "/gradio_api/queue/data"),
    )
    HEADERS = (
        (
            b"content-security-policy",
            b"default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; "
            b"style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
            b"worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
            b"frame-ancestors 'self'",
        ),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    )

    def __init__(self, app: Any, host: str, names: Iterable[str] = (), events: Callable[[], int] = lambda: 0) -> None:
        """Guard `app`: `host` is where it listens, `names` are further names, `events` counts the kinds of events."""
        self.app, self.host, self.events = app, host, events
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
                message["headers"] = [*message["headers"], *self.HEADERS]
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
        asked = next((value for name, value in scope["headers"] if name == b"host"), b"")
        if not answers_to(asked.decode("latin-1"), self.host, self.names):
            raise Refused(400, UNKNOWN_NAME)
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
        if path == JOIN:
            event = plain_event(body, self.events())
            if event is None:
                raise Refused(400)
            body = json.dumps(event).encode()
        return scope, _again(body, receive)


def answers_to(asked: str, host: str, names: Iterable[str] = ()) -> bool:
    """Return whether an app that listens at `host` answers to the Host header `asked`.

    A page elsewhere can make a browser ask this machine under a name of its own (DNS rebinding), never under a bare
    address. So an app for the network answers to any address, since machines have more of them than they know, to the
    names of this machine, and to `names`; an app for this machine alone only to its local names and to `names`.
    """
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d+)?", asked)
    name = found[1].strip("[]").rstrip(".").lower() if found else ""
    if not name:
        return False
    if name in LOCAL[:2] or name in names:
        return True
    if host in LOCAL:
        return name == "::1" and ":" in host
    try:
        ipaddress.ip_address(name)
    except ValueError:
        own = socket.gethostname().lower()
        return name in {own, own.split(".")[0], f"{own.split('.')[0]}.local", host.lower()}
    return True


def plain_event(body: bytes, kinds: int) -> dict[str, Any] | None:
    """Return the event of a page that `body` holds, of `kinds` kinds, if all its values are plain; else None.

    Besides numbers, names and switches there are only the points of a length.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    number, name, data, said = (given.get(key) for key in ("fn_index", "session_hash", "data", "event_data"))
    points = said.get("points") if isinstance(said, dict) else None
    pairs = points if isinstance(points, list) else []
    rest = [value for key, value in said.items() if key != "points"] if isinstance(said, dict) else [said]
    fine = (
        (type(number) is int and 0 <= number < kinds)
        and (isinstance(name, str) and re.fullmatch(r"[\w-]{1,64}", name))
        and (isinstance(data, list) and all(_plain(value) for value in (*data, *rest)))
        and (points is None or isinstance(points, list))
        and all(isinstance(pair, list) and all(_plain(value) for value in pair) for pair in pairs)
    )
    trigger = given.get("trigger_id")
    kept = {"fn_index": number, "session_hash": name, "data": data, "event_data": said}
    return kept | {"trigger_id": trigger if type(trigger) is int else None} if fine else None


def without_tokens(text: str) -> str:
    """Return `text` for the log: nobody who reads it can open a visitor's pictures."""
    return re.sub(r"[\w-]{32}", "...", text)


def _plain(value: object) -> bool:
    return isinstance(value, str | bool | int | None) or (isinstance(value, float) and math.isfinite(value))


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
