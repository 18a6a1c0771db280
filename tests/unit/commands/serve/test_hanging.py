"""A judge that hangs: the service says so, and its process ends so that another one is started."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient

from commands.serve.application import Service, make_application
from commands.serve.lane import Job, Lane
from commands.serve.products import Product
from commands.serve.settings import Guard, Limits
from stages.core.runtime.calibration import Calibration, Threshold
from tests.architecture.source_files import ROOT
from tests.unit.export.serving import picture

ENDING = """
import threading, time
from commands.serve.lane import Lane
from commands.serve.working import end_when_stuck
from stages.core.run.console import set_up_logging

set_up_logging()
lane = Lane("v.sqlite", "line 1", 8, 10**6)
lane.thread = threading.Thread(target=time.sleep, args=[60], daemon=True)
lane.thread.start()
lane.busy_since = time.monotonic()
end_when_stuck(lane, 1.5)
"""


def test_a_picture_that_is_judged_for_ever_is_seen_by_the_health_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    go_on = threading.Event()

    def judge(pixels: np.ndarray) -> SimpleNamespace:
        go_on.wait(60)
        return SimpleNamespace(score=1.0, branches={}, anomaly_map=np.zeros((4, 4), np.float32), explanations=())

    calibration = Calibration(Threshold(100.0, 0.05, 0.05, 4, 19), median=50.0, low=0.0, high=1.0)
    about = {"category": "part", "method": "x", "bundle_sha256": "ab" * 32, "commit": None}
    judging = SimpleNamespace(calibration=calibration, grey_range=None, about=about, judge=judge)
    limits = Limits(judging=0.05)
    lane = Lane("v.sqlite", "line 1", limits.waiting, limits.pixels)
    lane.start()
    product = Product("part", Path("bundle"), None, judging)  # type: ignore[arg-type]
    client = TestClient(make_application(Service({"part": product}, lane, limits, Guard(None))))
    try:
        assert client.get("/healthz").status_code == 200
        lane.admit([Job(product, "a.png", picture(1), time.monotonic() + 60)])
        end = time.monotonic() + 30
        while (answer := client.get("/healthz")).status_code == 200:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert (answer.status_code, answer.text) == (503, "the judging thread hangs or ended\n")
        assert time.monotonic() - end + 30 >= limits.hanging
        go_on.set()
        while client.get("/healthz").status_code != 200:
            assert time.monotonic() < end, "it goes on, and all is well"
            time.sleep(0.05)
    finally:
        go_on.set()
        lane.stop()


def test_the_process_ends_whose_judging_thread_hangs(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ENDING], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "the thread that judges hangs for over 1.5 seconds" in " ".join(done.stderr.split())
    assert time.monotonic() - started > 1.5
