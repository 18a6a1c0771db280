"""The stage export: which methods, what a bundle holds, and the gate that holds it against the pipeline."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import oddpart
from stages.core.images.aspect import write_aspect
from stages.core.io.result import read_result
from stages.core.io.tables import read_images
from stages.core.io.weights import read_weights, write_weights
from stages.export.parity import check_parity, expected_of
from stages.export.recipes import RECIPES
from tests.params_files import change_params
from tests.unit.commands.predict.case import INPUTS, fuse_hybrid, judge, remember
from tests.unit.export.conftest import Exported, change_manifest, check_verdicts, export

METHODS = ("oddpart", "aecsad", "patchcore")
FILES = {
    "oddpart": {"encoder-256x256.onnx", "encoder-320x320.onnx", "fine_neighbours.onnx", "neighbours.onnx", "parts.onnx",
                "segmentation.onnx", "student_teacher.onnx", "histograms.npz", "explainer.npz"},
    "aecsad": {"encoder-256x256.onnx", "segmentation.onnx", "student_teacher.onnx", "histograms.npz", "explainer.npz"},
    "patchcore": {"encoder-256x256.onnx", "neighbours.onnx"},
}  # fmt: skip


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def manifest_of(exported: Exported, method: str) -> dict[str, Any]:
    return dict(json.loads((exported.bundles / method / "manifest.json").read_text()))


@pytest.mark.parametrize("method", METHODS)
def test_a_bundle_scores_every_image_as_the_pipeline(exported: Exported, method: str) -> None:
    """Test images and those with synthetic defects, too, which the gate does not see: new images get a place."""
    check_verdicts(bundle := oddpart.load(exported.bundles / method))
    verdict = bundle.predict(INPUTS / "images/00.png")
    assert len(verdict.branches) == {"oddpart": 5, "aecsad": 2, "patchcore": 0}[method]


@pytest.mark.parametrize("method", METHODS)
def test_files_and_manifest(exported: Exported, method: str) -> None:
    folder, manifest = exported.bundles / method, manifest_of(exported, method)
    pictures = {"pictures/1.png", "pictures/2.png", "pictures/3.png"}
    assert set(content_of(folder)) == FILES[method] | pictures | {"manifest.json"}
    assert manifest["files"] == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in content_of(folder).items()
        if name != "manifest.json"
    }
    calibration = json.loads(Path(f"artifacts/evaluation/part/{method}/calibration.json").read_text())
    assert manifest["calibration"]["threshold"]["value"] == calibration["threshold"]["value"]
    assert manifest["calibration"]["sureness"] == calibration["sureness"]
    assert manifest["licences"]["training pictures"] == "CC0 1.0"
    assert manifest["metrics"]["image_auroc"] == json.loads(Path("m/part.json").read_text())[method]["image_auroc"]
    assert (manifest["product"], manifest["method"], manifest["commit"]) == ("part", method, None)
    scores = [picture["score"] for picture in manifest["test_pictures"]]
    validation = read_result(Path("artifacts/scores/part", method)).scores.query("split == 'validation'")["score"]
    assert (scores[0], scores[-1]) == (validation.min(), validation.max())


def test_the_same_parts_give_the_same_bytes(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with an encoder that is exported anew."""
    monkeypatch.setattr("stages.core.encoder.engine.FOLDER", exported.root / "engines")
    monkeypatch.setattr("stages.export.__main__.methods_of", lambda category: ["oddpart"])  # it has all branches
    export(bundles="again")
    first, second = content_of(exported.bundles / "oddpart"), content_of(Path("again/oddpart"))
    assert list(exported.root.glob("engines/*.onnx"))
    assert [name for name in sorted(first) if first[name] != second[name]] == []
    assert set(first) == set(second)


