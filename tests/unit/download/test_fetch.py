"""Fetching by URL: resumed, checked, and whole or not there."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stages.core.run.errors import UserError
from stages.download.manifest import DownloadManifest, PackageManifest, fetch, find_package_data, read_manifest
from stages.download.source import locate

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; drops the connection after `limit` bytes of each answer."""

    limit = len(CONTENT)
    knows_ranges = True
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.knows_ranges else 0
        if self.path != "/data.tar" or start >= len(CONTENT):
            self.send_error(404 if self.path != "/data.tar" else 416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + self.server.limit])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def manifest_for(server: Server, *, sha256: str = DIGEST, name: str = "data.tar") -> DownloadManifest:
    url = f"http://127.0.0.1:{server.server_port}/{name}"
    return DownloadManifest(url=url, sha256=sha256, file="data.tar", size="10 kB", licence="CC0")


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    first = fetch(manifest_for(server), tmp_path / "downloads")
    second = fetch(manifest_for(server), tmp_path / "downloads")
    assert first == second
    assert first.read_bytes() == CONTENT
    assert server.asked == [None]
    assert not list(first.parent.glob("*.part"))


def test_an_interrupted_fetch_is_resumed(server: Server, tmp_path: Path) -> None:
    server.limit = 4000
    assert fetch(manifest_for(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=4000-", "bytes=8000-"]


def test_a_part_of_an_earlier_run_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST[:16]}-data.tar.part").write_bytes(CONTENT[:1000])
    assert fetch(manifest_for(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_whole_part_of_an_earlier_run_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST[:16]}-data.tar.part").write_bytes(CONTENT)
    assert fetch(manifest_for(server), tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / f"{DIGEST[:16]}-data.tar.part").write_bytes(b"something else")
    assert fetch(manifest_for(server), tmp_path).read_bytes() == CONTENT


def test_a_damaged_download_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST[:16]}-data.tar").write_bytes(CONTENT[:-1])
    assert fetch(manifest_for(server), tmp_path).read_bytes() == CONTENT


def test_wrong_content_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"the sha256 is {DIGEST}, the manifest names {'0' * 64}"):
        fetch(manifest_for(server, sha256="0" * 64), tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_missing_on_the_server(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.tar could not be fetched \(the server answers 404 .*place the file at"):
        fetch(manifest_for(server, name="gone.tar"), tmp_path)


def test_proxies_come_from_the_environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # nothing listens there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(UserError, match="could not be fetched .*refused"):
        fetch(manifest_for(server), tmp_path)
    assert server.asked == []


def test_bad_manifests(tmp_path: Path) -> None:
    for content, message in (
        ("{", "not a JSON file"),
        ("[]", "a.json: : Input should be"),
        ('{"url": "file:///etc/passwd"}', "url: String should match pattern"),
        ('{"url": "https://x.org/a", "sha256": "abc"}', "sha256: String should match"),
        ('{"url": "https://x.org/a", "file": "../a"}', "file: String should match"),
        ('{"package": "a", "colour": 1}', "colour: Extra inputs are not permitted"),
    ):
        (tmp_path / "a.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            read_manifest(tmp_path / "a.json")


def test_missing_paths(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.json does not exist: write the manifest"):
        locate(tmp_path / "a.json")
    with pytest.raises(UserError, match="data does not exist: correct `path` in params.yaml"):
        locate(tmp_path / "data")


def test_the_manifests_of_this_repository_are_valid() -> None:
    for name in ("elpv", "mvtec", "mvtec_loco"):
        manifest = read_manifest(Path(__file__).parents[3] / "data" / f"{name}.json")
        assert manifest.licence == "CC BY-NC-SA 4.0"


def test_package_that_is_not_as_named() -> None:
    content = json.loads((Path(__file__).parents[3] / "data" / "elpv.json").read_text(encoding="utf-8"))
    for changes, message in (
        ({"package": "no-such-package"}, r"no-such-package is not installed: run `pip install no-such-package==1"),
        ({"version": "0.9"}, r"elpv-dataset 1\.0\.0\.post1 is installed, the manifest names 0\.9"),
        ({"folder": "elpv_dataset/nowhere"}, r"labels\.csv is missing: run `pip install .* --force-reinstall"),
        ({"labels_sha256": "0" * 64}, "is not the file the manifest names"),
        ({"images": 2623}, "is not the file the manifest names"),
    ):
        with pytest.raises(UserError, match=message):
            find_package_data(PackageManifest.model_validate(content | changes))
