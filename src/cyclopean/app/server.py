"""Run the app: one process, one network, one page per visitor."""

import asyncio
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopean.app import examples
from cyclopean.app.guard import LOCAL, Guard
from cyclopean.app.limits import Limits, shortcomings
from cyclopean.app.routes import routes
from cyclopean.app.session import PREFIX, Store
from cyclopean.errors import InputError
from cyclopean.io.files import private_folder, sweep

if TYPE_CHECKING:  # torch is loaded while the first page is opened
    from starlette.types import ASGIApp

    from cyclopean.app.handlers import AppState
    from cyclopean.inference.predictor import Predictor

SWEEP = 60.0  # seconds between looks for pages that nobody has used for long
BACKLOG = 128
CONNECTIONS = 512  # at a time; a system gives a process about 1024 files
HALF_REQUEST = 20.0  # seconds in which the first line and the headers of a request must arrive
MODELS = Path(__file__).parents[1] / "models"
DEFAULT = "general"
TRIES = 10  # ports after the first one
HEAD_START = 0.3  # seconds that the first page has to itself before the network is loaded


@dataclass(frozen=True)
class Address:
    """The address at which the app listens. `port` None: the first free one from 7860; 0: any.

    `names` are names under which it may be asked for, beside those of the machine.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    names: tuple[str, ...] = ()


def serve(
    address: Address, offered: "Mapping[str, Callable[[], Predictor]]", limits: Limits, *, browser: bool,
    key: str | None = None, anyway: bool = False, opened: Callable[[str], None] = lambda _: None,
) -> None:  # fmt: skip
    """Serve `models_offered` until interrupted, by Ctrl-C, TERM or HUP.

    That raises KeyboardInterrupt when everything is removed.
    Calls `opened` with the page's address as soon as that can be opened; the network is loaded meanwhile. With a `key`
    only who has it can open the page: it is part of that address. Raises InputError for bad input, and unless `anyway`
    on a machine that has too little for the app.
    """
    import uvicorn

    with listening(address) as door, cleaned(limits) as store:
        lacking = shortcomings(store.root)
        if lacking and not anyway:
            raise InputError(f"{' '.join(lacking)} Start it with --anyway to try.")
        for shortcoming in lacking:
            print(f"cyclopean app: {shortcoming}", file=sys.stderr, flush=True)  # noqa: T201
        port = door.getsockname()[1]
        network: Future[AppState] = Future()
        app = Guard(
            assembled(store, network, offered, lacking, remote=address.host not in LOCAL),
            address.host, address.names, key, f"cyclopean-{port}",
        )  # fmt: skip
        url = f"http://{shown_host(address.host)}:{port}/" + (f"?key={key}" if key else "")
        config = uvicorn.Config(
            app, http=patient_protocol(), ws="none", lifespan="off", log_level="warning", access_log=False,
            proxy_headers=False, timeout_graceful_shutdown=2, limit_concurrency=CONNECTIONS,
        )  # fmt: skip
        server = uvicorn.Server(config)
        for name in ("SIGTERM", "SIGHUP"):  # a signal that is ignored (nohup) stays ignored
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, server.handle_exit)
        opened(url)
        if browser:
            threading.Timer(0.1, webbrowser.open, (url,)).start()

        def loading() -> None:
            try:
                network.set_result(_loaded(store, offered))
            except BaseException as error:
                network.set_exception(error)
                server.should_exit = True

        threading.Timer(HEAD_START, loading).start()
        server.run(sockets=[door])
        if network.done():
            network.result()  # raises what went wrong with the model
    raise KeyboardInterrupt


def models_offered(model: str, backend: str = "torch", device: str = "cpu") -> dict[str, "Callable[[], Predictor]"]:
    """Return what loads each model by the name that a page shows: those of `model`, which are separated by commas, then
    the bundled ones, which are loaded when they are chosen. The default alone is no choice.
    """
    given = [name.strip() for name in model.split(",") if name.strip()] or [DEFAULT]
    others = [] if given == [DEFAULT] else sorted(path.parent.name for path in MODELS.glob("*/config.json"))
    return {_title(name): cache(partial(_load, name, backend, device)) for name in dict.fromkeys([*given, *others])}


def assembled(
    store: Store, network: "Future[AppState]", models: Mapping[str, object], warnings: Sequence[str], *, remote: bool
) -> "ASGIApp":
    """Return the application: all addresses. `remote`: others than this computer can open the page."""
    from starlette.applications import Starlette

    photos, limits = examples.installed(), store.limits
    card = {
        "megabytes": limits.megabytes, "megapixels": limits.megapixels, "remote": remote, "warnings": list(warnings),
        "examples": [photo.title for photo in photos], "models": list(models) if len(models) > 1 else [],
    }  # fmt: skip
    return Starlette(routes=routes(store, photos, network, card))


def _loaded(store: Store, offered: "Mapping[str, Callable[[], Predictor]]") -> "AppState":
    """Load the first model, and all code that works with it."""
    from cyclopean.app import steps  # noqa: F401
    from cyclopean.app.handlers import AppState

    first = next(iter(offered.values()))()
    return AppState(first, store, examples.installed(), offered if len(offered) > 1 else {})


def _load(name: str, backend: str, device: str) -> "Predictor":
    from cyclopean.inference.predictor import load

    return load(name, device, backend)


def _title(name: str) -> str:
    """Return what the page calls a model: visitors see no paths of this machine."""
    return Path(name).name if Path(name).exists() else name


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
def cleaned(limits: Limits) -> Iterator[Store]:
    """Open a store that forgets what is idle as time goes by, and everything at the end, whatever happens.

    Its folder is locked while this process lives; folders that killed ones left are removed, now and later.
    """
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
