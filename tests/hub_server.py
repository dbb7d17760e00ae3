"""A small Hub on this machine: repositories of models, as the Hub's client speaks to it over HTTP."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_thetokenofthetests"
REPOSITORY = r"([\w.-]+/[\w.-]+)"


@dataclass
class Hub:
    """Repositories by name, files by name in each; large files until their commit; every request."""

    address: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def revision(self, name: str) -> str:
        return hashlib.sha1(repr(sorted(self.repositories[name].items())).encode()).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """Yield a Hub that listens on a free port of this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def answer(self, content: Any, code: int = 200, **headers: str) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(code)
            for name, value in ({"Content-Length": str(len(data))} | headers).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def do_GET(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            if path == "/api/models":
                listed = [
                    {"id": name, "modelId": name, "tags": ["cyclopean", "license:apache-2.0"]}
                    for name in hub.repositories
                ]
                return self.answer(listed)
            if (found := re.fullmatch(rf"/api/models/{REPOSITORY}(?:/revision/.+)?", path)) and found[
                1
            ] in hub.repositories:
                siblings = [{"rfilename": name} for name in hub.repositories[found[1]]]
                about = {"id": found[1], "modelId": found[1], "sha": hub.revision(found[1]), "siblings": siblings}
                return self.answer(about | {"tags": [], "private": False, "downloads": 0, "likes": 0})
            if found := re.fullmatch(rf"/api/models/{REPOSITORY}/tree/[^/]+", path):
                files = hub.repositories.get(found[1], {})
                return self.answer(
                    [{"type": "file", "path": n, "size": len(c), "oid": "0" * 40} for n, c in files.items()]
                )
            if (found := re.fullmatch(rf"/{REPOSITORY}/resolve/[^/]+/(.+)", path)) and found[1] in hub.repositories:
                content = hub.repositories[found[1]].get(found[2])
                if content is not None:
                    etag = f'"{hashlib.sha256(content).hexdigest()}"'
                    return self.answer(content, ETag=etag, X_Repo_Commit=hub.revision(found[1]))
            return self.answer({"error": "not found"}, 404, X_Error_Code="RepoNotFound")

        do_HEAD = do_GET  # noqa: N815

        def do_POST(self) -> None:  # noqa: PLR0911
            hub.requests.append(f"POST {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/api/validate-yaml":
                front = yaml.safe_load(json.loads(body)["content"].split("---")[1])
                wrong = [] if {"license", "pipeline_tag"} <= front.keys() else [{"message": "metadata is missing"}]
                return self.answer({"errors": wrong, "warnings": []}, 400 if wrong else 200)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer({"error": "this token may not write"}, 401)
            if self.path == "/api/repos/create":
                order = json.loads(body)
                name = "/".join(part for part in (order.get("organization"), order["name"]) if part)
                about = {"url": f"{hub.address}/{name}", "id": name}
                if name in hub.repositories:
                    return self.answer({"error": "it exists", **about}, 409)
                hub.repositories[name], hub.private[name] = (
                    {},
                    order.get("visibility") == "private" or bool(order.get("private")),
                )
                return self.answer(about)
            if re.fullmatch(rf"/api/models/{REPOSITORY}/preupload/main", self.path.partition("?")[0]):
                names = [entry["path"] for entry in json.loads(body)["files"]]
                modes = ["lfs" if name.endswith(".safetensors") else "regular" for name in names]
                files = [
                    {"path": n, "uploadMode": m, "shouldIgnore": False, "oid": None}
                    for n, m in zip(names, modes, strict=True)
                ]
                return self.answer({"files": files})
            if self.path.endswith(".git/info/lfs/objects/batch"):
                asked = json.loads(body)["objects"]
                links = [{"upload": {"href": f"{hub.address}/large/{one['oid']}"}} for one in asked]
                objects = [one | {"actions": link} for one, link in zip(asked, links, strict=True)]
                return self.answer({"transfer": "basic", "objects": objects})
            if found := re.fullmatch(rf"/api/models/{REPOSITORY}/commit/main", self.path.partition("?")[0]):
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        hub.repositories[found[1]][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                    elif line["key"] == "lfsFile":
                        hub.repositories[found[1]][line["value"]["path"]] = hub.large[line["value"]["oid"]]
                oid = hub.revision(found[1])
                return self.answer(
                    {"success": True, "commitOid": oid, "commitUrl": f"{hub.address}/{found[1]}/commit/{oid}"}
                )
            return self.answer({"error": "not found"}, 404)

        def do_PUT(self) -> None:
            hub.requests.append(f"PUT {self.path}")
            content = self.rfile.read(int(self.headers["Content-Length"]))
            hub.large[hashlib.sha256(content).hexdigest()] = content
            self.answer({})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
