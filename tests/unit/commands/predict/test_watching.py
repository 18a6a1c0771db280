"""A watched drop folder: whole files only, each judged once, whatever is killed when."""

import csv
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from commands.app import app
from commands.predict.bursts import TOGETHER, Found
from commands.predict.dropping import Drop, Sightings
from commands.predict.projecting import Projection
from commands.predict.running import Wishes
from commands.predict.watching import Watcher
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import Refused, Verdict
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import Calibration, Threshold
from tests.architecture.source_files import ROOT

WATCH = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from commands.app import app
from commands.predict.dropping import Drop
from commands.predict.running import Wishes
from commands.predict.watching import watch
from commands.verbs import verb
from stages.core.runtime.calibration import Calibration, Threshold
import typer

def judge(picture):
    time.sleep(float(sys.argv[1]))
    print("judged", flush=True)
    return SimpleNamespace(score=float(picture.mean()), branches={"students": 1.0},
                           anomaly_map=np.zeros((4, 4), dtype=np.float32), explanations=())

calibration = Calibration(Threshold(100.0, 0.05, 0.05, 4, 19), median=50.0, low=0.0, high=1.0)
about = {"category": "part", "method": "x", "bundle_sha256": "ab" * 32, "commit": None}
one = SimpleNamespace(calibration=calibration, grey_range=None, covers_components=True, about=about, judge=judge)
drop = Drop(Path("cam"), stay="stay" in sys.argv, settle=0.1, patience=float(sys.argv[2]), poll=0.03)

@verb
def run():
    return watch(one, drop, Wishes(Path("out"), heatmaps="heat" in sys.argv, station="line 1"))

own = typer.Typer()
own.command()(run)
own([])
"""
SAID = Path("said.txt")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    Path("cam").mkdir()


def start(*words: str, seconds: float = 0.0, patience: float = 0.6) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WATCH, str(seconds), str(patience), *words]
    with SAID.open("w") as said:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a process and return what it said, its line breaks as spaces."""
    process.wait(timeout=60)
    return " ".join(SAID.read_text().split())


