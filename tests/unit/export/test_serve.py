"""`oddpart serve`, asked by a real client: who may, what is taken in, and what holds under load."""

import base64
import hashlib
import io
import logging
import random
import shutil
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

import oddpart
from commands.app import app
from tests.table import violations
from tests.unit.commands.predict.case import INPUTS
from tests.unit.export.conftest import Exported, change_manifest
from tests.unit.export.serving import ASK, TOKEN, Server, files, picture, rows, serving

LOG = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def server(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    words = [str(exported.bundles / "patchcore"), f"best={exported.bundles / 'oddpart'}"]
    with serving(*words, "--timeout", "4", "--max-body", "2", store=folder / "v.sqlite") as server:
        yield server
        assert server.process.poll() is None, (folder / "v.log").read_text()


def as_json(*pictures: bytes) -> dict[str, Any]:
    return {"pictures": [{"name": "a.png", "data": base64.b64encode(one).decode()} for one in pictures]}


def test_who_may_ask(server: Server) -> None:
    def check(path: str, header: str | None, expected: int) -> None:
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        assert httpx.get(server.address + path, headers=headers).status_code == expected

    cases = [
        ("/products", f"Bearer {TOKEN}", 200), ("/products", f"bearer {TOKEN}", 200),
        ("/metrics", f"Bearer {TOKEN}", 200),
        ("/products", None, 401), ("/products", f"Bearer {TOKEN}x", 401), ("/products", f"Bearer {TOKEN[:-1]}", 401),
        ("/products", f"Basic {TOKEN}", 401), ("/products", TOKEN, 401), ("/products", "Bearer", 401),
        ("/products", "Bearer \xe9", 401), ("/metrics", None, 401), ("/nothing", None, 401), ("/docs/x", None, 401),
        ("/healthz", None, 200), ("/readyz", None, 200), ("/docs", None, 200), ("/openapi.json", None, 200),
    ]  # fmt: skip
    assert violations(check, cases) == []
    for path in (ASK, "/products/part/reload"):
        refused = httpx.post(server.address + path, files=files(picture(0)))
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


def test_a_service_that_others_could_use_does_not_start(
    exported: Exported,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    bundle, secret = str(exported.bundles / "patchcore"), tmp_path / "token"
    monkeypatch.delenv("ODDPART_TOKEN", raising=False)

    def check(words: list[str], token: str | None, mode: int, message: str) -> None:
        secret.write_text(f"{token}\n")
        secret.chmod(mode)
        caplog.clear()
        done = CliRunner().invoke(app, ["serve", bundle, *words], catch_exceptions=False)
        assert done.exit_code == 1
        said = caplog.text + "".join(capfd.readouterr())
        assert message in said
        assert str(token) not in said + done.output

    own = ["--token-file", str(secret)]
    cases = [
        ([], None, 0o600, "a token is needed"),
        (own, TOKEN, 0o644, "others may read it: `chmod 600"),
        (own, TOKEN, 0o640, "others may read it"),
        (own, "tooshort", 0o600, "a token has 16 or more letters and digits"),
        (["--token-file", str(tmp_path)], TOKEN, 0o600, "cannot be read"),
        (["--insecure-loopback", "--host", "0.0.0.0"], TOKEN, 0o600, "goes with --host 127.0.0.1 only"),
        (["--insecure-loopback", "--host", "localhost"], TOKEN, 0o600, "goes with --host 127.0.0.1 only"),
        ([*own, "--insecure-loopback"], TOKEN, 0o600, "name one of them"),
        ([bundle, *own], TOKEN, 0o600, "part is served from"),
        ([*own, "--queue", "0"], TOKEN, 0o600, "the limit of waiting is 0"),
    ]
    assert violations(check, cases) == []


def test_a_service_that_cannot_work_does_not_start(
    exported: Exported, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("a text that is longer than the header of a database" * 9)
    words = ["serve", str(exported.bundles / "patchcore"), "--insecure-loopback"]

    def check(more: list[str], store: str, message: str) -> None:
        caplog.clear()
        store = store if "://" in store else str(tmp_path / store)
        done = CliRunner().invoke(app, [*words, *more, "--store", store], catch_exceptions=False)
        assert done.exit_code == 1
        said = caplog.text + "".join(capfd.readouterr())
        assert message in said
        assert "Traceback" not in said + done.output
        assert "s3cret" not in said
        assert "listening" not in said

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = ["--port", str(taken.getsockname()[1])]
        cases = [
            (port, "v.sqlite", "cannot be listened on (Address already in use): name another --port"),
            ([], ".", "is a folder: name the verdict store in it, for example"),
            ([], "text", "is no database, or damaged"),
            ([], "text/v.sqlite", "cannot be made"),
            ([], "mysql://me:s3cret@host/x", "mysql is no kind of database that is known here"),
        ]
        assert violations(check, cases) == []


def test_without_a_token_only_this_machine_is_answered(exported: Exported, tmp_path: Path) -> None:
    words = [str(exported.bundles / "patchcore"), "--insecure-loopback"]
    with serving(*words, store=tmp_path / "v.sqlite") as server:
        assert httpx.get(f"{server.address}/products").status_code == 200
        assert httpx.get(f"{server.address}/products", headers={"Host": "evil.example"}).status_code == 400
        for origin, expected in (("https://evil.example", 403), ("null", 403), (server.address, 200)):
            asked = httpx.post(server.address + ASK, files=files(picture(0)), headers={"Origin": origin})
            assert asked.status_code == expected


def test_verdicts_are_those_of_the_bundle(exported: Exported, server: Server) -> None:
    contents = [(INPUTS / f"images/{number}.png").read_bytes() for number in (20, 23, 24)]
    with server.client() as client:
        several = client.post(ASK, files=files(*contents)).raise_for_status().json()
        one = client.post("/products/best/predict", json=as_json(contents[1])).raise_for_status().json()
        products = client.get("/products").json()
    for name, answer in (("patchcore", several), ("oddpart", one)):
        bundle = oddpart.load(exported.bundles / name)
        assert answer["method"] == name
        for verdict, number in zip(answer["verdicts"], (20, 23, 24) if name == "patchcore" else (23,), strict=True):
            expected = bundle.predict(INPUTS / f"images/{number}.png")
            assert verdict["score"] == expected.score
            assert (verdict["is_anomalous"], verdict["unsure"]) == (expected.is_anomalous, expected.unsure)
            assert verdict["p_value"] == pytest.approx(expected.p_value, abs=1e-6)
            assert verdict["branches"] == expected.branches
            assert verdict["bundle_sha256"] == bundle.manifest["sha256"]
            row = next(row for row in rows(server.store) if row[1:3] == (verdict["sha256"], verdict["score"]))
            assert row[3:] == ("line 1", "serve")
    assert [one["name"] for one in products] == ["part", "best"]


def test_the_example_of_the_page_is_judged(server: Server) -> None:
    page = httpx.get(f"{server.address}/openapi.json").json()
    body = page["paths"]["/products/{name}/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    with server.client() as client:
        answer = client.post(ASK, json=body).raise_for_status().json()
        text = client.get("/metrics").text
    assert answer["verdicts"][0]["error"] is None
    assert 'oddpart_verdicts_total{product="part"' in text
    assert "oddpart_bundle_info{" in text


def ask_with_tags(
    server: Server, number: int, *, query: str = "", header: str = "", form: dict[str, Any] | None = None
) -> httpx.Response:
    headers = [("Oddpart-Tag", header)] if header else []
    with server.client() as client:
        return client.post(f"{ASK}?{query}", files=files(picture(number)), headers=headers, data=form or {})


def test_tags_come_by_header_address_form_and_json(server: Server) -> None:
    ask = partial(ask_with_tags, server)

    def tags_of(answer: httpx.Response) -> dict[str, str]:
        return dict(answer.raise_for_status().json()["verdicts"][0]["tags"])

    assert tags_of(ask(900)) == {}
    assert tags_of(ask(901, query="tag=lot%3D12&tag=line=4", header="shift=a, who=Anna%2C%20Ole")) == {
        "lot": "12", "line": "4", "shift": "a", "who": "Anna, Ole",
    }  # fmt: skip
    assert tags_of(ask(902, form={"tag": ["lot=13", "camera=2"]}, header="lot=13")) == {"lot": "13", "camera": "2"}
    body = as_json(picture(903), picture(904)) | {"tags": {"lot": "14"}}
    body["pictures"][1]["tags"] = {"camera": "3"}
    with server.client() as client:
        first, second = client.post(ASK, json=body).raise_for_status().json()["verdicts"]
    assert (first["tags"], second["tags"]) == ({"lot": "14"}, {"lot": "14", "camera": "3"})
    own = [hashlib.sha256(picture(number)).hexdigest() for number in range(900, 905)]  # other tests ask it, too
    statement = "SELECT picture_sha256, value FROM verdicts JOIN tags USING (tag_set) WHERE key = 'lot'"
    with closing(sqlite3.connect(server.store)) as database:
        lots = dict(database.execute(statement).fetchall())
    assert [lots.get(one) for one in own] == [None, "12", "13", "14", "14"]


def test_tags_that_cannot_be_meant_are_refused(server: Server) -> None:
    ask = partial(ask_with_tags, server)

    def check(answer: httpx.Response, message: str) -> None:
        assert (answer.status_code, message in answer.text) == (400, True), answer.text

    def json_with(tags: object) -> httpx.Response:
        with server.client() as client:
            return client.post(ASK, json=as_json(picture(905)) | {"tags": tags})

    def json_with_two_lots() -> httpx.Response:
        body = as_json(picture(905)) | {"tags": {"lot": "1"}}
        body["pictures"][0]["tags"] = {"lot": "2"}
        with server.client() as client:
            return client.post(ASK, json=body)

    cases = [
        (json_with_two_lots(), "the tag lot is both '1' and '2'"),
        (ask(905, query="tag=lot"), "has no value"),
        (ask(905, header="a b=1"), "the tag's key"),
        (ask(905, query="tag=lot=1", header="lot=2"), "the tag lot is both"),
        (ask(905, form={"tag": [f"k{number}=1" for number in range(33)]}), "more than 32 tags"),
        (json_with({"lot": 3}), "the tag lot has the value"),
        (json_with(["lot=3"]), "`tags` is no"),
    ]
    assert violations(check, cases) == []


def png(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("1", (width, height)).save(content, format="PNG")
    return content.getvalue()


def test_what_cannot_be_judged_is_refused(server: Server) -> None:
    form, head = (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="p"; filename="a.png"\r\n',
    )
    good = picture(1)

    def check(kind: str, body: bytes, expected: int) -> None:
        with server.client() as client:
            answer = client.post(ASK, content=body, headers={"Content-Type": kind})
            assert answer.status_code == expected, answer.text
            assert answer.json()

    cases = [
        (form, head + b"\r\n" + good + b"\r\n--x--\r\n", 200),
        (form, b"", 400), (form, b"no form at all", 400), (form, head, 400), (form, head + b"\r\n" + good[:99], 400),
        (form, head + b"\0bad header\r\n\r\n" + good + b"\r\n--x--\r\n", 400),
        (form, b'--x\r\nContent-Disposition: form-data; name="p"\r\n\r\ntext\r\n--x--\r\n', 400),
        ("multipart/form-data", head + b"\r\n", 400), ("multipart/form-data; boundary=" + "y" * 300, head, 400),
        ("text/plain", good, 415), ("", good, 415), ("image/png", good, 415),
        ("application/json", b"{", 400), ("application/json", b"[" * 90_000, 400), ("application/json", b"\xff", 400),
        ("application/json", b'{"pictures": {}}', 400), ("application/json", b'{"pictures": []}', 400),
        ("application/json", b'{"pictures": [{"data": 7}]}', 400), ("application/json", b'{"pictures": ["a"]}', 400),
        ("application/json", b'{"pictures": [{"name": "a", "data": "no base64!"}]}', 400),
        ("application/json", b'{"pictures": [{"name": 3, "data": ""}]}', 422),
        (form, b"x" * 2_000_001, 413),
        (form, b"".join(head + b"\r\n" + good + b"\r\n" for _ in range(17)) + b"--x--\r\n", 413),
        (form, head + b"\r\ntext\r\n--x--\r\n", 422), (form, head + b"\r\n" + good[:-900] + b"\r\n--x--\r\n", 422),
        (form, head + b"\r\n" + png(9, 9) + b"\r\n--x--\r\n", 422),
        (form, head + b"\r\n" + png(10_000, 10_000) + b"\r\n--x--\r\n", 413),
    ]  # fmt: skip
    before = server.peak()
    assert violations(check, cases) == []
    assert server.peak() - before < 60, "100 megapixels would be 300 MiB"
    with server.client() as client:
        assert client.post("/products/other/predict", files=files(good)).status_code == 404
        mixed = client.post(ASK, files=files(good, b"text", good))
    assert (mixed.status_code, [one["error"] is None for one in mixed.json()["verdicts"]]) == (200, [True, False, True])


def test_noise_is_answered(server: Server) -> None:
    """Damaged forms by the hundred: always a status below 500."""
    chance = random.Random(0)
    request = httpx.Request("POST", server.address, files=files(picture(1), picture(2)))
    body, kind = request.read(), request.headers["content-type"]
    with server.client() as client:
        for _ in range(150):
            damaged = bytearray(body)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.choice([chance.randrange(200), chance.randrange(len(body))])] = chance.randrange(256)
            damaged = damaged[: chance.choice([len(damaged), chance.randrange(len(damaged))])]
            status = client.post(ASK, content=bytes(damaged), headers={"Content-Type": kind}).status_code
            assert status in (200, 400, 422), status


def test_a_slow_client_blocks_nobody_and_is_given_up(server: Server) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    head = f"POST {ASK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: multipart/form-data; "
    head += "boundary=x\r\nContent-Length: 100000\r\n\r\n"
    slow = [socket.create_connection((host, int(port)), timeout=30) for _ in range(20)]
    try:
        for one in slow:
            one.sendall(head.encode() + b"--x")
        started = time.monotonic()
        with server.client() as client:
            assert client.post(ASK, files=files(picture(1))).status_code == 200
        assert time.monotonic() - started < 3.5, "before the slow ones are given up"
        assert {one.recv(12) for one in slow} == {b"HTTP/1.1 408"}
    finally:
        for one in slow:
            one.close()


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_too_much_is_put_off(exported: Exported, tmp_path: Path, seconds: int) -> None:
    """More than is judged comes all the time: 429 and nothing else, and memory stays bounded."""
    words = [str(exported.bundles / "oddpart"), "--queue", "8", "--max-held", "33"]
    with serving(*words, store=tmp_path / "v.sqlite") as server:
        with server.client() as client:
            client.post(ASK, files=files(picture(0))).raise_for_status()
        before, seen, retry = server.resident(), Counter[int](), set[str]()
        contents, started = [picture(number, side=400) for number in range(24)], time.monotonic()

        def is_over() -> bool:
            passed = time.monotonic() - started
            return passed > seconds and (len(seen) > 1 or passed > seconds + 30)

        def ask(content: bytes) -> None:
            with server.client() as client:
                while not is_over():
                    answer = client.post(ASK, files=files(content))
                    seen[answer.status_code] += 1
                    retry.add(answer.headers.get("retry-after", ""))
                    assert client.get("/healthz").status_code == 200

        threads = [threading.Thread(target=ask, args=[content]) for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(seen) == {200, 429}, seen
        assert all(one.isdecimal() for one in retry - {""})
        assert seconds < 60 or seen.total() > 4 * seen[200], "less was asked than four times of what is judged"
        LOG.info("%s in %d s, memory rose by %.0f MiB", dict(seen), seconds, server.peak() - before)
        assert server.peak() - before < 200
        assert server.stop() == 0


@contextmanager
def asking(server: Server, clients: int, seen: list[tuple[int, str]]) -> Iterator[None]:
    """Ask all the while; status and bundle of each answer go into `seen`."""
    stop = threading.Event()

    def ask(number: int) -> None:
        with server.client() as client:
            while not stop.is_set():
                answer = client.post(ASK, files=files(picture(number)))
                seen.append((answer.status_code, answer.json()["verdicts"][0]["bundle_sha256"]))

    threads = [threading.Thread(target=ask, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
        time.sleep(0.3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_bundle_is_replaced_under_load_and_no_request_is_dropped(exported: Exported, tmp_path: Path) -> None:
    link, other, wrong = tmp_path / "current", tmp_path / "other", tmp_path / "wrong"
    for folder, changes in ((other, {"commit": "newer"}), (wrong, {"product": "another"})):
        shutil.copytree(exported.bundles / "patchcore", folder)
        change_manifest(folder, changes, seal=True)
    seen: list[tuple[int, str]] = []

    def point(to: Path) -> None:
        (tmp_path / "new").symlink_to(to)
        (tmp_path / "new").rename(link)

    point(exported.bundles / "patchcore")
    with serving(str(link), store=tmp_path / "v.sqlite") as server, asking(server, 3, seen), server.client() as client:
        first = client.get("/products").json()[0]["bundle_sha256"]
        assert client.post("/products/part/reload").json() == {"changed": False, "bundle_sha256": first}
        point(other)
        assert client.post("/products/part/reload").json()["changed"]
        for bad, message in ((wrong, "is of the product another"), (tmp_path, "is no bundle")):
            point(bad)
            refused = client.post("/products/part/reload")
            assert (refused.status_code, message in refused.text) == (409, True)
        assert client.get("/products").json()[0]["commit"] == "newer"
        point(exported.bundles / "patchcore")
        server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while client.get("/products").json()[0]["bundle_sha256"] != first:
            assert time.monotonic() < end
            time.sleep(0.1)
    assert {status for status, _ in seen} == {200}
    assert len({seal for _, seal in seen}) == 2
