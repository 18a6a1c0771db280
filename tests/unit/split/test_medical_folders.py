"""The layouts of the medical data sets that are folders of classes, as common records."""

from pathlib import Path

import pytest

from stages.core.run.errors import UserError
from stages.split.readers.medical_folders import read_br35h, read_brats, read_camelyon16, read_oct2017
from stages.split.readers.records import Record


def lay_out(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


BRATS = ("train/p1_flair_6.png", "test/normal/p2_flair_7.png", "test/tumor/p3_flair_8.png", "test/tumor/p4_flair_9.png")


def test_brats(tmp_path: Path) -> None:
    reading = read_brats(lay_out(tmp_path, *BRATS, "test/annotation/p3_seg_8.png"))
    assert set(reading.records) == {
        Record("train/p1_flair_6.png", "normal", "good", "train"),
        Record("test/normal/p2_flair_7.png", "normal", "good", "test"),
        Record("test/tumor/p3_flair_8.png", "unspecified", "tumor", "test", ("test/annotation/p3_seg_8.png",)),
        Record("test/tumor/p4_flair_9.png", "unspecified", "tumor", "test"),
    }
    assert reading.findings == ()


def test_brats_findings(tmp_path: Path) -> None:
    lay_out(tmp_path, *BRATS, "test/annotation/p5_seg_1.png", "test/oedema/1.png", "train/more/1.png")
    assert read_brats(tmp_path).findings == (
        "train/more: is a folder where images are expected",
        "test/oedema: is not one of normal, tumor, annotation: move or remove it",
        "test/annotation/p5_seg_1.png: is a mask without an image: remove it or add its image",
    )


OCT = ("train/NORMAL/n1.jpeg", "test/NORMAL/n2.jpeg", "test/CNV/c.jpeg", "test/DME/d.jpeg", "test/DRUSEN/r.jpeg")


def test_oct2017_never_trains_on_the_abnormal_folders_of_train(tmp_path: Path) -> None:
    lay_out(tmp_path, *OCT, "train/CNV/1.jpeg", "train/DME/2.jpeg", "train/DME/3.jpeg", "val/NORMAL/4.jpeg")
    reading = read_oct2017(tmp_path)
    assert set(reading.records) == {
        Record("train/NORMAL/n1.jpeg", "normal", "good", "train"),
        Record("test/NORMAL/n2.jpeg", "normal", "good", "test"),
        Record("test/CNV/c.jpeg", "unspecified", "CNV", "test"),
        Record("test/DME/d.jpeg", "unspecified", "DME", "test"),
        Record("test/DRUSEN/r.jpeg", "unspecified", "DRUSEN", "test"),
    }
    assert reading.findings == ()
    assert reading.notes == ("4 images of train/CNV, train/DME, val/NORMAL are not used by the protocol",)


def test_class_folders_findings(tmp_path: Path) -> None:
    lay_out(tmp_path, *OCT, "train/cnv/1.jpeg", "test/OTHER/2.jpeg", "test/DME/more/3.jpeg")
    assert read_oct2017(tmp_path).findings == (
        "test/DME/more: is a folder where images are expected",
        "test/OTHER: is not one of NORMAL, CNV, DME, DRUSEN: move or remove it",
        "train/cnv: is not one of NORMAL: move or remove it",
    )


def test_camelyon16(tmp_path: Path) -> None:
    lay_out(tmp_path, "train/good/1.png", "test/good/2.png", "test/Ungood/3.png")
    assert set(read_camelyon16(tmp_path).records) == {
        Record("train/good/1.png", "normal", "good", "train"),
        Record("test/good/2.png", "normal", "good", "test"),
        Record("test/Ungood/3.png", "unspecified", "Ungood", "test"),
    }
    lay_out(tmp_path, "valid/good/4.png", "valid/Ungood/5.png")
    validation = {record for record in read_camelyon16(tmp_path).records if record.split == "validation"}
    assert validation == {
        Record("valid/good/4.png", "normal", "good", "validation"),
        Record("valid/Ungood/5.png", "unspecified", "Ungood", "validation"),
    }


def test_br35h(tmp_path: Path) -> None:
    lay_out(tmp_path, "no/no0.jpg", "no/no 999.jpg", "no/no1000.jpg", "yes/y7.jpg", "pred/pred1.jpg", "pred/x/2.jpg")
    reading = read_br35h(lay_out(tmp_path, "no/none.jpg"))
    assert set(reading.records) == {
        Record("no/no0.jpg", "normal", "good", "train"),
        Record("no/no 999.jpg", "normal", "good", "train"),
        Record("no/no1000.jpg", "normal", "good", "test"),
        Record("yes/y7.jpg", "unspecified", "tumor", "test"),
    }
    assert reading.findings == ("no/none.jpg: has no number, by which the protocol divides: rename or remove it",)
    assert reading.notes == ("2 images of pred are not used by the protocol",)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for read, names, message in (
        (read_brats, ("train/1.png", "test/normal/1.png"), "the folder test/tumor is missing"),
        (read_brats, ("train/1.png", "test/normal/1.png", "test/tumor/2.png"), "the folder test/annotation is missing"),
        (read_oct2017, OCT[:-1], "the folder test/DRUSEN is missing"),
        (read_camelyon16, ("train/good/1.png", "test/good/1.png"), "the folder test/Ungood is missing"),
        (read_br35h, ("no/no1.jpg",), "the folder yes is missing"),
    ):
        with pytest.raises(UserError, match=message):
            read(lay_out(tmp_path / message, *names))