def test_an_entry_takes_no_settings(exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    change_params(exported.root, {"export": {"categories": {"part": {"methods": ["nosuch"]}}}})
    try:
        with pytest.raises(SystemExit):
            export(bundles="none")
    finally:
        change_params(exported.root, {"export": {"categories": {"part": {}}}})
    assert "export.categories.part is {'methods': ['nosuch']}: it takes no settings" in caplog.text
    assert not Path("none").exists()


def test_methods_that_cannot_be_exported_are_named(
    exported: Exported, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.export.__main__.methods_of", lambda category: ["patchcore", "inctrl"])
    export(bundles="fewer")
    assert [path.name for path in Path("fewer").iterdir()] == ["patchcore"]
    assert "inctrl is not exported: it compares pictures by CLIP's networks, which were never run here" in caplog.text
    monkeypatch.setattr("stages.export.__main__.methods_of", lambda category: ["madclip"])
    with pytest.raises(SystemExit):
        export(bundles="none")
    assert "part: no method is on that can be exported; madclip: it compares pictures by CLIP's networks" in caplog.text
    assert not Path("none").exists()


def test_an_evaluation_that_is_older_than_the_method_is_named(
    exported: Exported, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Path("m/part.json")
    kept = metrics.read_text()
    metrics.write_text(json.dumps({name: one for name, one in json.loads(kept).items() if name != "oddpart"}))
    try:
        with pytest.raises(SystemExit):
            export(bundles="none")
    finally:
        metrics.write_text(kept)
    assert "part was not evaluated since oddpart is on: run `dvc repro`" in caplog.text
    assert not Path("none").exists()


def test_the_gate_names_picture_and_branch(exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    """Scores that no trained part gives; a trained part of another run does not get that far."""
    bank = Path(RECIPES["patchcore"].files["neighbours"].format(scores="artifacts/scores/part"))
    kept, scores = bank.read_bytes(), Path("artifacts/scores/part/patchcore/scores.parquet")
    table = scores.read_bytes()
    try:
        changed = pd.read_parquet(scores)
        row = changed.index[changed["split"] == "validation"][2]
        changed.loc[row, "score"] *= 1.001
        changed.to_parquet(scores)
        with pytest.raises(SystemExit):
            export(bundles="refused")
        image_id = changed.loc[row, "image_id"]
        assert f"patchcore: the bundle scores {image_id} " in caplog.text
        assert not Path("refused").exists()
        scores.write_bytes(table)
        state, arguments = read_weights(bank)
        write_weights(bank, {"patches_0": state["patches_0"] * 1.01}, arguments)
        with pytest.raises(SystemExit):
            export(bundles="refused")
        assert "the trained parts are of different runs, as while `dvc repro` runs" in caplog.text
    finally:
        bank.write_bytes(kept)
        scores.write_bytes(table)


def test_the_gate_looks_at_branches_maps_and_verdicts(exported: Exported) -> None:
    bundle, result = oddpart.load(exported.bundles / "oddpart"), read_result(Path("artifacts/scores/part/oddpart"))
    images, folder = read_images(INPUTS), INPUTS / "images"
    expected = expected_of(result, images, bundle.calibration)
    parity = check_parity(bundle, expected, folder)
    assert parity.images == 8
    assert 0 < parity.score < 1e-5
    assert parity.anomaly_map < 1e-3
    first = expected[0]
    branches = {**first.branches, "neighbours": first.branches["neighbours"] + 0.1}  # type: ignore[operator]
    rows: list[tuple[dict[str, Any], str]] = [
        ({"score": first.score * 1.01 + 0.01, "branches": branches}, "branch neighbours differs most"),
        ({"is_anomalous": not first.is_anomalous}, f"scores {first.image_id}"),
        ({"anomaly_map": first.anomaly_map + np.float32(0.5)}, f"anomaly map of {first.image_id} differs"),
    ]
    for changes, message in rows:
        with pytest.raises(oddpart.UserError, match=message):
            check_parity(bundle, [type(first)(**{**vars(first), **changes}), *expected[1:]], folder)


def test_a_missing_part_is_named(exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    model = Path("artifacts/aecsad/segmentation/part/model.safetensors")
    model.rename("moved")
    try:
        with pytest.raises(SystemExit):
            export(bundles="refused")
    finally:
        Path("moved").rename(model)
    assert f"part is not trained yet for oddpart, {model} missing" in caplog.text


def test_a_product_of_patchcore_alone_needs_no_parts_of_aecsad(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("artifacts/aecsad").rename("elsewhere")
    params = (exported.root / "params.yaml").read_bytes()
    try:
        change_params(exported.root, {"methods": {"patchcore": {"categories": {"part": {}}}}})
        export(bundles="alone")
    finally:
        Path("elsewhere").rename("artifacts/aecsad")
        (exported.root / "params.yaml").write_bytes(params)
    assert oddpart.load("alone/patchcore").method == "patchcore"


def test_oblong_pictures_are_scored_as_by_the_pipeline(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(exported.root, tmp_path / "oblong", symlinks=True)
    monkeypatch.chdir(tmp_path / "oblong")
    monkeypatch.setattr("stages.export.__main__.methods_of", lambda category: ["oddpart"])
    write_aspect(INPUTS, 2.5)
    remember()
    fuse_hybrid()
    judge()
    export(bundles="oblong")  # the gate compares every validation image
    manifest = json.loads(Path("oblong/oddpart/manifest.json").read_text(encoding="utf-8"))
    assert {one["name"]: one["size"] for one in manifest["branches"]} == {
        "segmentation": [256, 256], "parts": [256, 256], "student_teacher": [256, 256],
        "neighbours": [160, 416], "fine_neighbours": [192, 512],
    }  # fmt: skip
    assert len(manifest["encoder"]["graphs"]) == 3


@pytest.mark.parametrize("method", ["oddpart", "aecsad"])
def test_a_bundle_explains_every_test_image_as_the_results_do(exported: Exported, method: str) -> None:
    """Text by text, in the order of the branches that decided."""
    bundle = oddpart.load(exported.bundles / method)
    files, said = read_images(INPUTS).set_index("image_id")["file"], list[tuple[str, ...]]()
    results = sorted(Path(f"artifacts/evaluation/part/{method}/results").glob("*.json"))
    for path in results:
        result = json.loads(path.read_text(encoding="utf-8"))
        said.append(bundle.predict(INPUTS / "images" / files[result["image_id"]]).explanations)
        assert said[-1] == tuple(one["text"] for one in result["explanations"])
    assert len(said) == 6
    assert {len(set(said)) > 1, all(said)} == {True}


def test_names_of_components_are_in_the_sentences(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.export.__main__.methods_of", lambda category: ["aecsad"])
    params = (exported.root / "params.yaml").read_bytes()
    try:
        change_params(exported.root, {"components": {"part": {1: "disc"}}})
        export(bundles="named")
    finally:
        (exported.root / "params.yaml").write_bytes(params)
    plain, named = oddpart.load(exported.bundles / "aecsad"), oddpart.load("named/aecsad")
    images = [INPUTS / "images" / f"{number}.png" for number in range(20, 26)]
    before = [text for image in images for text in plain.predict(image).explanations]
    assert any("component 1" in text for text in before)
    after = [text for image in images for text in named.predict(image).explanations]
    assert after == [text.replace("component 1", "disc") for text in before]


def test_a_product_of_deep_pictures_is_exported(exported: Exported, tmp_path: Path) -> None:
    """Its manifest holds the grey range, which is a section and no list."""
    folder = tmp_path / "bundle"
    shutil.copytree(exported.bundles / "patchcore", folder)
    change_manifest(folder, {"grey_range": {"level": 2048.0, "width": 4096.0}}, seal=True)
    assert oddpart.load(folder).grey_range is not None
