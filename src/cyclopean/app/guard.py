"""What of Gradio is open to visitors."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi.responses import Response

JOIN = "/gradio_api/queue/join"
LONGEST_EVENT = 64_000  # bytes

Receive = Callable[[], Awaitable[Any]]


class Guard:
    """Around everything: nothing may be loaded from elsewhere, and only what the app needs of Gradio is open.

    Its upload and file routes stay shut (visitors could name paths there), and those that fetch from the network. What
    visitors send with an event are numbers, names and switches: Gradio would open files, or addresses, that it finds
    named in anything richer.
    """

    OPEN = (
        *("/upload/", "/leave/", "/picture/", "/file/", "/glance/", "/space/", "/example/"),
        *("/assets/", "/static/", "/svelte/"),
        *("/theme.css", "/config", "/favicon.ico", "/manifest.json", "/pwa_icon", "/robots.txt"),
        *("/gradio_api/queue/", "/gradio_api/heartbeat/", "/gradio_api/startup-events", "/gradio_api/cancel"),
        *("/gradio_api/reset", "/gradio_api/info", "/gradio_api/app_id"),
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

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if scope["path"] != "/" and not scope["path"].startswith(self.OPEN):
            return await Response(status_code=404)(scope, receive, send)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.HEADERS]
            await send(message)

        if scope["path"].rstrip("/") != JOIN:
            return await self.app(scope, receive, with_headers)
        body = await _small_body(receive)
        if not _plain(body):
            return await Response(status_code=400)(scope, receive, send)
        return await self.app(scope, _again(body, receive), with_headers)


async def _small_body(receive: Receive) -> bytes:
    """What was sent, up to a little more than an event of the page ever needs."""
    body, more = b"", True
    while more and len(body) <= LONGEST_EVENT:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _plain(body: bytes) -> bool:
    """Whether an event of the page holds plain values only, and points."""
    try:
        event = json.loads(body) if len(body) <= LONGEST_EVENT else None
    except ValueError:
        return False
    if not isinstance(event, dict) or not isinstance(event.get("data"), list):
        return False
    said = event.get("event_data") or {}
    points = [value for value in said.values() if not isinstance(value, list)] if isinstance(said, dict) else [said]
    return not any(isinstance(value, dict | list) for value in (*event["data"], *points))


def _again(body: bytes, receive: Receive) -> Receive:
    """`receive` as if nothing had been read yet."""
    first = [{"type": "http.request", "body": body, "more_body": False}]

    async def once_more() -> dict[str, Any]:
        return first.pop() if first else await receive()

    return once_more
