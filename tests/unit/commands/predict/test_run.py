"""A run of `oddpart predict` over odd files; the networks are replaced by one that adds up the pixels."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing as closing_of
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from commands.app import app
from commands.predict.given import check_given
from stages.core.images.grey_range import between
from stages.core.run.errors import UserError
from stages.core.runtime.reading import Window, read_like_training
from stages.export.parts import Prediction
from stages.export.recipes import TrainedFiles
from tests.dicom_files import write_dicom
from tests.table import new_folder, violations
from tests.unit.commands.predict.light_run import draw, parts, rows, run, score

pytestmark = pytest.mark.usefixtures("quick")


def test_whatever_a_decoder_raises_is_a_finding_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def check(error: Exception) -> None:
        monkeypatch.chdir(new_folder(tmp_path))

        def reading(path: Path, grey_range: Window | None, **_: int) -> np.ndarray:
            if path.name == "b.png":
                raise error
            return read_like_training(path, grey_range)

        monkeypatch.setattr("stages.core.runtime.pictures.read_like_training", reading)
        draw("in/a.png", "in/b.png", "in/c.png")
        closing = run("in")
        assert closing.code == 2
        assert closing.counts.startswith("2 images scored, 0 anomalous, 0 unsure, 1 unreadable, 0 skipped")
        (entry,) = rows("out/unreadable.csv")
        assert entry["path"] == "in/b.png"
        assert entry["error"].startswith(f"cannot be decoded ({type(error).__name__}")

    values = [
        TypeError("float() argument"), AttributeError("x"), RecursionError(), MemoryError(), KeyError(3), IndexError(),
        AssertionError(), ZeroDivisionError("x"), UnicodeDecodeError("utf-8", b"", 0, 1, "bad"), OverflowError(),
    ]  # fmt: skip
    assert violations(check, zip(values)) == []


def test_a_row_is_written_as_soon_as_its_image_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    draw("in/a.png", "in/b.png", "in/c.png")
    Path("in/empty.png").touch()
    seen: list[tuple[int, int]] = []

    def watched(parts: Any, picture: np.ndarray, names: Any) -> Prediction:
        (folder,) = Path().glob("out.unfinished-*")
        written = rows(f"{folder}/scores.csv") if (folder / "scores.csv").exists() else []
        seen.append((len(written), len(rows(f"{folder}/unreadable.csv"))))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return score(parts, picture)

    monkeypatch.setattr("commands.predict.scoring.predict", watched)
    with pytest.raises(KeyboardInterrupt):
        run("in")
    assert seen == [(0, 1), (1, 1), (2, 1)]
    (folder,) = Path().glob("out*")
    assert [row["path"] for row in rows(f"{folder}/scores.csv")] == ["in/a.png", "in/b.png"]


def until(count: int, judged: list[str]) -> Any:
    """Count the pictures that are scored, and interrupt the one after so many."""

    def scored(parts: Any, picture: np.ndarray, names: Any) -> Prediction:
        if len(judged) == count:
            raise KeyboardInterrupt
        judged.append("")
        return score(parts, picture)

    return scored


def test_a_killed_run_is_resumed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Rows count that are whole and whose pictures did not change; heatmaps move along."""
    draw("in/a.png", "in/b.png", "in/c.png", "in/d.png", grey=200)
    judged: list[str] = []
    monkeypatch.setattr("commands.predict.scoring.predict", until(3, judged))
    with pytest.raises(KeyboardInterrupt):
        run("in", heatmaps=True)
    (folder,) = Path().glob("out.unfinished-*")
    with (folder / "scores.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"path": "in/d.png", "sc')  # as a kill in the middle of a row leaves it
    draw("in/b.png")  # another picture by now
    judged.clear()
    monkeypatch.setattr("commands.predict.scoring.predict", until(9, judged))
    with caplog.at_level("INFO"):
        closing = run("in", heatmaps=True)
    assert "of its 3 rows each counts whose picture did not change" in caplog.text
    assert len(judged) == 2, "b, which changed, and d"
    assert closing.counts.startswith("4 images scored, 3 anomalous, 0 unsure, 0 unreadable")
    table = rows("out/scores.csv")
    assert [row["path"] for row in table] == ["in/a.png", "in/b.png", "in/c.png", "in/d.png"]
    assert [float(row["score"]) for row in table] == [200.0, 60.0, 200.0, 200.0]
    assert all(Path("out", row["heatmap"]).is_file() for row in table)
    assert list(Path().glob("out.unfinished-*")) == []


def test_a_run_that_is_killed_again_before_it_took_over_the_rows_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    draw("in/c.png", "in/d.png", "in/e.png", "in/f.png", grey=200)
    for new, judged in (([], 3), (["in/a.png", "in/b.png"], 1)):
        draw(*new)
        monkeypatch.setattr("commands.predict.scoring.predict", until(judged, []))
        with pytest.raises(KeyboardInterrupt):
            run("in", heatmaps=True)
    last: list[str] = []
    monkeypatch.setattr("commands.predict.scoring.predict", until(9, last))
    run("in", heatmaps=True)
    assert len(last) == 2, "b and f"
    table = rows("out/scores.csv")
    assert [row["path"] for row in table] == [f"in/{name}.png" for name in "abcdef"]
    assert [float(row["score"]) for row in table] == [60.0, 60.0, 200.0, 200.0, 200.0, 200.0]
    assert all(Path("out", row["heatmap"]).is_file() for row in table)
    assert list(Path().glob("out.unfinished-*")) == []


def test_rows_of_other_parts_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    draw("in/a.png", "in/b.png")
    calls = iter([None, KeyboardInterrupt()])

    def interrupted(parts: Any, picture: np.ndarray, names: Any) -> Prediction:
        if (error := next(calls)) is not None:
            raise error
        return score(parts, picture)

    monkeypatch.setattr("commands.predict.scoring.predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("in")
    judged = []
    monkeypatch.setattr("commands.predict.scoring.predict", lambda *given: judged.append("") or score(*given))
    retrained = parts()
    retrained.fingerprints["fusion"] = "0b"
    monkeypatch.setattr("commands.predict.scoring.load_parts", lambda files, device: retrained)
    run("in")
    assert len(judged) == 2


def test_a_score_that_is_no_number_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    draw("in/a.png", grey=1)
    draw("in/b.png")

    def sometimes(parts: Any, picture: np.ndarray, names: Any) -> Prediction:
        found = score(parts, picture)
        return Prediction(float("nan"), found.branches, found.anomaly_map) if picture.max() == 1 else found

    monkeypatch.setattr("commands.predict.scoring.predict", sometimes)
    assert run("in").code == 2
    assert [row["path"] for row in rows("out/scores.csv")] == ["in/b.png"]
    assert rows("out/unreadable.csv")[0]["error"] == "its score is nan: look at the picture"


def test_pictures_of_any_shape_have_a_heatmap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(size: tuple[int, int]) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        draw("in/a.png", size=size)
        assert run("in", heatmaps=True).code == 0
        assert Path("out/heatmaps/a.jpg").exists()

    assert violations(check, zip([(16, 16), (3000, 16), (16, 3000)])) == []


def test_pictures_too_small_to_be_judged() -> None:
    draw("in/a.png")
    draw("in/dot.png", size=(1, 1))
    draw("in/line.png", size=(40_000, 1))
    assert run("in").code == 2
    assert [row["error"] for row in rows("out/unreadable.csv")] == [
        "is 1 x 1 pixels, at least 16 a side are needed: replace it",
        "is 40000 x 1 pixels, at least 16 a side are needed: replace it",
    ]


def test_another_depth_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A product of 12 bits: a picture of 8 comes in its own brightness, whatever the range of the others."""
    deep = parts(grey_range=between(0, 4095))
    monkeypatch.setattr("commands.predict.scoring.load_parts", lambda files, device: deep)
    draw("in/b.png")
    Image.fromarray(np.full((24, 32), 4095, dtype=np.uint16)).save("in/a.png")
    write_dicom(Path("in/c.dcm"), np.arange(768).reshape(24, 32))
    assert run("in").code == 0
    assert [row["kind_note"] for row in rows("out/scores.csv")] == [
        "", "8 bits, training images have more", "DICOM, training images have more than 8 bits",
    ]  # fmt: skip
    assert "2 images unlike the training images in kind, depth or compression, which may change scores" in caplog.text


def test_pictures_of_which_little_or_nothing_is_judged() -> None:
    draw("in/a.png", "in/b.png")
    with Image.open("in/a.png") as image:
        image.save("in/c.tif", save_all=True, append_images=[image, image])
        image.save("in/d.gif", save_all=True, append_images=[Image.new("RGB", image.size)])
        image.putalpha(0)
        image.save("in/b.png")
    assert run("in").code == 2
    assert {row["path"]: row["kind_note"] for row in rows("out/scores.csv")} == {
        "in/a.png": "",
        "in/c.tif": "3 pages or frames, of which the first is judged",
        "in/d.gif": "2 pages or frames, of which the first is judged",
    }
    (unreadable,) = rows("out/unreadable.csv")
    assert (unreadable["path"], unreadable["error"][:39]) == ("in/b.png", "is transparent all over (alpha is 0 or ")


def test_a_missing_file_writes_no_lines_of_its_own() -> None:
    with pytest.raises(UserError, match=r"^in/a\\n\[12:00:00\] all is well: nothing is there"):
        check_given([Path("in/a\n[12:00:00] all is well")])


def test_where_no_image_can_be_read_the_list_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Truncated, empty, of a kind that is not read, and no image though it was named: tables without a row, code 2."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save("whole.png")
    truncated = Path("whole.png").read_bytes()[:5000]

    def check(name: str, content: bytes, given: str, problem: str) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        caplog.clear()
        Path("in").mkdir()
        Path("in", name).write_bytes(content)
        closing = run(given)
        assert (closing.code, closing.counts) == (
            2, "0 images scored, 0 anomalous, 0 unsure, 1 unreadable, 0 skipped",
        )  # fmt: skip
        header = Path("out/scores.csv").read_text().splitlines()
        assert [line.split(",")[:2] for line in header] == [["path", "score"]]
        assert Path("out/scores.jsonl").read_text() == ""
        (row,) = rows("out/unreadable.csv")
        assert row["path"] == f"in/{name}"
        assert problem in row["error"]
        assert "no image could be read: unreadable.csv says why of each" in caplog.text
        with closing_of(sqlite3.connect("out/verdicts.sqlite")) as database:
            assert database.execute("SELECT picture FROM unreadable").fetchall() == [(f"in/{name}",)]

    cases = [
        ("a.png", truncated, "in", "is unreadable, truncated or damaged"),
        ("a.jpg", b"", "in", "is empty (0 bytes)"),
        ("IMG_0", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "in", "is of kind HEIC"),
        ("notes.txt", b"text", "in/notes.txt", "is no image by its content"),
    ]
    assert violations(check, cases) == []


def test_the_exit_code_says_whether_all_images_were_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def check(damaged: Sequence[str], code: int) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        caplog.clear()
        monkeypatch.setattr("commands.predict.parts.trained_files", lambda *names: TrainedFiles("aecsad", {}))
        monkeypatch.setattr("commands.predict.parts.check_one_run", lambda files: {})
        draw("in/a.png")
        for name in damaged:
            Path(name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" if name.endswith("heic") else b"text")
        with caplog.at_level("INFO"):
            assert CliRunner().invoke(app, ["predict", "in", "--category", "part", "--output", "out"]).exit_code == code
        unread = code // 2
        counts = f"1 image scored, 0 anomalous, 0 unsure, {unread} unreadable, {len(damaged) - unread} skipped"
        assert f"predict: {counts}, median" in caplog.text
        for name in damaged:
            assert name in caplog.text

    cases = [((), 0), (("in/b.heic",), 2), (("in/notes",), 0)]
    assert violations(check, cases) == []


def test_a_verdict_says_how_sure_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(grey: int, anomalous: bool, p_value: float, unsure: bool) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        draw("in/a.png", grey=grey)
        assert f"{int(anomalous)} anomalous, {int(unsure)} unsure" in run("in").counts
        (row,) = rows("out/scores.csv")
        assert (row["is_anomalous"], float(row["p_value"]), row["unsure"]) == (str(anomalous), p_value, str(unsure))

    cases = [
        (30, False, 1.0, False),
        (50, False, 0.8, False),
        (95, False, 0.4, True),
        (110, True, 0.2, True),
        (121, True, 0.2, False),
    ]
    assert violations(check, cases) == []


def test_what_is_not_covered_is_said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    draw("in/a.png")
    run("in")
    assert "not covered" not in caplog.text
    monkeypatch.setattr("commands.predict.scoring.load_parts", lambda files, device: parts(covers_components=False))
    run("in", output="again")
    assert "logical anomalies (missing, extra or swapped parts) are not covered for part: aecsad has no" in caplog.text


def test_another_size_is_said(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(size: tuple[int, int], note: str) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        caplog.clear()
        draw("in/a.png", size=size)
        run("in")
        assert rows("out/scores.csv")[0]["size_note"] == note
        assert ("1 image unlike the training images in size or aspect ratio" in caplog.text) == bool(note)

    cases = [
        ((32, 24), ""), ((48, 36), ""), ((60, 44), "aspect ratio 1.36, training images 1.33"),
        ((400, 300), "400 x 300 pixels, training images 32 to 64 x 24 to 48"),
        ((24, 32), "24 x 32 pixels, training images 32 to 64 x 24 to 48"),
        ((48, 48), "aspect ratio 1.00, training images 1.33"),
    ]  # fmt: skip
    assert violations(check, cases) == []


def test_names_cannot_control_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    draw("in/a.png")
    name = "in/\x1b[31mred\n\u202egnp.txt"
    Path(name).write_text("text")
    with caplog.at_level("INFO"):
        run("in")
    assert "skipped: in/\\x1b[31mred\\n\\u202egnp.txt is no image" in caplog.text
    assert rows("out/skipped.csv")[0]["path"] == name


def test_the_field_folder(request: pytest.FixtureRequest) -> None:
    """A picture, a .jfif, a DICOM file without suffix and a HEIC file without its codec."""
    shutil.copytree(request.path.parent / "folder", "in")
    closing = run("in")
    assert [row["path"] for row in rows("out/scores.csv")] == ["in/IM000001", "in/a.png", "in/b.jfif"]
    assert [row["path"] for row in rows("out/unreadable.csv")] == ["in/IMG_0.HEIC"]
    assert closing.code == 2