def stop(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    said = ended(process)
    assert process.returncode == 0, said
    return said


def content(number: int) -> bytes:
    """A picture that no other number has."""
    picture = np.random.default_rng(number).integers(0, 150, (24, 24, 3)).astype(np.uint8)
    Image.fromarray(picture).save("drawn.png")
    return Path("drawn.png").read_bytes()


def stored(columns: str = "picture") -> list[tuple[str, ...]]:
    if not Path("out/verdicts.sqlite").exists():
        return []
    with closing(sqlite3.connect("out/verdicts.sqlite")) as database:
        return database.execute(f"SELECT {columns} FROM verdicts ORDER BY id").fetchall()


def wait(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it never did, or the process ended.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, ended(process)
        assert time.monotonic() < end, sorted(str(path) for path in Path("cam").rglob("*"))
        time.sleep(0.05)


def files(folder: str) -> dict[str, bytes]:
    below = Path(folder)
    return {str(path.relative_to(below)): path.read_bytes() for path in below.rglob("*") if path.is_file()}


def test_whole_files_are_judged_and_moved_others_stay() -> None:
    """A half picture is no error until it stays so; what is no picture is left alone."""
    Path("cam/sub").mkdir()
    Path("cam/sub/a.png").write_bytes(content(1))
    Path("cam/b.png").write_bytes(content(2)[:300])
    Path("cam/never.png").write_bytes(content(3)[:300])
    Path("cam/c.png.part").write_bytes(content(4))
    Path("cam/notes.txt").write_text("a note")
    Path("cam/done").mkdir()
    Path("cam/done/b.png").write_bytes(b"of yesterday")
    process = start("heat", patience=5)
    wait(lambda: Path("cam/done/sub/a.png").exists(), process)
    time.sleep(0.5)
    assert set(files("cam")) == {"b.png", "never.png", "c.png.part", "notes.txt", "done/b.png", "done/sub/a.png"}
    Path("cam/b.png").write_bytes(content(2))
    Path("cam/c.png.part").rename("cam/c.png")
    wait(lambda: Path("cam/done/c.png").exists() and Path("cam/done/b-2.png").exists(), process)
    wait(lambda: Path("cam/unreadable/never.png").exists(), process)
    said = stop(process)
    assert "3 pictures judged, 0 anomalous, 1 unreadable" in said
    assert files("cam/done") == {
        "b.png": b"of yesterday", "b-2.png": content(2), "c.png": content(4), "sub/a.png": content(1),
    }  # fmt: skip
    assert {name for (name,) in stored()} == {"sub/a.png", "b.png", "c.png"}
    with Path("out/unreadable.csv").open(encoding="utf-8", newline="") as table:
        (row,) = csv.DictReader(table)
    assert row["picture"] == "never.png"
    assert "truncated" in row["error"]
    assert len(files("out/heatmaps")) == 3


def test_a_name_that_comes_again_is_another_picture() -> None:
    process = start()
    for number in range(3):
        Path("cam/latest.png").write_bytes(content(number))
        wait(lambda: not Path("cam/latest.png").exists() and not files("cam/.judging"), process)
    stop(process)
    assert sorted(files("cam/done").values()) == sorted(content(number) for number in range(3))
    assert len(stored()) == 3


def test_pictures_that_stay_are_remembered_over_a_restart() -> None:
    for number in range(3):
        Path(f"cam/{number}.png").write_bytes(content(number))
    for expected in (3, 4):
        process = start("stay")
        wait(lambda expected=expected: Path("out/scores.csv").exists() and len(stored()) == expected, process)
        time.sleep(0.5)
        stop(process)
        assert len(stored()) == expected
        Path("cam/0.png").write_bytes(content(7))
    assert set(files("cam")) == {"0.png", "1.png", "2.png"}


def test_one_watch_a_folder() -> None:
    process = start()
    wait(lambda: Path("out/verdicts.sqlite").exists(), process)
    other = start()
    assert "another `oddpart predict --watch` works here" in ended(other)
    assert other.returncode == 1
    stop(process)
    Path("out/run.json").write_text("{}")
    assert "holds something else than results of --watch" in ended(start())


def test_a_watch_takes_a_bundle_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        (["bundle", "a.png"], "a.png: with --watch name a bundle, and nothing else"),
        (["bundle", "--category", "part"], "part: with --watch name a bundle"),
        (["bundle", "--overwrite"], "--overwrite does not go with --watch"),
        (["bundle"], "bundle: is no bundle"),
    ]
    for words, message in rows:
        caplog.clear()
        done = CliRunner().invoke(app, ["predict", *words, "--watch", "cam", "--output", "out"])
        assert done.exit_code == 1
        assert message in caplog.text


def test_a_picture_that_is_replaced_while_it_is_judged_is_judged_too() -> None:
    process = start(seconds=1.0)
    Path("cam/a.png").write_bytes(content(1))
    wait(lambda: Path("cam/.judging/a.png").exists(), process)
    Path("cam/a.png").write_bytes(content(2))
    wait(lambda: len(files("cam/done")) == 2, process)
    stop(process)
    assert sorted(files("cam/done").values()) == sorted([content(1), content(2)])
    assert len(stored("DISTINCT picture_sha256")) == 2


def test_a_file_that_cannot_be_moved_holds_up_no_other() -> None:
    """A folder in the place to which the file has to go."""
    Path("cam/.judging/a.png").mkdir(parents=True)
    Path("cam/.judging/b.png").mkdir()
    Path("cam/.judging/b.png/x").mkdir()
    Path("cam/done").write_text("no folder")
    for number, name in enumerate("abc"):
        Path(f"cam/{name}.png").write_bytes(content(number))
    process = start()
    wait(lambda: Path("cam/.judging/c.png").exists(), process)
    wait(lambda: "c.png: [Errno" in SAID.read_text(), process)
    Path("cam/done").unlink()
    wait(lambda: Path("cam/done/c.png").exists(), process)
    stop(process)
    assert [name for (name,) in stored()] == ["c.png"]
    assert {"a.png", "b.png"} <= files("cam").keys()


class Noted:
    """A store that notes how many rows each call has, and what was moved before it."""

    def __init__(self, calls: list[tuple[int, list[str]]], *, fails: bool) -> None:
        self.calls, self.fails, self.store = calls, fails, VerdictStore("v.sqlite")

    def write(self, rows: list[Verdict | Refused]) -> int:
        self.calls.append((len(rows), sorted(files("cam/done"))))
        if self.fails:
            raise UserError("v.sqlite: cannot be written: the disk is full")
        return self.store.write(rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def watcher(store: Noted, seconds: float) -> Watcher:
    def judge(picture: np.ndarray) -> SimpleNamespace:
        time.sleep(seconds)
        anomaly_map = np.zeros((4, 4), np.float32)
        return SimpleNamespace(score=float(picture.mean()), branches={}, anomaly_map=anomaly_map, explanations=())

    calibration = Calibration(Threshold(100.0, 0.05, 0.05, 4, 19), median=50.0, low=0.0, high=1.0)
    about = {"category": "part", "method": "x", "bundle_sha256": "ab" * 32, "commit": None}
    judging = SimpleNamespace(calibration=calibration, grey_range=None, about=about, judge=judge)
    Path("out").mkdir(exist_ok=True)
    tables = Projection(Path("out"), "line 1", "watch")
    tables.start()
    wishes, drop = Wishes(Path("out"), station="line 1"), Drop(Path("cam"))
    return Watcher(judging, drop, wishes, store, tables, lambda: False)  # type: ignore[arg-type]


def test_pictures_that_wait_are_stored_together_and_moved_afterwards() -> None:
    names = [f"{number:02}.png" for number in range(40)]
    calls: list[tuple[int, list[str]]] = []

    def rounds(seconds: float, *, fails: bool = False) -> None:
        for name in names:
            Path("cam", name).write_bytes(content(int(name[:2]) + int(1000 * seconds)))
        calls.clear()
        watcher(Noted(calls, fails=fails), seconds).work([Found(name) for name in names])

    with pytest.raises(UserError, match="the disk is full"):
        rounds(0.0, fails=True)
    taken = sorted(files("cam/.judging"))
    assert calls == [(len(taken), [])]
    assert taken == names[: len(taken)]
    assert files("cam/done") == {}
    assert watcher(Noted(calls, fails=False), 0.0).work([Found(name, claimed=True) for name in taken]) is None
    assert sorted(files("cam/done")) == taken
    for path in (*Path("cam/done").iterdir(), *Path("cam").glob("*.png")):
        path.unlink()
    rounds(0.005)
    sizes = [size for size, _ in calls]
    assert sum(sizes) == 40
    assert max(sizes) <= TOGETHER
    assert len(sizes) < 20
    for number, (_, moved) in enumerate(calls):
        assert moved == names[: sum(sizes[:number])]
    assert sorted(files("cam/done")) == names
    for path in Path("cam/done").iterdir():
        path.unlink()
    rounds(0.07)
    assert max(size for size, _ in calls) <= 4, "a verdict does not wait long for others"


def test_only_what_does_not_change_is_whole(tmp_path: Path) -> None:
    Path("cam/a.png").write_bytes(content(1)[:50])
    sightings = Sightings(Drop(Path("cam"), settle=1.0))
    assert sightings.whole(100.0) == sightings.whole(100.9) == []
    Path("cam/a.png").write_bytes(content(1))
    assert sightings.whole(101.5) == sightings.whole(102.4) == []
    assert sightings.whole(102.5) == ["a.png"]


def test_a_picture_that_is_dropped_again_is_named_at_the_end() -> None:
    process = start()
    for number in (1, 2, 1, 1):
        Path("cam/latest.png").write_bytes(content(number))
        wait(lambda: not Path("cam/latest.png").exists() and not files("cam/.judging"), process)
    said = stop(process)
    assert "4 pictures judged, 0 anomalous, 0 unreadable, 2 of them stored before under the same name" in said
    assert len(stored()) == 2


@pytest.mark.parametrize("words", [[], ["stay"]])
def test_a_file_that_never_gets_whole_is_given_up_when_the_patience_ends(words: list[str]) -> None:
    """Once, not once in the folder and again in `.judging`; a file that grows meanwhile has all of it again."""
    patience = 4.0
    Path("cam/grows.png").write_bytes(content(2)[:200])
    process = start(*words, patience=patience)
    wait(lambda: "watching" in SAID.read_text(), process)
    begun = time.monotonic()
    Path("cam/never.png").write_bytes(content(1)[:300])
    ends: dict[str, float] = {}
    while len(ends) < 2 and time.monotonic() < begun + 4 * patience:
        if time.monotonic() > begun + patience / 2 and Path("cam/grows.png").exists() and "grew" not in ends:
            ends["grew"] = time.monotonic() - begun
            Path("cam/grows.png").write_bytes(content(2)[:300])
        if "unreadable: never.png" in SAID.read_text():
            ends.setdefault("never", time.monotonic() - begun)
        time.sleep(0.05)
    wait(lambda: "unreadable: grows.png" in SAID.read_text(), process)
    grown = time.monotonic() - begun - ends["grew"]
    stop(process)
    assert patience <= ends["never"] < 1.5 * patience
    assert patience <= grown < 1.5 * patience
    assert set(files("cam")) == (
        {"never.png", "grows.png"} if words else {"unreadable/never.png", "unreadable/grows.png"}
    )


KILLS = [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]


@pytest.mark.parametrize("stay", [False, True])
@pytest.mark.parametrize("kills", KILLS)
def test_no_picture_is_lost_or_judged_twice_whatever_is_killed_when(kills: int, stay: bool) -> None:
    """A camera writes in pieces all the while; at the end every picture has one verdict, in every table."""
    chance, expected, number = random.Random(kills), {}, 0
    words = ["stay"] if stay else []
    for _ in range(kills):
        process = start(*words, seconds=0.02)
        if chance.random() < 0.8:  # else the start may be what is killed
            wait(lambda: "watching" in SAID.read_text(), process)
        end = time.monotonic() + chance.uniform(0.1, 1.2)
        while time.monotonic() < end:
            whole = content(number)
            expected[f"{number}.png"] = whole
            with Path(f"cam/{number}.png").open("wb") as file:
                file.write(whole[: len(whole) // 2])
                file.flush()
                time.sleep(0.02)
                file.write(whole[len(whole) // 2 :])
            number += 1
            time.sleep(0.03)
        process.kill()
        process.wait()
    process = start(*words, patience=60)
    wait(lambda: len(stored()) >= len(expected), process, seconds=120)
    time.sleep(1)
    stop(process)
    assert Counter(name for (name,) in stored()) == Counter(list(expected))
    kept = files("cam") if stay else files("cam/done")
    assert kept == expected
    assert files("cam").keys() == {name if stay else f"done/{name}" for name in expected}
    lines = [json.loads(line)["picture"] for line in Path("out/scores.jsonl").read_text().splitlines()]
    with Path("out/scores.csv").open(encoding="utf-8", newline="") as table:
        rows = [row["picture"] for row in csv.DictReader(table)]
    assert lines == rows == [name for (name,) in stored()]
    assert not Path("out/unreadable.csv").exists()
