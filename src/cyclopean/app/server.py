"""Run the app: one process, one network, one page per visitor."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopean.app.guard import LOCAL, LOG, Guard, without_tokens
from cyclopean.app.limits import Limits, shortcomings
from cyclopean.errors import InputError, sentence

if TYPE_CHECKING:
    from fastapi import FastAPI

    from cyclopean.app.session import Store

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

SWEEP = 60.0  # seconds between looks for pages that nobody has used for long
BACKLOG = 128
CONNECTIONS = 512  # at a time; a system gives a process about 1024 files
HALF_REQUEST = 20.0  # seconds in which the first line and the headers of a request must arrive
NAMES = 2000  # names of pages that Gradio remembers
TRIES = 10  # ports after the first one


@dataclass(frozen=True)
class Address:
    """Where the app listens. `port` None: the first free one from 7860; 0: any.

    `names` are names under which it may be asked for, beside those of the machine.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    names: tuple[str, ...] = ()


def serve(address: Address, model: str, limits: Limits, *, browser: bool) -> None:
    """Serve until interrupted, by Ctrl-C, TERM or HUP, which raises KeyboardInterrupt when everything is removed.

    Prints the page's address when it can be opened. Raises InputError for bad input.
    """
    import uvicorn

    with listening(address) as door, cleaned(limits) as store:
        for shortcoming in shortcomings(store.root):
            print(f"cyclopean app: {shortcoming}", file=sys.stderr, flush=True)  # noqa: T201
        app = assembled(store, model, address)
        url = f"http://{shown_host(address.host)}:{door.getsockname()[1]}"
        config = uvicorn.Config(
            app, http=patient_protocol(), ws="none", log_level="warning", access_log=False, proxy_headers=False,
            timeout_graceful_shutdown=2, limit_concurrency=CONNECTIONS,
        )  # fmt: skip
        server = uvicorn.Server(config)
        for name in ("SIGTERM", "SIGHUP"):  # a signal that is ignored (nohup) stays ignored
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, server.handle_exit)
        print(f"The app is at {url} (Ctrl-C ends it).", flush=True)  # noqa: T201
        if browser:
            threading.Timer(0.5, webbrowser.open, (url,)).start()
        server.run(sockets=[door])
    raise KeyboardInterrupt


def assembled(store: "Store", model: str, address: Address) -> "FastAPI":
    """Return the whole application: Gradio's page, our own addresses, the guard around both."""
    import gradio as gr
    from fastapi import FastAPI

    from cyclopean.app import examples, page, routes
    from cyclopean.app.handlers import AppState
    from cyclopean.inference.predictor import load
    from cyclopean.training.models import DEFAULT, bundled

    # The models on the command line, then the bundled ones, which are loaded when somebody chooses them.
    given = [name.strip() for name in model.split(",") if name.strip()] or [DEFAULT]
    offered = {_title(name): cache(partial(load, name)) for name in dict.fromkeys([*given, *bundled()])}
    first, *_ = (offered[_title(name)]() for name in given)
    state = AppState(first, store, examples.found(), {} if given == [DEFAULT] else offered)
    blocks = page.build(state, shortcomings(store.root), remote=address.host not in LOCAL)
    blocks.state_session_capacity = store.limits.pages // 2  # it keeps 150 kB of each page, and needs none of it
    vars(gr.queueing)["traceback"] = _OneLine  # what a stranger's event makes Gradio stumble over fills no log
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    routes.add_routes(app, store, state.examples)

    def events() -> int:
        """Return the number of kinds of events, and make Gradio forget the oldest pages that it knows by name."""
        names = blocks._queue.pending_event_ids_session
        while len(names) > NAMES:
            del names[next(iter(names))]
        return len(blocks.fns)

    app.add_middleware(Guard, host=address.host, names=address.names, events=events)
    return gr.mount_gradio_app(
        app, blocks, "/", footer_links=[], run_history=False, show_error=False, ssr_mode=False,
        enable_monitoring=False, mcp_server=False, theme=page.theme(), css=page.style(),
    )  # fmt: skip


def _title(name: str) -> str:
    """Return what the page calls a model: visitors see no paths of this machine."""
    return Path(name).name if Path(name).is_dir() else name


class _OneLine:
    """Of `traceback`, what Gradio's queue uses: an error that it meets becomes one line of the log."""

    @staticmethod
    def print_exc() -> None:
        error = sys.exception()
        if isinstance(error, Exception):
            LOG.error("%s", without_tokens(sentence(error, "an event of a page")))


def patient_protocol() -> type[asyncio.Protocol]:
    """Return Uvicorn's HTTP protocol, but a request that stays half for long loses its connection."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Patient(H11Protocol):
        half: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.half = self.loop.call_later(HALF_REQUEST, transport.close)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
                self.half = self.half or self.loop.call_later(HALF_REQUEST, self.transport.close)
            elif self.half is not None:
                self.half.cancel()
                self.half = None

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.half is not None:
                self.half.cancel()

    return Patient


@contextmanager
def listening(address: Address) -> Iterator[socket.socket]:
    """Return an open socket at the address, on the first free port when none is asked for."""
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
    """Open a store that forgets what is idle as time goes by, and everything at the end, whatever happens.

    Its folder is locked while this process lives; folders that killed ones left are removed, now and later.
    """
    from cyclopean.app.session import PREFIX, Store
    from cyclopean.io.files import private_folder, sweep

    parent, end = Path(tempfile.gettempdir()), threading.Event()
    sweep(parent, PREFIX)
    with private_folder(parent, PREFIX) as root:
        store = Store(limits, root)

        def sweeping() -> None:
            while not end.wait(SWEEP):
                store.sweep()
                sweep(parent, PREFIX)

        threading.Thread(target=sweeping, daemon=True).start()
        try:
            yield store
        finally:
            end.set()


def shown_host(host: str) -> str:
    """Return `host` as it stands in an address that a browser takes."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
