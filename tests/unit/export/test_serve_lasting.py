"""What outlives a stop, a kill and a store that fails, of `oddpart serve`."""

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx

from tests.unit.export.conftest import Exported
from tests.unit.export.serving import ASK, Server, files, picture, rows, serving


def test_sigterm_answers_what_came_and_sigkill_loses_no_answer(exported: Exported, tmp_path: Path) -> None:
    bundle, store = str(exported.bundles / "oddpart"), tmp_path / "v.sqlite"
    answered: list[tuple[str, int]] = []

    def ask(server: Server, number: int) -> None:
        with server.client() as client:
            try:
                answer = client.post(ASK, files=files(picture(number), picture(-number - 1 + 2000)))
            except httpx.TransportError:
                return
            answered.extend((one["sha256"], answer.status_code) for one in answer.json()["verdicts"])

    for end, first in ((signal.SIGTERM, 0), (signal.SIGKILL, 100)):
        answered.clear()
        with serving(bundle, store=store) as server:
            threads = [threading.Thread(target=ask, args=[server, first + number]) for number in range(8)]
            for thread in threads:
                thread.start()
            time.sleep(0.6)
            worker = server.worker
            os.kill(worker if end == signal.SIGKILL else server.process.pid, end)
            for thread in threads:
                thread.join()
            if end == signal.SIGKILL:  # it is started again, by itself; requests wait in the socket
                with server.client() as client:
                    client.post(ASK, files=files(picture(200))).raise_for_status()
                assert server.worker != worker
                assert "ended (exit code -9): it was started again" in store.with_suffix(".log").read_text()
                assert server.stop() == 0
            assert server.process.wait(timeout=60) == 0
        assert {status for _, status in answered} <= {200}
        assert len(answered) == 16 or end == signal.SIGKILL
        assert {sha256 for sha256, _ in answered} <= {row[1] for row in rows(store)}
    with serving(bundle, store=store) as server, server.client() as client:
        before = len(rows(store))
        for _ in range(2):
            client.post(ASK, files=files(picture(5000))).raise_for_status()
        assert len(rows(store)) == before + 1


def test_who_supervises_is_killed_and_who_judges_ends_too(exported: Exported, tmp_path: Path) -> None:
    """Else the port would be taken by a process that nobody restarts."""
    with serving(str(exported.bundles / "patchcore"), store=tmp_path / "v.sqlite") as server:
        worker = server.worker
        server.process.kill()
        server.process.wait()
        end = time.monotonic() + 30
        while Path(f"/proc/{worker}").exists():
            assert time.monotonic() < end
            time.sleep(0.1)


def test_a_store_that_fails_and_comes_back(exported: Exported, tmp_path: Path) -> None:
    """503 with Retry-After meanwhile, and no verdict; ready again by itself, without a request."""
    store = tmp_path / "v.sqlite"
    with serving(str(exported.bundles / "patchcore"), store=store) as server, server.client() as client:
        with closing(sqlite3.connect(store, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = client.post(ASK, files=files(picture(1)))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "could not be stored" in refused.text
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200
        end = time.monotonic() + 30
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert rows(store) == []
        client.post(ASK, files=files(picture(1))).raise_for_status()
        assert len(rows(store)) == 1
        assert server.stop() == 0


def test_what_is_answered_is_what_is_stored_also_for_a_picture_that_comes_again(
    exported: Exported, tmp_path: Path
) -> None:
    """Of another lot it has a row of its own; of the same one, as after an answer that was lost, the first stays."""
    store, answers = tmp_path / "v.sqlite", []
    with serving(str(exported.bundles / "patchcore"), store=store) as server, server.client() as client:
        for lot in ("20", "21", "20"):
            answer = client.post(f"{ASK}?tag=lot={lot}", files=files(picture(0))).raise_for_status()
            answers.append(answer.json()["verdicts"][0])
        assert server.stop() == 0
    with closing(sqlite3.connect(store)) as database:
        joined = "verdicts JOIN tags USING (tag_set)"
        stored = database.execute(f"SELECT value, time FROM {joined} WHERE key = 'lot' ORDER BY id").fetchall()
    answered = [(one["tags"]["lot"], one["time"]) for one in answers]
    assert [lot for lot, _ in answered] == ["20", "21", "20"]
    assert stored == answered[:2]
    assert answered[2] == answered[0]
