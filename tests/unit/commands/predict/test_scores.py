"""`oddpart predict` on a small trained set of parts: its scores are the pipeline's, bit for bit."""

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from commands.attention import show_attention
from commands.predict.parts import trained_files
from commands.predict.running import Wishes
from commands.predict.scoring import predict_images
from stages.aecsad.model.conformal import JACKKNIFE
from stages.aecsad.model.label_maps import read_label_maps, write_label_maps
from stages.core.encoder.device import pick_device
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.images.grey_range import between, write_grey_range
from stages.core.io.calibration import read_calibration
from stages.core.io.decision import read_choice, write_choice
from stages.core.io.lineage import content_hash
from stages.core.io.result import read_result
from stages.core.io.tables import SYNTHETIC
from stages.core.io.weights import write_weights
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import PictureSizes, counted
from stages.core.runtime.reading import read_like_training
from stages.export.parts import load_parts
from stages.export.parts import predict as score_picture
from tests.unit.commands.predict.case import (
    INPUTS,
    SPLITS,
    count_areas,
    fuse,
    fuse_hybrid,
    judge,
    remember,
    segment,
    train_students,
)

CHOICE, SEGMENTOR = Path("histogram.json"), Path("artifacts/aecsad/segmentation/part/model.safetensors")
LABEL_MAPS, HISTOGRAM = (
    Path("artifacts/aecsad/segmentation/part/label_maps.npz"),
    Path("artifacts/aecsad/histogram/part/model.npz"),
)
RETRAINING = (  # in the order in which parts become new
    segment, count_areas, train_students, fuse, remember, fuse_hybrid, judge
)  # fmt: skip
FUSION, CALIBRATION = "artifacts/scores/part/aecsad/fusion.json", "artifacts/evaluation/part/aecsad/calibration.json"
SCORED = range(SPLITS.index("validation"), len(SPLITS))


