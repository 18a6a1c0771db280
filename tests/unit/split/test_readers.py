"""Each source's layout as common records."""

import json
from pathlib import Path

import pytest

from stages.core.run.errors import UserError
from stages.download.manifest import read_manifest
from stages.split.readers.industrial import read_csv, read_elpv, read_loco, read_mvtec
from stages.split.readers.medical_tables import read_medianomaly
from stages.split.readers.records import Record


def lay_out(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_image_id_is_the_path_without_suffix() -> None:
    assert Record("test/a.b/größe 1.PNG", "normal", "good").image_id == "test/a.b/größe 1"
    for name in ("test/a.b/1.2.840.1", "scan.001", "1.2.840.1"):  # no suffix of an image
        assert Record(name, "normal", "good").image_id == name
        assert Record(f"{name}.dcm", "normal", "good").image_id == name


def test_loco(tmp_path: Path) -> None:
    masks = ("ground_truth/logical_anomalies/0/000.png", "ground_truth/logical_anomalies/0/001.png")
    images = ("train/good/0.jpg", "validation/good/0.jpg", "test/good/0.jpg", "test/logical_anomalies/0.jpg")
    lay_out(tmp_path, *images, "test/structural_anomalies/5.jpg", "components/train/good/0.png", *masks)
    defects = [{"defect_name": "missing", "pixel_value": 255, "saturation_threshold": 9, "relative_saturation": False}]
    (tmp_path / "defects_config.json").write_text(json.dumps(defects), encoding="utf-8")
    reading = read_loco(tmp_path)
    assert set(reading.records) == {
        Record("train/good/0.jpg", "normal", "good", "train"),
        Record("validation/good/0.jpg", "normal", "good", "validation"),
        Record("test/good/0.jpg", "normal", "good", "test"),
        Record("test/logical_anomalies/0.jpg", "logical", "logical_anomalies", "test", masks),
        Record("test/structural_anomalies/5.jpg", "structural", "structural_anomalies", "test"),
    }
    assert reading.findings == ()
    assert reading.defect_names == {255: "missing"}


def test_loco_findings(tmp_path: Path) -> None:
    lay_out(tmp_path, "train/bad/0.jpg", "test/dents/0.jpg", "test/good/inner/0.jpg", "defects_config.json")
    lay_out(tmp_path, "ground_truth/logical_anomalies/7/000.png")
    assert read_loco(tmp_path).findings == (
        "train/bad: is not one of good: move or remove it",
        "test/dents: is not one of good, logical_anomalies, structural_anomalies: move or remove it",
        "test/good/inner: is a folder where images are expected",
        "ground_truth/logical_anomalies/7/000.png: is a mask without an image: remove it or add its image",
        "defects_config.json: is not a list of objects with pixel_value and defect_name "
        "(JSONDecodeError('Expecting value: line 1 column 1 (char 0)'))",
    )


def test_mvtec(tmp_path: Path) -> None:
    lay_out(tmp_path, "train/good/0.png", "test/good/0.png", "test/dent/0.png", "test/dent/1.png", "train/dent/0.png")
    lay_out(tmp_path, "ground_truth/dent/0_mask.png", "ground_truth/dent/2_mask.png")
    reading = read_mvtec(tmp_path)
    assert set(reading.records) == {
        Record("train/good/0.png", "normal", "good", "train"),
        Record("test/good/0.png", "normal", "good", "test"),
        Record("test/dent/0.png", "structural", "dent", "test", ("ground_truth/dent/0_mask.png",)),
        Record("test/dent/1.png", "structural", "dent", "test"),
    }
    assert reading.findings == (
        "train/dent: only train/good belongs to train: move or remove it",
        "ground_truth/dent/2_mask.png: is a mask without an image: remove it or add its image",
    )


def test_folders_of_mvtec_that_are_written_otherwise(tmp_path: Path) -> None:
    lay_out(tmp_path, "train/good/0.png", "test/good/0.png", "test/Good/1.png", "Ground_Truth/dent/0_mask.png")
    reading = read_mvtec(tmp_path)
    assert reading.findings == ("test/Good: would be a kind of defect: call it good, or rename it",)
    assert reading.notes == (
        "1 image files are not used, as they are not in train, test or ground_truth, e.g. Ground_Truth/dent/0_mask.png",
    )


def table(root: Path, *lines: str) -> Path:
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return root


def test_csv_with_all_columns(tmp_path: Path) -> None:
    table(
        tmp_path,
        "filename, is_anomalous,split,mask_path,defect_type,kind",
        "a/1.png,0,train,,,",
        'a/"2.png,0,val,,,normal',
        "./b/größe 3.png,1,test,m/3.png,dent,Structural",
        "b/4.png,TRUE,test,,,",
    )
    reading = read_csv(tmp_path)
    assert reading.findings == ()
    assert reading.records == (
        Record("a/1.png", "normal", "good", "train"),
        Record('a/"2.png', "normal", "good", "validation"),
        Record("b/größe 3.png", "structural", "dent", "test", ("m/3.png",)),
        Record("b/4.png", "unspecified", "defect", "test"),
    )


def test_csv_with_the_required_columns_only(tmp_path: Path) -> None:
    reading = read_csv(table(tmp_path, "filename,is_anomalous", "1.png,0", "2.png,1"))
    assert reading.records == (Record("1.png", "normal", "good"), Record("2.png", "unspecified", "defect"))


def test_csv_bad_values_are_all_named(tmp_path: Path) -> None:
    table(
        tmp_path,
        "filename,is_anomalous,split,mask_path,kind",
        "1.png,2,train,,",
        "../2.png,0,train,,",
        "3.png,1,tset,/etc/m.png,",
        "4.png,1,test,,normal",
        "5.png,0,test,,logical",
        ",0,test,,",
        "6.png,0,test,,,surplus",
        "./,0,test,.,",
        "7.png,0,,,",
        "8.png,0,train,,",
    )
    assert read_csv(tmp_path).findings == (
        "labels.csv, line 2: is_anomalous is '2', not 0 or 1",
        "labels.csv, line 3: filename '../2.png' leads out of the data set's folder",
        "labels.csv, line 4: mask_path '/etc/m.png' leads out of the data set's folder",
        "labels.csv, line 4: split is 'tset', not train, validation or test",
        "labels.csv, line 5: kind is 'normal', not logical, structural or unspecified",
        "labels.csv, line 6: kind is 'logical', not normal",
        "labels.csv, line 7: filename is empty",
        "labels.csv, line 8: has 6 values, the table has 5 columns: add or remove commas",
        "labels.csv, line 9: filename './' names no file",
        "labels.csv, line 9: mask_path '.' names no file",
        "labels.csv: some rows have a split and others none: fill the column or remove it",
    )


def test_csv_rows_that_contradict_themselves(tmp_path: Path) -> None:
    table(tmp_path, "filename,is_anomalous,defect_type", "1.png,1,Good", "2.png,0,good", "3.png,1,dent")
    assert read_csv(tmp_path).findings == (
        "labels.csv, line 2: defect_type is 'good', and is_anomalous says that it is a defect: correct one of them",
    )


def test_elpv_rows_that_are_wrong(tmp_path: Path) -> None:
    table(tmp_path, "filename,probability,type", "a.png,0.0", "b.png,x,mono", "../c.png,1.0,mono", "d.png,1.0,mono")
    reading = read_elpv(tmp_path)
    assert reading.findings == (
        "labels.csv, line 2: has 2 values, the table has 3 columns: add or remove commas",
        "labels.csv, line 3: probability is 'x', not a number from 0 to 1",
        "labels.csv, line 4: filename '../c.png' leads out of the data set's folder",
    )
    assert [record.path for record in reading.records] == ["d.png"]
    (tmp_path / "labels.csv").write_bytes(b"filename,probability\n\xff,0\n")
    with pytest.raises(UserError, match=r"labels\.csv: is not a comma-separated table in UTF-8"):
        read_elpv(tmp_path)


def test_json_nested_deeper_than_can_be_read(tmp_path: Path) -> None:
    for content in ("[" * 200_000, '[{"pixel_value": Infinity, "defect_name": "x"}]'):
        (tmp_path / "defects_config.json").write_text(content)
        assert "defects_config.json: is not a list" in read_loco(tmp_path).findings[0]
    (tmp_path / "data.json").write_text("[" * 200_000)
    for read in (read_medianomaly, lambda folder: read_manifest(folder / "data.json")):
        with pytest.raises(UserError, match=r"data\.json: (is )?not a JSON file"):
            read(tmp_path)


def test_csv_notes(tmp_path: Path) -> None:
    lay_out(tmp_path, "1.png", "2.PNG", "3.jpg", "notes.txt")
    reading = read_csv(table(tmp_path, "filename,is_anomalous,operator", "1.png,0,eve"))
    assert reading.notes == (
        "labels.csv: columns ignored: operator",
        "labels.csv: 2 image files are in no row, e.g. 2.PNG",
    )


def test_csv_without_a_required_column(tmp_path: Path) -> None:
    table(tmp_path, "file;is_anomalous", "1.png;0")
    with pytest.raises(UserError, match=r"labels\.csv: the column 'filename' is missing; there are: file;is_anomalous"):
        read_csv(tmp_path)


def test_csv_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"filename,is_anomalous\ncaf\xe9.png,0\n")
    with pytest.raises(UserError, match="is not a comma-separated table in UTF-8"):
        read_csv(tmp_path)
    with pytest.raises(UserError, match=r"labels\.csv is missing"):
        read_csv(tmp_path / "nowhere")


def test_elpv(tmp_path: Path) -> None:
    table(tmp_path, "filename,probability,type", "1.png,0.0,mono", "2.png,0.3333333333333333,mono")
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("3.png,0.6666666666666666,mono\n4.png,1.0,mono\n5.png,nan,mono\n6.png,1.5,mono\n7.png,?,mono\n")
    (tmp_path / "labels.csv").write_bytes((tmp_path / "labels.csv").read_bytes().removeprefix(b"\xef\xbb\xbf"))
    reading = read_elpv(tmp_path)
    assert reading.records == (
        Record("1.png", "normal", "good"),
        Record("3.png", "structural", "probability_0.67"),
        Record("4.png", "structural", "probability_1.00"),
    )
    assert reading.excluded == 1
    assert reading.findings == tuple(
        f"labels.csv, line {line}: probability is {text!r}, not a number from 0 to 1"
        for line, text in ((6, "nan"), (7, "1.5"), (8, "?"))
    )
