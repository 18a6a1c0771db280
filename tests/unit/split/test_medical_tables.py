"""The layouts of the medical data sets that have a table of labels, as common records."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from stages.core.run.errors import UserError
from stages.split.readers.medical_tables import read_aptos2019, read_isic2018, read_medianomaly
from stages.split.readers.records import Record

DIAGNOSES = "MEL,NV,BCC,AKIEC,BKL,DF,VASC"


def lay_out(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def medianomaly(root: Path, table: Any, *names: str) -> Path:
    lay_out(root, "images/0.png", *(f"images/{name}" for name in names))
    (root / "data.json").write_text(json.dumps(table), encoding="utf-8")
    return root


def test_medianomaly(tmp_path: Path) -> None:
    table = {
        "train": {"0": ["0.png"], "unlabeled": {"0": ["4.png"], "1": ["5.png"]}},
        "test": {"0": ["a/1.png"], "1": ["2.png"]},
    }
    reading = read_medianomaly(medianomaly(tmp_path, table, "2.png", "4.png", "5.png", "a/1.png"))
    assert reading.records == (
        Record("images/0.png", "normal", "good", "train"),
        Record("images/a/1.png", "normal", "good", "test"),
        Record("images/2.png", "unspecified", "anomalous", "test"),
    )
    assert reading.findings == ()
    assert reading.notes == (
        "data.json: not used: train, unlabeled",
        "2 files of images are not used, e.g. images/4.png",
    )


def test_medianomaly_findings(tmp_path: Path) -> None:
    table = {"train": {"0": ["../0.png", 7]}, "test": {"0": ["/1.png"], "1": [], "2": ["3.png"]}}
    reading = read_medianomaly(medianomaly(tmp_path, table))
    assert reading.records == ()
    assert reading.findings == (
        "data.json, train, 0: '../0.png' leads out of images",
        "data.json, train, 0: 7 is no file name",
        "data.json, test, 0: '/1.png' leads out of images",
        "data.json, test: the label '2' is unknown, there are 0 (normal) and 1 (anomalous)",
    )


def test_medianomaly_of_another_layout(tmp_path: Path) -> None:
    for table in ([], {"train": {"0": []}}, {"train": {"0": []}, "test": {"0": [], "1": "a.png"}}):
        with pytest.raises(UserError, match=r'data\.json: has no list of file names at "t'):
            read_medianomaly(medianomaly(tmp_path, table))


def test_medianomaly_without_its_parts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.json is missing"):
        read_medianomaly(tmp_path)
    (tmp_path / "data.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="is not a JSON file"):
        read_medianomaly(tmp_path)
    (tmp_path / "data.json").write_text('{"train": {"0": []}, "test": {"0": [], "1": []}}', encoding="utf-8")
    with pytest.raises(UserError, match="images is missing"):
        read_medianomaly(tmp_path)


def aptos(root: Path, *rows: str, normal: int = 1005) -> Path:
    lay_out(root, "train_images/eye_0000.png", "train_images/spare.png")
    plain = [f"eye_{i:04},0" for i in range(normal)]
    (root / "train.csv").write_text("\n".join(["id_code,diagnosis", *plain, *rows]) + "\n", encoding="utf-8")
    return root


def test_aptos2019_divides_as_published(tmp_path: Path) -> None:
    reading = read_aptos2019(aptos(tmp_path, "ill_1,1", "ill_4,4"))
    assert reading.findings == ()
    assert reading.notes == ("train.csv: 1 files of train_images are in no row, e.g. train_images/spare.png",)
    normal = [f"train_images/eye_{i:04}.png" for i in range(1005)]
    random.seed(1)
    random.shuffle(normal)  # the published script's own calls, in the table's order
    by_split = {split: {r.path for r in reading.records if r.split == split} for split in ("train", "test")}
    assert by_split["train"] == set(normal[:1000])
    assert by_split["test"] == {*normal[1000:], "train_images/ill_1.png", "train_images/ill_4.png"}
    assert {r for r in reading.records if r.is_anomalous} == {
        Record("train_images/ill_1.png", "unspecified", "grade_1", "test"),
        Record("train_images/ill_4.png", "unspecified", "grade_4", "test"),
    }


def test_aptos2019_findings(tmp_path: Path) -> None:
    assert read_aptos2019(aptos(tmp_path, "a,5", "../b,0", ",0", "c", normal=1000)).findings == (
        "train.csv, line 1002: diagnosis is '5', not one of 0, 1, 2, 3, 4",
        "train.csv, line 1003: id_code is '../b', not the name of a file in train_images without its suffix",
        "train.csv, line 1004: id_code is '', not the name of a file in train_images without its suffix",
        "train.csv, line 1005: has 1 values, the table has 2 columns: add or remove commas",
        "train.csv: names 1000 normal images, the protocol takes 1000 to train and needs more for test: take the whole "
        "data set, or describe yours as a `csv` source",
    )


def isic(root: Path, part: str, *rows: str) -> None:
    name = f"ISIC2018_Task3_{part}_GroundTruth/ISIC2018_Task3_{part}_GroundTruth.csv"
    lay_out(root, name, f"ISIC2018_Task3_{part}_Input/LICENSE.txt")
    (root / name).write_text("\n".join([f"image,{DIAGNOSES}", *rows]) + "\n", encoding="utf-8")


def test_isic2018(tmp_path: Path) -> None:
    isic(tmp_path, "Training", "ISIC_1,0.0,1.0,0.0,0.0,0.0,0.0,0.0", "ISIC_2,1.0,0.0,0.0,0.0,0.0,0.0,0.0")
    isic(tmp_path, "Test", "ISIC_3,0,1,0,0,0,0,0", "ISIC_4,0,0,0,0,0,0,1")
    isic(tmp_path, "Validation", "ISIC_5,0,0,1,0,0,0,0")
    lay_out(tmp_path, "ISIC2018_Task3_Test_Input/ISIC_9.jpg")
    reading = read_isic2018(tmp_path, test_part="test")
    assert reading.records == (
        Record("ISIC2018_Task3_Training_Input/ISIC_1.jpg", "normal", "good", "train"),
        Record("ISIC2018_Task3_Test_Input/ISIC_3.jpg", "normal", "good", "test"),
        Record("ISIC2018_Task3_Test_Input/ISIC_4.jpg", "unspecified", "VASC", "test"),
    )
    assert reading.findings == ()
    assert reading.notes == (
        "1 images of Training other than NV are not used",
        "1 images of Test are in no row, e.g. ISIC2018_Task3_Test_Input/ISIC_9.jpg",
    )
    tested = [record for record in read_isic2018(tmp_path, test_part="validation").records if record.split == "test"]
    assert tested == [Record("ISIC2018_Task3_Validation_Input/ISIC_5.jpg", "unspecified", "BCC", "test")]


def test_isic2018_findings(tmp_path: Path) -> None:
    isic(
        tmp_path,
        "Training",
        "ISIC_1,0,1,0,0,0,0,1",
        "ISIC_2,0,0,0,0,0,0,0",
        "ISIC_3,0,0.5,0,0,0,0,0",
        "a/b,0,1,0,0,0,0,0",
    )
    isic(tmp_path, "Test", "ISIC_4,0,1,0,0,0,0,0")
    table = "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
    assert read_isic2018(tmp_path, test_part="test").findings == (
        *(
            f"{table}, line {i}: not exactly one of MEL, NV, BCC, AKIEC, BKL, DF, VASC is 1 and the others 0"
            for i in (2, 3, 4)
        ),
        f"{table}, line 5: image is 'a/b', not the name of a file without its suffix",
    )


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.csv is missing"):
        read_aptos2019(tmp_path)
    with pytest.raises(UserError, match=r"Training_GroundTruth\.csv is missing"):
        read_isic2018(tmp_path, test_part="test")
    with pytest.raises(UserError, match=r"train\.csv: the column 'id_code' is missing; there are: train\.csv"):
        read_aptos2019(lay_out(tmp_path, "train.csv"))


def test_a_table_without_its_images_or_columns(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id_code,diagnosis\na,0\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"train_images is missing: train\.csv names images"):
        read_aptos2019(tmp_path)
    isic(tmp_path, "Training", "ISIC_1,0,1,0,0,0,0,0")
    name = tmp_path / "ISIC2018_Task3_Test_GroundTruth/ISIC2018_Task3_Test_GroundTruth.csv"
    lay_out(tmp_path, str(name))
    name.write_text("image,MEL,NV,BCC,AKIEC,BKL,DF\n", encoding="utf-8")
    with pytest.raises(UserError, match="the column 'VASC' is missing; there are: image, MEL"):
        read_isic2018(tmp_path, test_part="test")
