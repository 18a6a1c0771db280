"""A bundle where it is used: what it refuses, its verdicts, and that it needs three packages only."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import oddpart
from commands.app import app
from stages.core.images.grey_range import between
from stages.core.runtime.manifest import seal_of
from stages.core.runtime.verifying import verify
from tests.architecture.source_files import ROOT
from tests.table import new_folder, violations
from tests.unit.commands.predict.case import INPUTS
from tests.unit.export.conftest import Exported, change_manifest

RUNNER = CliRunner()
ALLOWED = ("numpy", "PIL", "onnxruntime")

ENCODER = "encoder-256x256.onnx"
REQUIRED = ("product", "commit", "files", "test_pictures", "variant", "components")


def drop(folder: Path, key: str) -> None:
    """Take a key out of the manifest and seal it again, as a tool might that knows only some."""
    path = folder / "manifest.json"
    content = {name: value for name, value in json.loads(path.read_text()).items() if name != key}
    path.write_text(json.dumps({**content, "sha256": seal_of(content)}))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def test_whatever_is_not_as_it_was_exported_is_refused(exported: Exported, tmp_path: Path) -> None:
    def check(damage: Callable[[Path], object], message: str) -> None:
        folder = new_folder(tmp_path) / "bundle"
        shutil.copytree(exported.bundles / "aecsad", folder)
        damage(folder)
        with pytest.raises(oddpart.UserError, match=message) as error:
            oddpart.load(folder)
        assert "\n" not in str(error.value)

    rows: list[tuple[Callable[[Path], object], str]] = [
        (lambda folder: flip(folder / "student_teacher.onnx"), "student_teacher.onnx: is not what was exported"),
        (lambda folder: flip(folder / "histograms.npz"), "histograms.npz: is not what was exported"),
        (lambda folder: flip(folder / "pictures/2.png"), "pictures/2.png: is not what was exported"),
        (lambda folder: (folder / ENCODER).unlink(), rf"{ENCODER}: cannot be read \(No such file"),
        (lambda folder: pipe(folder / "student_teacher.onnx"), "student_teacher.onnx: is no file"),
        (lambda folder: pipe(folder / "manifest.json"), "manifest.json: is no file"),
        (lambda folder: (folder / ENCODER).write_bytes(b""), f"{ENCODER}: is not what was exported"),
        (lambda folder: (folder / "manifest.json").unlink(), "is no bundle, as manifest.json is not there"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json: is no JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[1]"), "manifest.json: is no manifest of a bundle"),
        (lambda folder: flip(folder / "explainer.npz"), "explainer.npz: is not what was exported"),
        (
            lambda folder: change_manifest(folder, {"format": 1}, seal=True),
            "is of format 1, this version of oddpart reads 2 and 3",
        ),
        (
            lambda folder: change_manifest(folder, {"product": "x"}, seal=False),
            "was changed or damaged after it was made",
        ),
        (
            lambda folder: change_manifest(folder, {"files": {"../x": "0"}}, seal=True),
            "names ../x, which is not in the",
        ),
        (lambda folder: change_manifest(folder, {"encoder": {}}, seal=True), "cannot be used .KeyError.*export it"),
        (shutil.rmtree, "is no bundle"),
        (lambda folder: (shutil.rmtree(folder), folder.write_bytes(b"")), "is no bundle"),
    ]
    assert violations(check, rows) == []


def test_a_bundle_from_before_kinds_were_weighed_has_the_scores_it_had(exported: Exported, tmp_path: Path) -> None:
    """Its kinds counted the same. One of the present format without their weights is refused."""
    content = json.loads((exported.bundles / "oddpart/manifest.json").read_text())
    kinds = [{key: value for key, value in kind.items() if key != "weights"} for kind in content["fusion"]["kinds"]]
    assert len(kinds) == 2
    older = {"fusion": {**content["fusion"], "kinds": kinds}}
    for number, changes in ((2, {"format": 2, **older}), (3, older)):
        shutil.copytree(exported.bundles / "oddpart", tmp_path / f"{number}")
        change_manifest(tmp_path / f"{number}", changes, seal=True)
    old, new = oddpart.load(tmp_path / "2", threads=1), oddpart.load(exported.bundles / "oddpart", threads=1)
    assert old.fusion is not None
    assert new.fusion is not None
    equal = tuple(replace(kind, weights=(1.0,) * len(kind.branches)) for kind in new.fusion.kinds)
    assert equal != new.fusion.kinds
    assert old.fusion == replace(new.fusion, kinds=equal)
    with pytest.raises(oddpart.UserError, match="cannot be used .KeyError: 'weights'.: export it again"):
        oddpart.load(tmp_path / "3")


def test_a_calibration_without_a_key_is_refused(exported: Exported, tmp_path: Path) -> None:
    """Its format says that all keys are there: none is taken for one that says nothing."""
    for key in ("files", "branches"):
        folder = tmp_path / key
        shutil.copytree(exported.bundles / "patchcore", folder)
        kept = json.loads((folder / "manifest.json").read_text())["calibration"]
        del kept[key]
        change_manifest(folder, {"calibration": kept}, seal=True)
        with pytest.raises(oddpart.UserError, match=f"cannot be used .KeyError: '{key}'.: export it again"):
            oddpart.load(folder)


def test_a_manifest_of_another_layout_is_refused(exported: Exported, tmp_path: Path) -> None:
    """Its seal is right: another version may have written it."""

    def check(key: str, value: object, message: str) -> None:
        folder = new_folder(tmp_path)
        shutil.copyfile(exported.bundles / "aecsad/manifest.json", folder / "manifest.json")
        drop(folder, key) if value is None else change_manifest(folder, {key: value}, seal=True)
        with pytest.raises(oddpart.UserError, match=f"manifest.json: {message}: export it again"):
            oddpart.load(folder)

    rows = [
        *(
            (key, None, f"the key '{key}' is missing")
            for key in ("product", "commit", "files", "test_pictures", "variant", "components")
        ),
        ("covers_logical_anomalies", 1, "the key 'covers_logical_anomalies' is of kind int, expected bool"),
        ("method", [1], "the key 'method' is of kind list, expected str"),
        ("files", {"a": 1}, "files.a is no sha256"),
        ("test_pictures", [{"file": "a"}], "test_pictures.0: the key 'score' is missing"),
        ("test_pictures", ["a"], "test_pictures.0: it is no section"),
    ]
    assert violations(check, rows) == []


def test_an_array_is_judged_like_the_file(exported: Exported) -> None:
    bundle, path = oddpart.load(exported.bundles / "oddpart", threads=1), INPUTS / "images/22.png"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    verdict, other = bundle.predict(path), bundle.predict(pixels)
    assert (verdict.score, verdict.branches) == (other.score, other.branches)
    np.testing.assert_array_equal(verdict.anomaly_map, other.anomaly_map)
    assert verdict.threshold == bundle.calibration.threshold.value
    assert verdict.size_note is None
    grey = np.full((300, 200), 90, dtype=np.uint8)
    assert bundle.predict(grey).score == bundle.predict(np.repeat(grey[:, :, None], 3, axis=2)).score
    assert bundle.predict(grey).size_note == "200 x 300 pixels, training images 256 x 256"


def test_deep_pictures_are_spread_as_the_training_images_were(exported: Exported, tmp_path: Path) -> None:
    bundle = replace(oddpart.load(exported.bundles / "patchcore"), grey_range=between(0, 4095))
    deep = np.random.default_rng(0).integers(0, 4096, (64, 64), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    shallow = np.rint(deep * (255 / 4095)).astype(np.uint8)
    expected = bundle.predict(shallow).score
    assert bundle.predict(deep).score == expected
    assert bundle.predict(tmp_path / "deep.png").score == expected


def test_what_is_no_picture_is_refused(exported: Exported, tmp_path: Path) -> None:
    bundle = oddpart.load(exported.bundles / "patchcore")
    (tmp_path / "text.png").write_text("no picture")
    deep = np.zeros((64, 64), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "clear.png")

    def check(given: Any, message: str) -> None:
        with pytest.raises(oddpart.UserError, match=message):
            bundle.predict(given)

    rows = [
        (np.zeros((64, 64, 3)), "an array of float64 and shape .64, 64, 3. is no picture: give uint8 of H x W x 3"),
        (np.zeros((3, 64, 64), dtype=np.uint8), "shape .3, 64, 64. is no picture"),
        (np.zeros((64, 64, 4), dtype=np.uint8), "shape .64, 64, 4. is no picture"),
        (deep, "an array of uint16"),
        (np.zeros((8, 64, 3), dtype=np.uint8), "is 64 x 8 pixels, at least 16 a side"),
        (tmp_path / "text.png", "is not an image"),
        (tmp_path / "gone.png", "does not exist"),
        (tmp_path / "deep.png", "has 16 bits a channel"),
        (str(tmp_path / "clear.png"), "is transparent all over"),
        (np.zeros((0, 0, 3), dtype=np.uint8), "is 0 x 0 pixels, at least 16 a side"),
        (np.full((64, 64, 3), np.nan, dtype=np.float32), "an array of float32 and shape .64, 64, 3. is no picture"),
        (tmp_path, "is a folder: give the files in it one by one, or run `oddpart predict BUNDLE FOLDER`"),
    ]
    assert violations(check, rows) == []

    def check_type(given: Any, name: str) -> None:
        with pytest.raises(TypeError, match=f"a {name} is no picture: give the path of a file, or a NumPy array"):
            bundle.predict(given)

    types = [(None, "NoneType"), ([[0, 0, 0]], "list"), (b"a.png", "bytes"), (Image.new("RGB", (64, 64)), "Image")]
    assert violations(check_type, types) == []
    with pytest.raises(TypeError, match="a NoneType is no bundle: give the path of its folder"):
        oddpart.load(None)  # type: ignore[arg-type]


def test_verify_repeats_the_test_pictures(exported: Exported, tmp_path: Path) -> None:
    found = list(verify(oddpart.load(exported.bundles / "oddpart")))
    assert [one.picture for one in found] == ["pictures/1.png", "pictures/2.png", "pictures/3.png"]
    assert all(one.error < 1e-5 for one in found)
    assert RUNNER.invoke(app, ["verify", str(exported.bundles / "oddpart")]).exit_code == 0
    folder = tmp_path / "bundle"
    shutil.copytree(exported.bundles / "oddpart", folder)
    pictures = json.loads((folder / "manifest.json").read_text())["test_pictures"]
    pictures[1]["score"] *= 1.01
    change_manifest(folder, {"test_pictures": pictures}, seal=True)
    with pytest.raises(oddpart.UserError, match=r"2.png: scored .*, when it was made .*; branch \w+ differs"):
        list(verify(oddpart.load(folder)))
    assert RUNNER.invoke(app, ["verify", str(folder)]).exit_code == 1


def test_the_settled_score_of_a_validation_image_is_the_pipelines(exported: Exported) -> None:
    """Its threshold is such a score: rounding must not decide."""
    bundle = oddpart.load(exported.bundles / "patchcore")
    threshold = bundle.calibration.threshold.value
    assert bundle.settled(threshold * (1 + 2e-6)) == threshold
    assert not bundle.calls(threshold * (1 + 2e-6))
    assert bundle.calls(threshold * (1 + 1e-4))


def test_predict_with_a_bundle_makes_the_rows_of_the_product(exported: Exported, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(20, 24):
        shutil.copy(INPUTS / f"images/{number}.png", photos)
    (photos / "broken.jpg").write_bytes((photos / "20.png").read_bytes()[:500])
    bundle, product = tmp_path / "by_bundle", tmp_path / "by_product"
    done = RUNNER.invoke(app, ["predict", str(exported.bundles / "oddpart"), str(photos), "--output", str(bundle)])
    assert done.exit_code == 2
    assert RUNNER.invoke(app, ["predict", "part", str(photos), "--output", str(product)]).exit_code == 2
    assert (bundle / "unreadable.csv").read_text() == (product / "unreadable.csv").read_text()
    ours, theirs = ((one / "scores.csv").read_text().splitlines() for one in (bundle, product))
    assert ours[0] == theirs[0]
    for own, other in zip(ours[1:], theirs[1:], strict=True):
        assert own.split(",")[0] == other.split(",")[0]
        assert float(own.split(",")[1]) == pytest.approx(float(other.split(",")[1]), rel=1e-4)
        assert own.split(",")[2:4] == other.split(",")[2:4]
    run = json.loads((bundle / "run.json").read_text())
    assert (run["category"], run["method"]) == ("part", "oddpart")
    assert run["bundle_sha256"] == json.loads((exported.bundles / "oddpart/manifest.json").read_text())["sha256"]


def test_what_judges_is_named_or_refused(exported: Exported, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    bundle, out = str(exported.bundles / "oddpart"), ["--output", str(tmp_path / "out")]
    rows = [
        (
            ["nothing", "a.png"],
            "nothing: is neither a bundle (a folder with manifest.json) nor a product",
        ),
        ([bundle], "name a bundle or a product first, then pictures"),
        ([bundle, "a.png", "--method", "aecsad"], "--method aecsad: a bundle is of one method: leave it out"),
        ([bundle, "gone.png"], "gone.png: nothing is there"),
    ]
    for words, message in rows:
        caplog.clear()
        assert RUNNER.invoke(app, ["predict", *words, *out]).exit_code == 1
        assert message in caplog.text.replace("\n", " ")


def test_three_packages_are_enough(exported: Exported) -> None:
    """Every other installed package is hidden, as in an environment that lacks it."""
    code = f"""
import importlib.metadata, sys
found = importlib.metadata.packages_distributions()
keep = {{*{ALLOWED}, "oddpart", "stages", "commands", "numpy.libs"}}
own = set(sys.stdlib_module_names) | set(sys.modules)
sys.modules |= dict.fromkeys(name for name in found if name not in keep | own)
import oddpart
print(oddpart.load(sys.argv[1]).predict(sys.argv[2]).score)
print("torch" in found and sys.modules["torch"] is None)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [
        sys.executable,
        "-c",
        code,
        str(exported.bundles / "oddpart"),
        str(exported.root / INPUTS / "images/22.png"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    score, hidden = done.stdout.split()
    assert hidden == "True"
    assert float(score) == oddpart.load(exported.bundles / "oddpart").predict(INPUTS / "images/22.png").score
