"""Fetching by URL: resumed, checked, and whole or not there."""

import base64
import hashlib
import io
import json
import threading
import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stages.core.io.fetch import Refused, SafeRedirects, fetch_file
from stages.core.run.errors import UserError
from stages.download.manifest import DownloadManifest, PackageManifest, fetch, find_package_data, read_manifest
from stages.download.source import locate
from tests.table import new_folder, violations

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content`; drops the connection after `limit` bytes of each answer."""

    content = CONTENT
    limit = len(CONTENT)
    knows_ranges = True
    headers: dict[str, str | None]  # of an answer, in place of the right ones; None leaves one out
    moved_to: str | None = None  # where /moved redirects to
    after_first: bytes | None = None  # the content from the second answer on
    asked: list[str | None]
    credentials: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        server.credentials.append(self.headers.get("Authorization"))
        if self.path.startswith("/moved") and server.moved_to:
            self.send_response(302)
            self.send_header("Location", server.moved_to)
            self.end_headers()
            return
        tag = server.headers.get("ETag")
        same = self.headers.get("If-Range") in (None, tag)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.knows_ranges and same else 0
        if not self.path.startswith("/data.tar") or start >= len(server.content):
            self.send_error(404 if not self.path.startswith("/data.tar") else 416)
            return
        self.send_response(206 if start else 200)
        size = len(server.content)
        own = {
            "Content-Length": str(size - start),
            "Content-Range": f"bytes {start}-{size - 1}/{size}" if start else None,
        }
        for name, value in (own | server.headers).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(server.content[start : start + server.limit])
        if server.after_first is not None:
            server.content, server.headers["ETag"] = server.after_first, tag and '"second"'

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked, running.credentials, running.headers = [], [], {}
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


def test_a_part_of_another_version_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST[:16]}-data.tar.part").write_bytes(b"A" * 1000)
    assert fetch(manifest_for(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]


def test_wrong_content_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"the sha256 is {DIGEST}, the manifest names {'0' * 64}: the file there has"):
        fetch(manifest_for(server, sha256="0" * 64), tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' server has no certificate."""
    monkeypatch.setattr("stages.core.io.fetch.PROVEN", ("http", "https"))


def unpinned(server: Server, target: Path, path: str = "data.tar") -> str:
    """Fetch without a sha256."""
    return fetch_file(f"http://127.0.0.1:{server.server_port}/{path}", target, sha256=None, about="weights")


@pytest.mark.usefixtures("trusting")
def test_without_a_sha256_no_two_versions_are_glued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"A" * 1000)  # of an earlier run
    assert unpinned(server, tmp_path / "a") == DIGEST
    server.limit, server.headers, server.asked[:] = 4000, {"ETag": '"first"'}, []
    assert unpinned(server, tmp_path / "b") == DIGEST  # of one version, as its tag says
    assert server.asked == [None, "bytes=4000-", "bytes=8000-"]
    server.after_first, server.limit = CONTENT[::-1], 7000
    unpinned(server, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == CONTENT[::-1]


@pytest.mark.usefixtures("trusting")
def test_without_a_sha256_only_a_whole_answer_is_taken(server: Server, tmp_path: Path) -> None:
    def check(headers: dict[str, str | None], limit: int, message: str) -> None:
        server.headers, server.limit = headers, limit
        with pytest.raises(UserError, match=f"data.tar could not be fetched .*{message}"):
            unpinned(server, new_folder(tmp_path) / "a")

    rows = [
        ({}, 4000, "the connection ended early"),  # without a tag it starts again each time
        ({"Content-Length": None}, len(CONTENT), "does not say how long the file is"),
        ({"Content-Length": "abc"}, len(CONTENT), "does not say how long the file is"),
        ({"Content-Length": "-5"}, len(CONTENT), "does not say how long the file is"),
        ({"ETag": '"first"', "Content-Range": "bytes 0-9/10"}, 4000, "the connection ended early"),
    ]
    assert violations(check, rows) == []


def test_without_a_sha256_http_is_not_enough(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="what comes over http is not proven .*name its sha256 in the manifest"):
        unpinned(server, tmp_path / "a")
    assert server.asked == []


def test_an_odd_length_does_not_matter_where_the_sha256_is_known(server: Server, tmp_path: Path) -> None:
    server.headers = {"Content-Length": "abc"}
    assert fetch(manifest_for(server), tmp_path).read_bytes() == CONTENT


def test_redirects_lead_to_no_other_scheme(server: Server, tmp_path: Path) -> None:
    def check(target: str, message: str) -> None:
        server.moved_to = target
        with pytest.raises(UserError, match=f"moved could not be fetched .*{message}"):
            fetch(manifest_for(server, name="moved"), new_folder(tmp_path))

    rows = [
        ("file:///etc/passwd", "file"),
        ("ftp://127.0.0.1/a", "it redirects from http to ftp, which is not followed"),
        ("http://[::1", "it redirects to what is no address"),
        ("http://a..b/", "could not|no address"),
    ]
    assert violations(check, rows) == []
    server.moved_to = f"http://127.0.0.1:{server.server_port}/data.tar"
    assert fetch(manifest_for(server, name="moved"), tmp_path).read_bytes() == CONTENT
    request = urllib.request.Request("https://example.org/a")
    with pytest.raises(Refused, match="it redirects from https to http, which is not followed"):
        SafeRedirects().redirect_request(request, io.BytesIO(), 302, "Found", Message(), "http://example.org/a")


def test_passwords_and_tokens_are_sent_and_not_shown(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = f"127.0.0.1:{server.server_port}"
    with caplog.at_level("INFO"):
        url = f"http://user:p%40ss@{place}/data.tar?token=abc123"
        fetch_file(url, tmp_path / "a", sha256=DIGEST, about="data")
        assert server.credentials == ["Basic " + base64.b64encode(b"user:p@ss").decode()]
        for path, moved_to in (("gone", None), ("moved", f"file://user:p%40ss@{place}/?token=abc123"),
                               ("moved", f"http://user:p%40ss@{place}/gone?token=abc123")):  # fmt: skip
            server.moved_to = moved_to
            with pytest.raises(UserError, match=f"http://{place}/{path}.* could not be fetched") as caught:
                fetch_file(url.replace("data.tar", path), tmp_path / "b", sha256=DIGEST, about="data")
            for secret in ("user", "p%40ss", "p@ss", "abc123"):
                assert secret not in f"{caught.value} {caplog.text}"


def test_addresses_that_are_none(tmp_path: Path) -> None:
    def check(url: str) -> None:
        with pytest.raises(UserError, match="^weights: its address is not (valid|one of http or https)") as caught:
            fetch_file(url, tmp_path / "a", sha256=DIGEST, about="weights")
        assert "secret" not in str(caught.value)

    urls = ["http://[::1", "http://a..b/", "http://u:secret/x@host/", "file:///etc/passwd", "https://", "x", "",
            "https://host/a b", "https://host/a\nb", "https://host:99999999/", f"https://{'a' * 70}.org/"]  # fmt: skip
    assert violations(check, zip(urls)) == []


def test_places_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "folder", tmp_path / "file/a", tmp_path / ("a" * 253)):
        with pytest.raises(
            UserError, match=r"cannot be written \((Is a directory|Not a directory|File exists|File name too long)"
        ):
            fetch_file(f"http://127.0.0.1:{server.server_port}/data.tar", target, sha256=DIGEST, about="data")


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
        ("[]", "a.json: the content is \[\]: expected section \(url, sha256"),
        ('{"url": "file:///etc/passwd"}', "url is 'file:///etc/passwd': expected text of the form"),
        ('{"url": "https://x.org/a", "sha256": "abc"}', "sha256 is 'abc': expected text of the form"),
        ('{"url": "https://x.org/a", "file": "../a"}', "file is '../a': expected text of the form"),
        ('{"package": "a", "colour": 1}', "colour: unknown key, and version, folder"),
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
