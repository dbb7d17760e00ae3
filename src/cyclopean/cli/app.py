"""`cyclopean app`: the page in the browser."""

import secrets
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopean.cli.early import refuse_missing_backend, refuse_unknown_device, refuse_unknown_model
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import parse
from cyclopean.errors import InputError
from cyclopean.flags import Flag


@dataclass(frozen=True)
class App:
    """Refocus photos in the browser: drop one, click what should be sharp, keep the result.

    Runs on this computer and fetches nothing from elsewhere. Only this computer can open the page, unless --host says
    otherwise, and only by the address that is printed: the key in it is new at each start.
    """

    host: Annotated[str, Flag("NAME")] = "127.0.0.1"
    """Who may open the page: 127.0.0.1, this computer; 0.0.0.0, everyone on the network."""
    trusted_host: Annotated[str | None, Flag("NAMES")] = None
    """Further names under which browsers reach the app, with commas: a proxy's, or this computer's in your network."""
    port: Annotated[int | None, Flag("N")] = None
    """Without it, the first free one from 7860."""
    model: Annotated[str, Flag("NAMES")] = "general"
    """A bundled model, a model's folder, or a Hub repository (owner/name), also of transformers. Of several, with
    commas, or of one that is not bundled, the page offers a choice, the bundled ones beside them."""
    device: Annotated[str, Flag("NAME")] = "cpu"
    """What the network runs on: auto, cpu, cuda, cuda:1, mps. Blur is computed on the CPU."""
    backend: Literal["torch", "onnxruntime"] = "torch"
    """What runs the model. onnxruntime (pip install 'cyclopean[fast]'): the same depth sooner, on the CPU."""
    max_megabytes: Annotated[float, Flag("N")] = 100.0
    """Larger files are refused."""
    max_megapixels: Annotated[float, Flag("N")] = 60.0
    """Larger photos are refused before they are decoded."""
    no_browser: bool = False
    """Do not open a browser; print the page's address only."""
    no_token: bool = False
    """Open to everybody who reaches the address, also to other users of this computer: without the key in it."""
    anyway: bool = False
    """Start on a machine that has too little memory, disk or too few cores."""


def main(arguments: list[str]) -> int:
    run(parse(App, arguments, "cyclopean app"))
    return 0


def run(options: App) -> None:
    """Serve until Ctrl-C."""
    from importlib.util import find_spec

    for name in options.model.split(","):
        refuse_unknown_model(name.strip() or options.model)
    refuse_missing_backend(options.backend)
    refuse_unknown_device(options.device)
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise InputError("the app needs Starlette and uvicorn; run: pip install 'cyclopean[app]'")
    from cyclopean.app.limits import Limits
    from cyclopean.app.server import Address, models_offered, serve

    limits = Limits(options.max_megabytes, options.max_megapixels)
    names = tuple(name.strip() for name in (options.trusted_host or "").split(",") if name.strip())
    key = None if options.no_token else secrets.token_urlsafe(16)
    address = Address(options.host, options.port, names)

    def opened(url: str) -> None:
        print(f"The app is at {url} (Ctrl-C ends it).", flush=True)
        emit({"address": url})

    offered = models_offered(options.model, options.backend, options.device)
    serve(address, offered, limits, browser=not options.no_browser, key=key, anyway=options.anyway, opened=opened)
