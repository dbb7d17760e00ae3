"""Files at URLs: names, a white list of schemes, limits, and a real web server on this machine."""

import functools
import http.server
import threading
from pathlib import Path

import fsspec
import pytest

from cyclopean.errors import InputError
from cyclopean.io import remote as module
from cyclopean.io.files import refuse_unreadable
from cyclopean.io.remote import Remote, fetched, files_in, is_clip, is_url, remote


@pytest.fixture
def bucket():
    memory = fsspec.filesystem("memory")
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def test_names_are_those_of_files():
    for url, name, folder in (
        ("s3://bucket/a/photo.JPG", "photo.JPG", "a"),
        ("https://host/a/b%20c.jpg?key=1/2#x", "b c.jpg", "a"),
        ("https://host/a%2F..%2Fc.jpg", "c.jpg", ".."),
        ("s3://bucket/a/what?.jpg", "what_.jpg", "a"),
        ("HTTPS://host/a/b%00%5Cc.mp4", "b__c.mp4", "a"),
    ):
        file = remote(url)
        assert (file.name, file.parent.name, file.name) == (name, folder, file.stem + file.suffix), url
    assert is_clip(remote("s3://bucket/walk.MP4"))
    assert not is_clip(remote("s3://bucket/walk"))
    assert all(is_url(name) for name in ("s3://a", "zip+x.y://a", "a://", "simple::s3://a"))
    assert not any(is_url(name) for name in ("C:/a", "photos/a.jpg", "://a", "a/b://c"))


def test_what_is_no_file_or_no_known_scheme_is_refused(bucket, tmp_path):
    for url, why in (
        ("ftp://host/a.jpg", "ftp:// is not read"),
        ("file:///etc/passwd", "file:// is not read"),
        ("https://host/a.jpg::file:///etc/passwd", "a chain of URLs is not read"),
        ("simplecache::s3://bucket/a.jpg", "is not read"),
        ("https://host/..", "names no file"),
        ("s3://", "names no file"),
    ):
        with pytest.raises(InputError, match=why):
            remote(url)
    bucket.pipe_file("/b/a.jpg", b"x")
    for url, why in (("memory://b/none.jpg", "nothing is there"), ("memory://b", "cannot be fetched")):
        with pytest.raises(InputError, match=why), fetched(remote(url), tmp_path):
            pass
    with pytest.raises(InputError, match="a web server, which lists none"):
        files_in("https://host/a/")
    with pytest.raises(InputError, match="nothing is there"):
        files_in("memory://nowhere/")
    assert not [*tmp_path.iterdir()]


def test_a_file_is_there_for_a_block_and_no_longer_than_its_limit(bucket, tmp_path, monkeypatch):
    bucket.pipe_file("/b/a.jpg", b"content")
    bucket.pipe_file("/b/.hidden.jpg", b"x")
    bucket.pipe_file("/b/deeper/c.jpg", b"x")
    assert files_in("memory://b/") == [Remote("memory://b/a.jpg")]
    source, out = remote("memory://b/a.jpg"), tmp_path / "out"
    with fetched(source, out) as path:
        assert (path.name, path.read_bytes(), path.parent.parent) == ("a.jpg", b"content", out)
    with pytest.raises(InputError, match=r"^memory://b/a\.jpg has 0 MB, too much"), fetched(source, out) as path:
        refuse_unreadable(path, 6)
    assert not [*out.iterdir()]
    with fetched(Path("here.jpg"), tmp_path / "none") as path:
        assert (path, (tmp_path / "none").exists()) == (Path("here.jpg"), False)
    monkeypatch.setattr(module, "MOST_BYTES", 6)
    monkeypatch.setattr(module, "CHUNK", 4)
    with pytest.raises(InputError, match="too much for its kind"), fetched(source, out):
        pass
    bucket.pipe_file("/b/a.mp4", b"content")
    with fetched(remote("memory://b/a.mp4"), out) as path:  # a clip may have more
        assert path.read_bytes() == b"content"


def test_a_scheme_whose_library_is_missing_is_one_sentence(tmp_path, monkeypatch):
    def missing(_: str):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    why = r"Install s3fs to access S3; pip install 'cyclopean\[remote\]'"
    with pytest.raises(InputError, match=why), fetched(remote("s3://bucket/a.jpg"), tmp_path):
        pass


class Endless(http.server.SimpleHTTPRequestHandler):
    """A server that states no size, and of `endless.jpg` no end."""

    def do_GET(self) -> None:
        if self.path != "/endless.jpg":
            return super().do_GET()
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 100_000)
        except OSError:  # the client has left
            pass

    def log_message(self, *_) -> None:
        pass


@pytest.mark.filterwarnings("ignore")  # of the client's event loop, when the test ends
def test_a_web_server(tmp_path, monkeypatch):
    pytest.importorskip("aiohttp", reason="http:// needs the extra 'remote'")
    (tmp_path / "a b.jpg").write_bytes(b"content")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Endless, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, out = f"http://127.0.0.1:{server.server_address[1]}", tmp_path / "out"
    try:
        with fetched(remote(f"{host}/a%20b.jpg?x=1"), out) as path:
            assert (path.name, path.read_bytes()) == ("a b.jpg", b"content")
        with pytest.raises(InputError, match="nothing is there"), fetched(remote(f"{host}/none.jpg"), out):
            pass
        monkeypatch.setattr(module, "MOST_BYTES", 300_000)
        with pytest.raises(InputError, match="too much for its kind"), fetched(remote(f"{host}/endless.jpg"), out):
            pass
        assert not [*out.iterdir()]
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(InputError, match="check the URL and the connection"), fetched(remote(f"{host}/a.jpg"), out):
        pass
