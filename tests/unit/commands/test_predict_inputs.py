"""What the predict command takes, refuses and calls its files; no network runs."""

import json
import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from commands.app import app
from commands.predict.inputs import find_images
from commands.predict.parts import PredictParams, check_given, part_files
from commands.predict.results import heatmap_names, results_folder, write_csv
from stages.core.io.calibration import Calibration, Threshold, read_calibration, write_calibration
from stages.core.run.errors import UserError

PARTS = dict.fromkeys(PredictParams.model_fields, "parts/{category}/x.bin")


@pytest.fixture(autouse=True)
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = {"categories": {"part": {}, "bar": {}}, "predict": PARTS | {"fusion": "fusion/{category}.json"}}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def found(*given: str, output: str = "out") -> list[str]:
    return [str(path) for path in find_images([Path(name) for name in given], output=Path(output)).images]


def test_folders_are_searched_in_order() -> None:
    touch("b/2.PNG", "b/1.jpg", "b/a/3.tiff", "b/notes.txt", "b/.hidden.png", "b/.cache/4.png", "b/out/heatmaps/5.jpg")
    assert found("b", output="b/out") == ["b/1.jpg", "b/2.PNG", "b/a/3.tiff"]
    assert found("b/2.PNG", "b") == ["b/2.PNG", "b/1.jpg", "b/a/3.tiff", "b/out/heatmaps/5.jpg"]


def test_a_named_file_is_tried_whatever_its_suffix() -> None:
    touch("scan", "x.dat")
    assert found("scan", "x.dat", "missing.png", "a" * 300) == ["scan", "x.dat", "missing.png", "a" * 300]


def test_a_file_counts_once() -> None:
    touch("b/1.png")
    Path("b/2.png").symlink_to("1.png")
    Path("linked").symlink_to("b", target_is_directory=True)
    assert found("b", "./b/1.png", str(Path("b/1.png").resolve()), "linked") == ["b/1.png"]


def test_circular_links_end(caplog: pytest.LogCaptureFixture) -> None:
    touch("b/1.png")
    Path("b/again").symlink_to("..", target_is_directory=True)
    Path("b/self.png").symlink_to("self.png")
    assert found("b") == ["b/1.png", "b/self.png"]
    Path("empty").mkdir()
    assert found("empty", "b/1.png") == ["b/1.png"]
    assert "empty: no image in it (.png .jpg" in caplog.text


def test_no_image_at_all() -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError, match=r"no image found in empty: name image files, or folders of \.png "):
        find_images([Path("empty")], output=Path("out"))


def test_heatmap_names_are_unique() -> None:
    paths = ["a/x.png", "b/x.png", "b/X.jpg", "c/x-2.png", "x.tar.gz", "ä ö.png", "noend"]
    names = heatmap_names([Path(path) for path in paths])
    assert names == ["x.jpg", "x-2.jpg", "X-3.jpg", "x-2-2.jpg", "x.tar.jpg", "ä ö.jpg", "noend.jpg"]
    long = heatmap_names([Path("ß" * 120 + ".png"), Path("ß" * 121 + ".png")])
    assert len(set(long)) == 2
    assert max(len(name.encode()) for name in long) < 200


def test_results_appear_as_a_whole_or_not_at_all() -> None:
    with results_folder(Path("deep/out"), overwrite=False) as folder:
        touch(f"{folder}/scores.csv")
        assert not Path("deep/out").exists()
    assert Path("deep/out/scores.csv").exists()
    with pytest.raises(KeyboardInterrupt), results_folder(Path("deep/out"), overwrite=True) as folder:
        raise KeyboardInterrupt
    assert [path.name for path in Path("deep").iterdir()] == ["out"]
    assert Path("deep/out/scores.csv").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_ours_is_never_replaced(overwrite: bool) -> None:
    touch("mine/scores.csv", "mine/thesis.doc", "file", "pictures/heatmaps/x.jpg")
    for name, problem in (
        ("mine", "holds thesis.doc, which is not a result of this command: name a new or empty folder"),
        ("pictures", "holds heatmaps, which is not a result"),
        ("file", "is a file: name a folder"),
        ("file/out", "cannot be written: "),
    ):
        with pytest.raises(UserError, match=problem), results_folder(Path(name), overwrite=overwrite):
            pytest.fail("the block must not run")
    assert Path("mine/thesis.doc").exists()
    Path("empty").mkdir()
    with results_folder(Path("empty"), overwrite=overwrite) as folder:
        touch(f"{folder}/scores.csv")
    assert Path("empty/scores.csv").exists()


def test_missing_parts_are_named_together() -> None:
    with pytest.raises(UserError, match=r"params\.yaml has no category 'tray': known are part, bar"):
        part_files("tray")
    touch("parts/part/x.bin")
    with pytest.raises(UserError, match=r"part is not trained yet, fusion/part\.json missing: run `dvc repro`"):
        part_files("part")
    touch("fusion/part.json")
    assert part_files("part")["histogram"] == Path("parts/part/x.bin")


def test_a_call_needs_one_path_that_exists() -> None:
    with pytest.raises(UserError, match=r"one\.png, two: nothing is there: name image files"):
        check_given([Path("one.png"), Path("two")])
    touch("one.png")
    check_given([Path("one.png"), Path("two")])


def test_a_user_error_is_one_message_and_exit_code_1(caplog: pytest.LogCaptureFixture) -> None:
    touch("a.png")
    words = ["predict", "--category", "bar", "a.png", "--output", "out"]
    assert CliRunner().invoke(app, words).exit_code == 1
    assert "bar is not trained yet, parts/bar/x.bin" in caplog.text
    assert not Path("out").exists()


def test_a_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    name = os.fsdecode(b"gr\xf6sse.png")
    write_csv(Path("a.csv"), [{"path": name, "error": 'a "b", c'}], columns=["path", "error"])
    assert Path("a.csv").read_bytes() == b'path,error\ngr\xf6sse.png,"a ""b"", c"\n'


def test_calibration_survives_its_file() -> None:
    path = Path("calibration.json")
    calibration = Calibration(Threshold(0.1 + 0.2, 0.05, 1 / 41, 40, 19), median=1 / 3, low=-1e-17, high=2.0)
    write_calibration(path, calibration)
    assert read_calibration(path) == calibration
    content = json.loads(path.read_text())
    del content["threshold"]["value"]
    for text, problem in ((json.dumps(content), "threshold.value: "), ("{", "Expecting"), ("[]", "Input should be")):
        path.write_text(text)
        with pytest.raises(UserError, match=rf"calibration\.json: no readable calibration \(.*{problem}.*run `dvc"):
            read_calibration(path)
    with pytest.raises(UserError, match=r"gone\.json: no readable calibration \(.*No such file"):
        read_calibration(Path("gone.json"))
