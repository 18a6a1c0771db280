"""What a call may name: patterns, and a list on standard input; rows as CSV and as JSON lines; memory."""

import csv
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from commands.predict import given
from commands.predict.given import check_given, paths_of
from commands.predict.reading import ahead, read_file
from stages.core.run.errors import UserError
from tests.architecture.source_files import ROOT
from tests.table import violations


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def named(*words: str) -> list[str]:
    return [str(path) for path in paths_of([Path(word) for word in words])]


def test_patterns_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b/2.png", "b/1.png", "b/c/3.png", "b/[x].png", "b/.4.png", "é.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()

    def check(words: tuple[str, ...], text: bytes, expected: list[str]) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
        assert named(*words) == expected

    rows = [
        (("b/[12].png",), b"", ["b/1.png", "b/2.png"]),
        (("b/**/*.png",), b"", ["b/1.png", "b/2.png", "b/[x].png", "b/c/3.png"]),
        (("b/[x].png",), b"", ["b/[x].png"]),
        (("none*.png",), b"", ["none*.png"]),
        (("b", "-", "x"), b"b/2.png\r\n\nb/1.png", ["b", "b/2.png", "b/1.png", "x"]),
        (("-",), "é.png\0a\nb.png\0".encode(), ["é.png", "a\nb.png"]),
        (("-",), b"a\nb.png\0c.png\0", ["a\nb.png", "c.png"]),
        (("-",), b"gr\xf6sse.png\n*.png\n", [os.fsdecode(b"gr\xf6sse.png"), "*.png"]),
        (("-",), b"", []),
    ]
    assert violations(check, rows) == []
    monkeypatch.setattr(given, "AT_ONCE", 3)
    assert violations(check, [row for row in rows if b"a\nb" not in row[1]]) == []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a.png\nb.png\0")))
    with pytest.raises(UserError, match="lines and null bytes: divide its paths by one of them"):
        named("-")
    check_given([Path("none"), Path("*.png")])
    with pytest.raises(UserError, match=r"x\*: nothing is there"):
        check_given([Path("x*")])


def test_a_file_that_changes_while_it_is_read_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the hash would be of other bytes than those that were judged."""
    Image.new("RGB", (32, 32)).save("a.png")
    content = Path("a.png").read_bytes()
    assert read_file(Path("a.png"), None).pixels.shape == (32, 32, 3)
    monkeypatch.setattr(
        "commands.predict.reading.unlike_training", lambda path, grey, files: Path(path).write_bytes(content) and None
    )
    with pytest.raises(UserError, match=r"a\.png: changed while it was read"):
        read_file(Path("a.png"), None)


def test_pictures_are_read_while_others_are_judged() -> None:
    """Never more than a few of them, in order, and an error is raised where its picture's turn comes."""
    taken: list[int] = []

    def items() -> "object":
        for number in range(20):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        time.sleep(0.005)
        if number == 3:
            raise UserError("three")
        return number

    seen = []
    for number, result in ahead(work, items(), depth=2):  # type: ignore[arg-type]
        assert len(taken) <= number + 3
        if number == 3:
            with pytest.raises(UserError, match="three"):
                result.result()
            continue
        assert result.result() == number
        seen.append(number)
    assert seen == [*range(3), *range(4, 20)]


MANY = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from commands.predict.inputs import find_images
from commands.predict.running import Wishes, score_given
from stages.core.runtime.calibration import Calibration, Threshold

def judge(picture):
    return SimpleNamespace(score=1.0, branches={"students": 1.0}, explanations=(),
                           anomaly_map=np.zeros((4, 4), dtype=np.float32))

def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) / 1024

calibration = Calibration(Threshold(100.0, 0.05, 0.05, 4, 19), median=50.0, low=0.0, high=1.0)
about = {"category": "part", "method": "x", "parts": {}}
one = SimpleNamespace(calibration=calibration, grey_range=None, covers_components=True, about=about, judge=judge)
for name in ("few", "many"):
    output = Path("out-" + name)
    wishes = Wishes(output, station="x", heatmaps="heat" in sys.argv)
    score_given(lambda: one, find_images([Path(name)], output=output), wishes)
    print(resident())
"""


def links(folder: str, count: int) -> None:
    """Hard links, which count as files of their own; no more to one file than file systems allow."""
    Path(folder).mkdir()
    for number in range(count):
        if number % 5000 == 0:
            Image.new("RGB", (16, 16), (90, 90, 90)).save(f"{folder}/{number:06d}.png")
        else:
            os.link(f"{folder}/{number - number % 5000:06d}.png", f"{folder}/{number:06d}.png")


@pytest.mark.parametrize(
    ("count", "words", "mebibytes"),
    [
        (2_000, [], 4),
        pytest.param(5_000, ["heat"], 12, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
        pytest.param(100_000, [], 12, marks=[pytest.mark.slow, pytest.mark.timeout(3000)]),
    ],
)
def test_memory_does_not_grow_with_the_number_of_pictures(count: int, words: list[str], mebibytes: float) -> None:
    links("few", 500)
    links("many", count)
    done = subprocess.run(
        [sys.executable, "-c", MANY, *words], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    few, many = map(float, done.stdout.split())
    assert many - few < mebibytes, f"{few} MiB after 500 pictures, {many} MiB after {count} more"
    with Path("out-many/scores.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    lines = [json.loads(line) for line in Path("out-many/scores.jsonl").read_text().splitlines()]
    assert len(rows) == len(lines) == count
    assert [row["path"] for row in rows] == [line["path"] for line in lines] == sorted(row["path"] for row in rows)
    assert (lines[0]["is_anomalous"], lines[0]["p_value"], rows[0]["p_value"]) == (False, None, "")
