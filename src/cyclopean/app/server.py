"""Run the app: one process, one network, one page per visitor."""

import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclopean.app.limits import Limits, shortcomings
from cyclopean.errors import InputError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from cyclopean.app.session import Store

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

SWEEP = 60.0  # seconds between looks for pages that nobody has used for long
BACKLOG = 128
TRIES = 10  # ports after the first one
LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Address:
    """Where the app listens. `port` None: the first free one from 7860; 0: any."""

    host: str = "127.0.0.1"
    port: int | None = None


def serve(address: Address, model: str, limits: Limits, *, browser: bool) -> None:
    """Serve until interrupted. Prints the page's address when it can be opened. Raises InputError for bad input."""
    import uvicorn

    with listening(address) as door, cleaned(limits) as store:
        for sentence in shortcomings(store.root):
            print(f"cyclopean app: {sentence}", file=sys.stderr, flush=True)  # noqa: T201
        app = assembled(store, model, address.host)
        url = f"http://{shown_host(address.host)}:{door.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        print(f"The app is at {url} (Ctrl-C ends it).", flush=True)  # noqa: T201
        if browser:
            threading.Timer(0.5, webbrowser.open, (url,)).start()
        server.run(sockets=[door])


def assembled(store: "Store", model: str, host: str) -> "FastAPI":
    """The whole application: Gradio's page, our own addresses, the guard around both."""
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from cyclopean.app import examples, page, routes
    from cyclopean.app.guard import Guard
    from cyclopean.app.handlers import Studio
    from cyclopean.predictor import load

    studio = Studio(load(model), store, examples.found())
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    routes.add_routes(app, store, studio.examples)
    app.add_middleware(Guard)
    if host in LOCAL:  # a page elsewhere must not reach it under another name (DNS rebinding)
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=trusted(host))
    blocks = page.build(studio, shortcomings(store.root), remote=host not in LOCAL)
    return gr.mount_gradio_app(
        app, blocks, "/", footer_links=[], run_history=False, show_error=False, ssr_mode=False,
        enable_monitoring=False, mcp_server=False, theme=page.theme(), css=page.style(),
    )  # fmt: skip


def trusted(host: str) -> list[str]:
    """The names under which an app at the local `host` may be asked for.

    Of "[::1]:7860" Starlette takes "[::1]" for the name; before its version 1.0, what is before the first colon.
    """
    return [*LOCAL, "[::1]", "["] if ":" in host else list(LOCAL)


@contextmanager
def listening(address: Address) -> Iterator[socket.socket]:
    """An open socket at the address, on the first free port when none is asked for."""
    first = 7860 if address.port is None else address.port
    last = first + TRIES if address.port is None else first
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    for port in range(first, last + 1):
        door = socket.socket(family, socket.SOCK_STREAM)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((address.host, port))
            door.listen(BACKLOG)  # from here on browsers wait instead of being refused
            break
        except OverflowError:
            door.close()
            raise InputError(f"there is no port {port}; give one from 0 to 65535.") from None
        except OSError as error:
            door.close()
            if port == last:
                raise InputError(
                    f"cannot listen at {address.host}:{first} ({error.strerror}); give another --port or --host."
                ) from None
    with door:
        yield door


@contextmanager
def cleaned(limits: Limits) -> Iterator["Store"]:
    """A store that forgets what is idle as time goes by, and everything at the end, whatever happens."""
    from cyclopean.app.session import Store

    store, end = Store(limits), threading.Event()
    threading.Thread(target=_swept, args=(store, end), daemon=True).start()
    try:
        yield store
    finally:
        end.set()
        store.end()


def _swept(store: "Store", end: threading.Event) -> None:
    while not end.wait(SWEEP):
        store.sweep()


def shown_host(host: str) -> str:
    """As it stands in an address that a browser takes."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
