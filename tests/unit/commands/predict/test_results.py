"""The folder of results: nothing foreign goes, nothing half is taken for whole, no row is lost."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands.predict.marker import read_marker
from commands.predict.results import append_row, heatmap_names, results_folder, start_table
from stages.core.run.console import harmless_cell
from stages.core.run.errors import UserError
from tests.table import new_folder, violations

ROWS = 40
RUN = f"""
import sys, time
from pathlib import Path
from commands.predict.results import append_row, results_folder
from stages.core.run.parent import unwinding_on_sigterm
with unwinding_on_sigterm(), results_folder(Path("verdicts"), overwrite="overwrite" in sys.argv) as results:
    print("started", flush=True)
    for number in range({ROWS}):
        append_row(results.folder / "scores.csv", {{"path": f"{{number}}.png", "heatmap": "heatmaps/x.jpg"}})
        time.sleep(0.004)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)


def make(path: str, *, overwrite: bool = False, score: str = "1") -> None:
    with results_folder(Path(path), overwrite=overwrite) as results:
        append_row(results.folder / "scores.csv", {"path": "a.png", "score": score, "heatmap": "heatmaps/a.jpg"})
        (results.folder / "heatmaps").mkdir()
        (results.folder / "heatmaps/a.jpg").touch()


def read(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def names(folder: str = ".") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def start(*words: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", RUN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n", process.communicate()
    return process


def test_results_appear_as_a_whole_or_not_at_all(caplog: pytest.LogCaptureFixture) -> None:
    make("deep/out")
    assert names("deep/out") == ["heatmaps", "run.json", "scores.csv"]
    with pytest.raises(KeyboardInterrupt), results_folder(Path("deep/out"), overwrite=True):
        raise KeyboardInterrupt
    assert names("deep") == ["out"]
    with pytest.raises(KeyboardInterrupt), results_folder(Path("deep/out"), overwrite=True) as results:
        append_row(results.folder / "scores.csv", {"path": "b.png"})
        raise KeyboardInterrupt
    assert [row["path"] for row in read("deep/out/scores.csv")] == ["a.png"]
    (left,) = [name for name in names("deep") if name != "out"]
    assert [row["path"] for row in read(f"deep/{left}/scores.csv")] == ["b.png"]
    assert (read_marker(Path("deep", left)) or {})["complete"] is False
    assert f"the rows so far are in {Path.cwd()}/deep/{left}" in caplog.text
    make("deep/out", overwrite=True)
    assert names("deep") == ["out"]
    assert (read_marker(Path("deep/out")) or {})["complete"] is True


def test_what_is_not_ours_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(overwrite: bool, there: list[str], problem: str) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        for name in there:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text("{}")
        with pytest.raises(UserError, match=problem), results_folder(Path("mine"), overwrite=overwrite):
            pytest.fail("the block must not run")
        assert all(Path(name).read_text() == "{}" for name in there)

    causes = [
        (["mine/scores.csv"], "holds scores.csv, which is not a result of this command: name a new or empty folder"),
        (["mine/scores.csv", "mine/heatmaps/x.jpg", "mine/run.json"], "holds heatmaps, which is not a result"),
        (["mine"], "is a file: name a folder"),
    ]
    assert violations(check, [(overwrite, *cause) for overwrite in (False, True) for cause in causes]) == []


BESIDE = "thesis.doc, .*: it was left as it is, and the new folder is .*/{}-2;"


def test_what_somebody_added_to_results_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what was there at the start, nor what came while the run lasted: then the new results lie beside."""

    def check(name: str) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        make("out")
        with (
            pytest.raises(UserError, match=BESIDE.format("out")),
            results_folder(Path("out"), overwrite=True) as results,
        ):
            append_row(results.folder / "scores.csv", {"path": "new.png"})
            Path(name).write_text("mine")
        assert read("out-2/scores.csv")[0]["path"] == "new.png"
        assert Path(name).read_text() == "mine"
        with pytest.raises(UserError, match="thesis.doc, which is not a result"):
            make("out", overwrite=True)
        assert Path(name).read_text() == "mine"

    assert violations(check, zip(["out/thesis.doc", "out/heatmaps/thesis.doc"])) == []


def test_a_folder_that_appears_meanwhile_stays_and_no_result_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(overwrite: bool) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        with (
            pytest.raises(UserError, match=BESIDE.format("w")),
            results_folder(Path("w"), overwrite=overwrite) as results,
        ):
            append_row(results.folder / "scores.csv", {"path": "a.png"})
            Path("w").mkdir()
            Path("w/thesis.doc").write_text("mine")
        assert names("w") == ["thesis.doc"]
        assert len(read("w-2/scores.csv")) == 1
        make("w-3")
        assert names() == ["w", "w-2", "w-3"]

    assert violations(check, zip([False, True])) == []


def test_an_empty_folder_is_taken() -> None:
    Path("empty").mkdir()
    make("empty")
    assert Path("empty/scores.csv").exists()


def test_earlier_results_stay_unless_told() -> None:
    make("out", score="1")
    with pytest.raises(UserError, match="holds earlier results: add --overwrite"):
        make("out", score="2")
    assert read("out/scores.csv")[0]["score"] == "1"
    make("out", overwrite=True, score="2")
    assert read("out/scores.csv")[0]["score"] == "2"
    assert names() == ["out"]


def test_two_runs_on_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is refused; where both started in the same moment, the first one's results stay."""

    def check(overwrite: bool) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        with results_folder(Path("out"), overwrite=overwrite) as results:
            append_row(results.folder / "scores.csv", {"path": "first.png", "heatmap": ""})
            with pytest.raises(UserError, match="another run is writing to"):
                make("out", overwrite=overwrite)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("commands.predict.results.refuse_second_run", lambda target: None)
            with (
                pytest.raises(UserError, match=r"the new folder is .*/late-2"),
                results_folder(Path("late"), overwrite=overwrite),
            ):  # noqa: E501
                make("late", overwrite=overwrite)
        assert len(read("late/scores.csv")) == 1
        assert [row["path"] for row in read("out/scores.csv")] == ["first.png"]

    assert violations(check, zip([False, True])) == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("words", [[], ["overwrite"]])
def test_a_run_may_end_at_any_moment(end: signal.Signals, words: list[str]) -> None:
    Path("thesis.doc").write_text("mine")
    Path("verdicts.unfinished-mine").mkdir()
    Path("verdicts.unfinished-0123abcd").mkdir()
    Path("verdicts.unfinished-0123abcd/thesis.doc").write_text("mine")
    if words:
        make("verdicts", score="before")
    foreign = [name for name in names() if name != "verdicts"]
    for _ in range(6):
        with start(*words) as process:
            time.sleep(random.uniform(0, 0.25))
            process.send_signal(end)
            process.communicate()
        done = Path("verdicts").exists() and len(read("verdicts/scores.csv")) == ROWS
        possible = {128 + end} if end == signal.SIGTERM and not done else {0, -end, 128 + end}
        assert process.returncode in possible
        assert set(foreign) <= set(names())
        left = [name for name in names() if name.startswith("verdicts.unf") and name not in foreign]
        for name in left:
            rows = read(f"{name}/scores.csv") if Path(name, "scores.csv").exists() else []
            assert [row["path"] for row in rows] == [f"{number}.png" for number in range(len(rows))]
            assert len(rows) == ROWS or (read_marker(Path(name)) or {"complete": False})["complete"] is False
        if Path("verdicts").exists():
            assert (read_marker(Path("verdicts")) or {})["complete"] is True
            assert len(read("verdicts/scores.csv")) in (1, ROWS)
            words = ["overwrite"]
    with start(*words) as process:
        output = process.communicate()
    assert process.returncode == 0, output
    assert len(read("verdicts/scores.csv")) == ROWS
    assert names() == sorted([*foreign, "verdicts"])
    assert Path("verdicts.unfinished-0123abcd/thesis.doc").read_text() == "mine"


def test_a_link_that_leads_to_itself_is_refused_before_the_work() -> None:
    Path("loop").symlink_to("loop")
    with (
        pytest.raises(UserError, match=r"loop .--output. is a link that leads back to itself"),
        results_folder(Path("loop"), overwrite=True),
    ):
        raise AssertionError
    assert names() == ["loop"]


def test_a_kill_between_the_two_renamings_of_overwrite_loses_nothing() -> None:
    make("out", score="1")
    Path(".out.0123abcd.tmp").mkdir()
    Path("out").rename(".out.0123abcd.tmp/old")
    with pytest.raises(UserError, match="holds earlier results: add --overwrite"):
        make("out")
    assert read("out/scores.csv")[0]["score"] == "1"
    assert names() == ["out"]


def test_old_results_that_cannot_be_deleted_do_not_cost_the_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    make("out", score="1")
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: None)
    make("out", overwrite=True, score="2")
    assert read("out/scores.csv")[0]["score"] == "2"


def test_heatmap_names_are_unique() -> None:
    paths = ["a/x.png", "b/x.png", "b/X.jpg", "c/x-2.png", "x.tar.gz", "ä ö.png", "noend"]
    names = list(heatmap_names([Path(path) for path in paths]))
    assert names == ["x.jpg", "x-2.jpg", "X-3.jpg", "x-2-2.jpg", "x.tar.jpg", "ä ö.jpg", "noend.jpg"]
    long = list(heatmap_names([Path("ß" * 120 + ".png"), Path("ß" * 121 + ".png")]))
    assert len(set(long)) == 2
    assert max(len(name.encode()) for name in long) < 200
    started = time.perf_counter()
    assert len(set(heatmap_names([Path(f"{number}/image.png") for number in range(50_000)]))) == 50_000
    assert time.perf_counter() - started < 10


def test_a_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    name = os.fsdecode(b"gr\xf6sse.png")
    start_table(Path("a.csv"), ["path", "error"])
    append_row(Path("a.csv"), {"path": name, "error": 'a "b", c'})
    assert Path("a.csv").read_bytes() == b'path,error\ngr\xf6sse.png,"a ""b"", c"\n'


def test_no_name_becomes_a_formula_and_every_one_is_still_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(name: str) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        Path(name).touch()
        append_row(Path("a.csv"), {"path": name, "score": -1.5})
        (row,) = read("a.csv")
        assert row["path"] == f"./{name}"
        assert Path(row["path"]).exists()
        assert row["score"] == "-1.5"
        assert harmless_cell("a=b") == "a=b"

    values = ['=HYPERLINK("x").png', "+1.png", "-1.png", "@a.png", "\t=1.png", "＝1.png"]
    assert violations(check, zip(values)) == []


def test_the_marker_says_what_the_results_come_from() -> None:
    with results_folder(Path("out"), overwrite=False) as results:
        results.about |= {"category": "part", "parts": {"fusion": "0a"}}
    content = json.loads(Path("out/run.json").read_text())
    assert content.pop("run")
    assert content == {"made_by": "oddpart predict", "complete": True, "category": "part", "parts": {"fusion": "0a"}}
