"""Which trained parts a call finds, and that those of two runs are refused."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from commands.app import app
from commands.predict.given import check_given
from commands.predict.parts import trained_files
from stages.aecsad.model.patch_histogram import write_histogram_models
from stages.core.io.calibration import read_calibration, write_calibration
from stages.core.io.lineage import content_hash
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import Calibration, PictureSizes, Sureness, Threshold
from stages.export.recipes import RECIPES, TrainedFiles, check_one_run
from tests.table import violations

ON = {"categories": {"part": {}, "bar": {}}}


@pytest.fixture(autouse=True)
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    methods = {"oddpart": {"categories": {"part": {}}}, "aecsad": ON, "patchcore": ON}
    content = {"categories": {"part": {}, "bar": {}, "none": {}}, "methods": methods}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_missing_parts_are_named_together() -> None:
    with pytest.raises(UserError, match=r"params\.yaml has no category 'tray': known are part, bar, none"):
        trained_files("tray")
    touch("artifacts/scores/bar/patchcore/bank.safetensors")
    message = r"bar is not trained yet for patchcore, \S*/patchcore/calibration\.json missing: run `dvc repro`, or"
    with pytest.raises(UserError, match=message):
        trained_files("bar", "patchcore")
    touch("artifacts/evaluation/bar/patchcore/calibration.json")
    assert set(trained_files("bar", "patchcore").paths) == {"neighbours", "calibration"}


def test_the_method_is_the_first_that_is_on() -> None:
    for recipe in RECIPES.values():
        for category in ("part", "bar"):
            scores, evaluation = f"artifacts/scores/{category}", f"artifacts/evaluation/{category}"
            fields = {"category": category, "trained": "artifacts/aecsad", "scores": scores, "evaluation": evaluation}
            touch(*(path.format(**fields) for path in recipe.files.values()))
    assert [trained_files(category).method for category in ("part", "bar")] == ["oddpart", "aecsad"]
    with pytest.raises(
        UserError, match=r"every method that judges new pictures \(oddpart, .*\) is off for none: switch"
    ):
        trained_files("none")


def write_parts(files: dict[str, Path], *, seed: int) -> None:
    """Parts of one run, as far as their records go."""
    files["segmentation"].write_text(f"segmentation {seed}")
    files["student_teacher"].write_text(f"students {seed}")
    hashes = {part: content_hash(files[part]) for part in ("segmentation", "student_teacher")}
    write_histogram_models(files["histogram"], [], made_from={"segmentation": hashes["segmentation"]})
    hashes["histogram"] = content_hash(files["histogram"])
    files["fusion"].write_text(json.dumps({"made_from": hashes}))
    files["explainer"].write_text(f"what is normal {seed}")
    calibrate(files)


def calibrate(files: dict[str, Path], **more: str) -> None:
    calibration = Calibration(Threshold(0.5, 0.05, 0.05, 40, 19), median=0.1, low=0.0, high=1.0)
    own = {part: content_hash(files[part]) for part in ("fusion", "explainer")}
    write_calibration(files["calibration"], calibration, made_from=own | more)


def test_every_mixture_of_two_runs_is_refused_and_says_which_part_is_another(tmp_path: Path) -> None:
    names = ["segmentation", "histogram", "student_teacher", "fusion", "explainer", "calibration"]
    runs = []
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        runs.append({part: tmp_path / str(seed) / f"{part}{'.npz' * (part == 'histogram')}" for part in names})
        write_parts(runs[-1], seed=seed)
    again = {part: tmp_path / path.name for part, path in runs[0].items()}
    write_parts(again, seed=0)
    hashes = [check_one_run(TrainedFiles("aecsad", files)) for files in (again, *runs)]
    assert hashes[0] == hashes[1] != hashes[2]
    for number in range(1, 63):  # every choice but all of one run
        mixed = {part: runs[number >> place & 1][part] for place, part in enumerate(names)}
        with pytest.raises(UserError, match=r"of different runs.* was made from \w+ \w{8}, but .*run `dvc repro`"):
            check_one_run(TrainedFiles("aecsad", mixed))
    mixed = runs[0] | {"segmentation": runs[1]["segmentation"]}
    with pytest.raises(UserError, match=f"0/histogram.npz was made from segmentation .*, but {tmp_path}/1/segm"):
        check_one_run(TrainedFiles("aecsad", mixed))


def write_banks(files: dict[str, Path], *, fine: bool) -> None:
    """Parts of `oddpart`, with or without the branch that a profile may switch off."""
    write_parts(files, seed=0)
    files["neighbours"].write_bytes(b"bank")
    content = json.loads(files["fusion"].read_text())
    content["made_from"]["neighbours"] = content_hash(files["neighbours"])
    files["fusion"].write_text(json.dumps(content))
    files["fine_neighbours"].write_bytes(b"fine bank")
    bank = {"bank": content_hash(files["fine_neighbours"])} if fine else {}
    calibrate(files, **bank)


@pytest.mark.parametrize("fine", [True, False])
def test_a_part_that_is_switched_off_is_not_missed_and_one_too_many_is_refused(tmp_path: Path, fine: bool) -> None:
    paths = {part: tmp_path / f"{part}{'.npz' * (part == 'histogram')}" for part in RECIPES["oddpart"].files}
    write_banks(paths, fine=fine)
    without = {part: path for part, path in paths.items() if part != "fine_neighbours"}
    right, wrong = (paths, without) if fine else (without, paths)
    assert set(check_one_run(TrainedFiles("oddpart", right))) == set(right)
    message = "but that is missing" if fine else "was made from fine_neighbours unknown, but"
    with pytest.raises(UserError, match=message):
        check_one_run(TrainedFiles("oddpart", wrong))


def test_a_call_needs_one_path_that_exists() -> None:
    with pytest.raises(UserError, match=r"one\.png, two: nothing is there: name image files"):
        check_given([Path("one.png"), Path("two")])
    touch("one.png")
    check_given([Path("one.png"), Path("two")])


def test_a_user_error_is_one_message_and_exit_code_1(caplog: pytest.LogCaptureFixture) -> None:
    touch("a.png")
    words = ["predict", "--category", "bar", "a.png", "--output", "out"]
    assert CliRunner().invoke(app, words).exit_code == 1
    assert "bar is not trained yet for aecsad, artifacts/aecsad/segmentation/bar/model.safetensors" in caplog.text
    assert not Path("out").exists()


def test_calibration_survives_its_file() -> None:
    path = Path("calibration.json")
    calibration = Calibration(
        Threshold(0.1 + 0.2, 0.05, 1 / 41, 40, 19), median=1 / 3, low=-1e-17, high=2.0,
        sureness=Sureness((1 / 3, 0.1 + 0.2), 1 / 7, 2.0), sizes=PictureSizes((3, 4), (5, 6), (0.5, 2 / 3)),
    )  # fmt: skip
    write_calibration(path, calibration, made_from={"fusion": "f0"})
    assert read_calibration(path) == calibration
    content = json.loads(path.read_text())
    del content["threshold"]["value"]
    for text, problem in ((json.dumps(content), "threshold.value: "), ("{", "Expecting"), ("[]", "Input should be")):
        path.write_text(text)
        with pytest.raises(UserError, match=rf"calibration\.json: no readable calibration \(.*{problem}.*run `dvc"):
            read_calibration(path)
    with pytest.raises(UserError, match=r"gone\.json: no readable calibration \(.*No such file"):
        read_calibration(Path("gone.json"))


def test_options_of_a_watch_are_refused_without_one(caplog: pytest.LogCaptureFixture) -> None:
    def check(words: str, message: str) -> None:
        caplog.clear()
        done = CliRunner().invoke(app, ["predict", "bundle", "cam", "--output", "out", *words.split()])
        assert done.exit_code == 1
        assert message in caplog.text

    rows = [
        ("--stay", "--stay goes with --watch"),
        ("--settle 2", "--settle goes with --watch"),
        ("--patience 2", "--patience goes with --watch"),
        ("--keep-days 2", "`oddpart history --keep-days` deletes older verdicts"),
    ]
    assert violations(check, rows) == []