@pytest.fixture(scope="module", autouse=True)
def trained(trained_part: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make a folder with params.yaml and the trained category `part` the current one."""
    root = tmp_path_factory.mktemp("trained")
    shutil.copytree(trained_part, root, dirs_exist_ok=True)
    with chdir(root):
        yield


@pytest.fixture
def put_back(tmp_path: Path) -> Iterator[None]:
    """Put the trained category back as it was, after a test that changes it."""
    shutil.copytree(Path(), tmp_path / "kept")
    yield
    for path in Path().iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(tmp_path / "kept", Path(), dirs_exist_ok=True)


def predict(
    output: Path, *inputs: Path, overwrite: bool = False, method: str | None = "aecsad"
) -> list[dict[str, str]]:
    wishes = Wishes(output, overwrite=overwrite, heatmaps=True)
    closing = predict_images(inputs, wishes, category="part", method=method)
    assert closing.counts.startswith(f"{counted(len(read_rows(output / 'scores.csv')), 'image')} scored, ")
    assert closing.code == (2 if read_rows(output / "unreadable.csv") else 0)
    return read_rows(output / "scores.csv")


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def copy_images(folder: Path, numbers: range = SCORED) -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        shutil.copy(f"split/inputs/images/{number:02d}.png", folder / f"größe {number:02d}.png")
    return folder


def assert_pipeline_scores(rows: list[dict[str, str]], method: str = "aecsad") -> None:
    """The rows hold the pipeline's scores of the same files, to the last bit."""
    expected = read_result(Path("artifacts/scores/part", method)).scores.set_index("image_id")
    expected = expected[expected["split"] != SYNTHETIC]
    expected.index = expected.index.str[-2:]
    found = {Path(row["path"]).stem[-2:]: row for row in rows}
    assert sorted(found) == sorted(expected.index)
    for column in expected.columns.drop("split"):
        assert {key: float(row[column]) for key, row in found.items()} == expected[column].to_dict(), column


def test_scores_are_those_of_the_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, forward = [], FrozenEncoder.forward

    def counted(self: FrozenEncoder, images: Any) -> Any:
        encoded.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(FrozenEncoder, "forward", counted)
    rows = predict(tmp_path / "out", copy_images(tmp_path / "Späne und Öl"))
    assert_pipeline_scores(rows)
    assert all(row["histogram"] for row in rows), "with one branch only this test would prove little"
    assert encoded == [1] * len(rows)


@pytest.mark.parametrize("method", ["oddpart", "patchcore"])
def test_scores_and_maps_of_the_other_methods(tmp_path: Path, method: str) -> None:
    """`oddpart` is what is taken without a name. Maps are the pipeline's, to the last bit, too."""
    asked = None if method == "oddpart" else method
    rows = predict(tmp_path / "out", copy_images(tmp_path / "photos"), method=asked)
    assert_pipeline_scores(rows, method)
    assert json.loads((tmp_path / "out/run.json").read_text())["method"] == method
    branches = {"oddpart": {"student_teacher", "neighbours", "fine_neighbours", "parts"}, "patchcore": set()}[method]
    assert all(rows[0][name] for name in branches), "with fewer branches this test would prove little"
    result = read_result(Path("artifacts/scores/part", method))
    assert result.maps is not None
    parts = load_parts(trained_files("part", method), device=pick_device())
    for image_id, expected in zip(result.maps.image_ids[:3], result.maps.values, strict=False):
        assert image_id.startswith("test/")
        picture = read_like_training(Path("split/inputs/images", f"{image_id[-2:]}.png"), None)
        np.testing.assert_array_equal(score_picture(parts, picture).anomaly_map, expected)


def test_methods_that_cannot_judge_new_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--method inctrl cannot judge new pictures: it compares pictures by CLIP"):
        predict(tmp_path / "out", INPUTS, method="inctrl")
    with pytest.raises(UserError, match="--method patchcore: it is off for bar: switch it on in `methods`"):
        trained_files("bar", "patchcore")


@pytest.mark.usefixtures("put_back")
def test_scores_without_the_histogram_branch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As the stages leave it when the pseudo-labels have no classes: weights 0, no segmentor."""
    without = HISTOGRAM.parent / JACKKNIFE
    write_weights(SEGMENTOR, {}, {"encoder": "x", "image_size": 256, "module": None})
    made_from = {"segmentation": content_hash(SEGMENTOR)}
    write_label_maps(LABEL_MAPS, read_label_maps(LABEL_MAPS), made_from=made_from)
    count_areas()
    choice = read_choice(CHOICE)
    write_choice(CHOICE, choice | {"weights": dict.fromkeys(choice["weights"], 0.0), "covered": False})
    table = pd.read_parquet(without)
    table.assign(**dict.fromkeys(choice["weights"], 0.0)).to_parquet(without)
    fuse()
    judge()
    rows = predict(tmp_path / "out", copy_images(tmp_path / "photos"))
    assert_pipeline_scores(rows)
    assert {row["histogram"] for row in rows} == {""}
    assert "are not covered for part: aecsad has no active branch" in caplog.text


@pytest.mark.usefixtures("put_back")
def test_pictures_of_12_bits_are_read_as_the_training_images_were(tmp_path: Path) -> None:
    """Saved with 12 bits of 16, the same pictures get the same scores; without the range they are refused."""
    photos = copy_images(tmp_path / "photos", range(20, 22))
    for path in sorted(photos.iterdir()):
        values = cv2.imread(str(path)).astype(np.float64)
        cv2.imwrite(str(path), np.rint(values * 4095 / 255).astype(np.uint16))
    assert predict(tmp_path / "refused", photos) == []
    for row in read_rows(tmp_path / "refused/unreadable.csv"):
        assert "has 16 bits a channel, the product's own images have 8" in row["error"]
    expected = read_result(Path("artifacts/scores/part/aecsad")).scores.set_index("image_id")["score"]
    write_grey_range(INPUTS, between(0, 4095))  # as `split` does for a product of such images
    train_students()
    fuse()
    judge()
    rows = predict(tmp_path / "out", photos)
    assert [float(row["score"]) for row in rows] == [expected["test/20"], expected["test/21"]]


def test_files_of_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    photos = copy_images(tmp_path / "photos", range(20, 23))
    shutil.copytree(photos, photos / "b")
    (photos / "broken.jpg").write_bytes((photos / "größe 20.png").read_bytes()[:500])
    (photos / "todo").write_text("not an image")
    (tmp_path / "notes.txt").write_text("not an image")
    out = photos / "out"
    with caplog.at_level("INFO"):
        rows = predict(out, photos, photos / "größe 21.png", tmp_path / "notes.txt", tmp_path / "gone.png")
    names = ["größe 20", "größe 21", "größe 22"]
    assert [row["path"] for row in rows] == [str(f / f"{n}.png") for f in (photos / "b", photos) for n in names]
    assert [row["heatmap"] for row in rows] == [f"heatmaps/{name}{end}.jpg" for end in ("", "-2") for name in names]
    for row in rows:
        with Image.open(out / row["heatmap"]) as heatmap:
            assert heatmap.size == (512, 512)
            heatmap.load()
    unreadable = read_rows(out / "unreadable.csv")
    assert [Path(row["path"]).name for row in unreadable] == ["notes.txt", "gone.png", "broken.jpg"]
    assert unreadable[0]["error"] == "is no image by its content"
    assert unreadable[1]["error"] == "does not exist"
    assert f"unreadable: {photos / 'broken.jpg'}: is unreadable, truncated or damaged" in caplog.text
    assert read_rows(out / "skipped.csv") == [{"path": str(photos / "todo"), "reason": "is no image by its content"}]
    files = [
        "heatmaps", "run.json", "scores.csv", "scores.jsonl", "skipped.csv", "unreadable.csv", "verdicts.sqlite",
    ]  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == files
    assert len(list((out / "heatmaps").iterdir())) == 6
    about = json.loads((out / "run.json").read_text())
    assert (about["images scored"], about["unreadable"], about["skipped"]) == (6, 3, 1)
    assert about["parts"]["fusion"] == content_hash(Path(FUSION))


def test_columns(tmp_path: Path) -> None:
    rows = predict(tmp_path / "out", copy_images(tmp_path / "photos", range(24, 25)))
    assert list(rows[0]) == [
        "path", "score", "threshold", "is_anomalous", "display_score", "p_value", "unsure", "histogram",
        "student_teacher", "explanations", "size_note", "kind_note", "heatmap", "milliseconds", "sha256", "time",
        "tags",
    ]  # fmt: skip
    calibration, score = read_calibration(Path(CALIBRATION)), float(rows[0]["score"])
    assert float(rows[0]["threshold"]) == calibration.threshold.value
    assert rows[0]["is_anomalous"] == str(score > calibration.threshold.value)
    assert float(rows[0]["display_score"]) == pytest.approx(calibration.display(score), abs=1e-6)
    assert float(rows[0]["score"]) == float(rows[0]["histogram"]) + float(rows[0]["student_teacher"])
    assert float(rows[0]["milliseconds"]) > 0
    assert calibration.sureness is not None
    scores = read_result(Path("artifacts/scores/part/aecsad")).scores
    normal = scores["score"][scores["split"] == "validation"]
    assert calibration.sureness.normal == tuple(sorted(normal))
    assert float(rows[0]["p_value"]) == pytest.approx((1 + (normal >= score).sum()) / (len(normal) + 1), abs=1e-6)
    assert rows[0]["unsure"] == str(calibration.sureness.low < score <= calibration.sureness.high)
    assert calibration.sizes == PictureSizes((256, 256), (256, 256), (1.0, 1.0))


def test_earlier_results_stay_unless_told(tmp_path: Path) -> None:
    photos, out = copy_images(tmp_path / "photos", range(20, 22)), tmp_path / "out"
    predict(out, photos / "größe 20.png")
    with pytest.raises(UserError, match="holds earlier results: add --overwrite"):
        predict(out, photos)
    assert len(read_rows(out / "scores.csv")) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no image found in"):
        predict(out, tmp_path / "empty", overwrite=True)
    assert len(read_rows(out / "scores.csv")) == 1
    assert len(predict(out, photos, overwrite=True)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "out", "photos"]


def test_an_unfinished_retraining_is_refused_at_every_stage(tmp_path: Path) -> None:
    """With another seed each part becomes another one; only when all are new, there is something to score with."""
    photos = copy_images(tmp_path / "photos", range(20, 22))
    before = [row["score"] for row in predict(tmp_path / "before", photos, method="oddpart")]
    shutil.copytree(Path(), tmp_path / "kept")
    params, last = Path("params.yaml"), len(RETRAINING) - 1
    params.write_text(params.read_text().replace("seed: 0", "seed: 1"))
    try:
        for number, stage in enumerate(RETRAINING):
            stage()
            if number < last:
                with pytest.raises(UserError, match="the trained parts are of different runs, .*: run `dvc repro` to"):
                    predict(tmp_path / f"out-{number}", photos, method="oddpart")
        after = [row["score"] for row in predict(tmp_path / "after", photos, method="oddpart")]
        assert after != before
        shutil.copy(
            tmp_path / "kept/artifacts/aecsad/student_teacher/part/model.safetensors",
            "artifacts/aecsad/student_teacher/part",
        )
        message = r"oddpart/fusion.json was made from student_teacher \w{8}, but artifacts/aecsad/stud"
        with pytest.raises(UserError, match=message):
            predict(tmp_path / "out", photos, method="oddpart")
    finally:
        shutil.copytree(tmp_path / "kept", Path(), dirs_exist_ok=True)
    assert [row["score"] for row in predict(tmp_path / "again", photos, method="oddpart")] == before


def test_parts_replaced_while_they_are_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the whole retraining ends between the reading of the first part and that of the last."""
    checked = iter(({"fusion": "old"}, {"fusion": "new"}))
    monkeypatch.setattr("stages.export.parts.check_one_run", lambda files: next(checked))
    with pytest.raises(UserError, match="a retraining replaced the trained parts while they were read"):
        predict(tmp_path / "out", copy_images(tmp_path / "photos", range(20, 21)))


def test_parts_without_a_record_are_refused(tmp_path: Path) -> None:
    original = Path(CALIBRATION).read_text()
    Path(CALIBRATION).write_text(json.dumps({**json.loads(original), "made_from": None}))
    try:
        with pytest.raises(UserError, match=r"calibration\.json: does not say what it was made from \(None\)"):
            predict(tmp_path / "out", copy_images(tmp_path / "photos", range(20, 21)))
    finally:
        Path(CALIBRATION).write_text(original)


@pytest.mark.parametrize(
    ("part", "damage", "message"),
    [
        (FUSION, lambda text: text[:-40], f"{FUSION}: does not say what it was made from"),
        (FUSION, lambda text: text.replace("histogram_2x2", "histogram_7x7"), "are of different runs"),
        (CALIBRATION, lambda text: json.dumps(json.loads(text) | {"low": None}), "low: Input"),
    ],
)
def test_damaged_parts(part: str, damage: Any, message: str, tmp_path: Path) -> None:
    original = Path(part).read_text()
    Path(part).write_text(damage(original))
    try:
        with pytest.raises(UserError, match=f"{message}.*run `dvc repro`"):
            predict(tmp_path / "out", copy_images(tmp_path / "photos", range(20, 21)))
    finally:
        Path(part).write_text(original)
    assert not (tmp_path / "out").exists()


def test_attention_of_one_image(tmp_path: Path) -> None:
    picture, out = Path("split/inputs/images/00.png"), tmp_path / "out"
    show_attention(picture, category="part", output=out, at=(0.25, 0.75))
    with np.load(tmp_path / "out/attention.npz") as arrays:
        shapes = {name: arrays[name].shape for name in arrays.files}
    assert shapes == {name: 2 * cells for name, cells in zip(
        ("encoder_16x16", "encoder_8x8", "decoder_16x16"), ((16, 16), (8, 8), (16, 16)), strict=True
    )}  # fmt: skip
    with Image.open(tmp_path / "out/attention.png") as drawn:
        assert min(drawn.size) > 500
    with pytest.raises(UserError, match="exists already: name a new folder"):
        show_attention(picture, category="part", output=out, at=None)
