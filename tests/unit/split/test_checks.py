"""Bad input is refused before anything is written: all findings in one list, with file names, and code 1."""

import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from stages.core.run.errors import UserError
from stages.split.__main__ import main
from stages.split.checks import check_all, refuse
from stages.split.inspect_files import Inspection
from stages.split.readers.records import Record
from stages.split.rule import count_normals
from tests.table import new_folder, violations

DATASET = Path("artifacts/download/part")
Refusal = Callable[..., str]


def save(name: str, seed: int, size: tuple[int, int] = (24, 18)) -> None:
    """A small image of noise below the data set's root."""
    path = DATASET / name
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, size=(size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def save_mask(name: str, value: int = 255, size: tuple[int, int] = (24, 18)) -> None:
    """A mask that marks six pixels in the middle."""
    path = DATASET / name
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.new("L", size)
    mask.paste(value, (3, 2, 5, 5))
    mask.save(path)


def write_huge(name: str) -> None:
    """A PNG whose header announces 30000 x 30000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (DATASET / name).write_bytes(content + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Refusal:
    """Run the stage on DATASET, which it must refuse with code 1, writing nothing, and return its message."""
    monkeypatch.chdir(tmp_path)

    def run(**category: Any) -> str:
        params = {"seed": 0, "split": {"ratios": [70, 15, 15], "rotate_up_to": 0},
                  "categories": {"part": {"path": "x", **category}},
                  "near_duplicates": {"hash_distance": 6, "pixel_difference": 3.0},
                  "data_health": {"outlier": 6.0, "shown": 20}}  # fmt: skip
        Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        paths = [word for name in ("inputs", "truth", "counts") for word in (f"--{name}", f"out/{name}")]
        with pytest.raises(SystemExit) as stop:
            main(["--dataset", str(DATASET), "--category", "part", *paths])
        assert stop.value.code == 1
        assert list(Path("out").iterdir()) == []
        assert "Traceback" not in caplog.text
        return caplog.text

    return run


def good_loco() -> None:
    for i in range(8):
        save(f"train/good/{i}.png", i)
    save("validation/good/0.png", 100)
    save("test/good/0.png", 101)
    save("test/logical_anomalies/0.png", 102)
    save_mask("ground_truth/logical_anomalies/0/000.png")


def test_all_findings_come_in_one_list(refusal: Refusal) -> None:
    good_loco()
    whole = (DATASET / "train/good/1.png").read_bytes()
    (DATASET / "train/good/1.png").write_bytes(whole[: len(whole) // 2])
    (DATASET / "train/good/2.png").write_bytes(b"")
    (DATASET / "train/good/notes.txt").write_text("not pixels", encoding="utf-8")
    write_huge("train/good/3.png")
    (DATASET / "test/good/same.png").write_bytes((DATASET / "train/good/4.png").read_bytes())
    (DATASET / "validation/good/same.png").write_bytes((DATASET / "train/good/5.png").read_bytes())
    save("test/good/0.jpg", 103)
    save_mask("ground_truth/logical_anomalies/0/001.png", size=(18, 24))
    save_mask("ground_truth/logical_anomalies/9/000.png")
    save("test/structural_anomalies/0.png", 104)
    (DATASET / "ground_truth/structural_anomalies/0").mkdir(parents=True)
    (DATASET / "ground_truth/structural_anomalies/0/000.png").write_bytes(b"")
    message = refusal(source="mvtec_loco")
    for finding in (
        "artifacts/download/part: nothing was written, findings: 10",
        "- train/good/1.png: is unreadable, truncated or damaged",
        "- train/good/2.png: is empty (0 bytes)",
        "- train/good/notes.txt: is not an image",
        "- train/good/3.png: is 30000 x 30000 pixels, more than 100 megapixels",
        "- test/good/same.png (test), train/good/4.png (train): have the same content",
        "- train/good/5.png (train), validation/good/same.png (validation): have the same content",
        "- test/good/0.jpg, test/good/0.png: have one id, 'test/good/0'",
        "- ground_truth/logical_anomalies/0/001.png: is 18 x 24 pixels, its image test/logical_anomalies/0.png is "
        "24 x 18",
        "- ground_truth/logical_anomalies/9/000.png: is a mask without an image",
        "- ground_truth/structural_anomalies/0/000.png: is empty (0 bytes)",
    ):
        assert finding in message


def test_too_few_training_images(refusal: Refusal) -> None:
    good_loco()
    (DATASET / "train/good/0.png").unlink()
    assert "train: has 7 normal images, at least 8 are needed" in refusal(source="sample")


def test_empty_splits(refusal: Refusal) -> None:
    good_loco()
    for split in ("train", "validation", "test"):
        for path in (DATASET / split / "good").iterdir():
            path.unlink()
    # the ratios do not let validation be taken from train, as it would be otherwise
    message = refusal(source="mvtec_loco", ratios=[1, 0, 1])
    for split in ("train", "validation", "test"):
        assert f"- {split}: is empty, it has no normal image" in message


def test_the_rule_has_no_place_for_the_anomalies(refusal: Refusal) -> None:
    for i in range(9):
        save(f"images/good/{i}.png", i)
    save("images/defect/0.png", 10)
    (DATASET / "images/good/8.png").write_bytes(b"")
    message = refusal(source="folder", ratios=[1, 0, 0])
    assert "findings: 2" in message
    assert "ratios [1, 0, 0] leave no place for 1 images" in message
    assert "images/good/8.png: is empty" in message


def test_mask_value_that_the_list_of_defects_does_not_name(refusal: Refusal) -> None:
    good_loco()
    (DATASET / "defects_config.json").write_text('[{"defect_name": "a", "pixel_value": 254}]', encoding="utf-8")
    expected = "ground_truth/logical_anomalies/0/000.png: has the pixel values [255], which defects_config.json does"
    assert expected in refusal(source="mvtec_loco")


def test_masks_that_contradict_the_label(refusal: Refusal) -> None:
    for i in range(8):
        save(f"train/good/{i}.png", i)
    for name, seed in (("test/good/0.png", 100), ("test/dent/0.png", 101), ("test/dent/1.png", 102)):
        save(name, seed)
    save_mask("ground_truth/good/0_mask.png", value=255)
    save_mask("ground_truth/dent/0_mask.png", value=0)
    Image.new("L", (24, 18), 255).save(DATASET / "ground_truth/dent/1_mask.png", format="JPEG")
    message = refusal(source="mvtec")
    assert "ground_truth/good/0_mask.png: marks a defect, though test/good/0.png is normal" in message
    assert "ground_truth/dent/0_mask.png: marks nothing, though test/dent/0.png is anomalous" in message
    assert "ground_truth/dent/1_mask.png: is compressed with loss (JPEG), which blurs a mask: save it as PNG" in message


def test_csv_findings(refusal: Refusal) -> None:
    for i in range(12):
        save(f"{i}.png", i)
    rows = [f"{i}.png,0,{'train' if i < 8 else 'validation' if i < 10 else 'test'}," for i in range(12)]
    rows += ["gone.png,0,test,", "3.png,1,train,", "11.png,1,test,no_mask.png", "0.png,maybe,train,"]
    (DATASET / "labels.csv").write_text("filename,is_anomalous,split,mask_path\n" + "\n".join(rows), encoding="utf-8")
    message = refusal(source="csv")
    for finding in (
        "gone.png: does not exist",
        "no_mask.png: does not exist",
        "labels.csv, line 17: is_anomalous is 'maybe', not 0 or 1",
        "3.png, 3.png: have one id, '3'",
        "3.png: is anomalous and in train, which holds normal images only",
        "11.png, 11.png: have the same content, some normal, some anomalous",
    ):
        assert f"- {finding}" in message


WRONG_TABLES = [  # header, first row, message
    ("filename,is_anomalous,is_anomalous", "0.png,0,1", "line 1, columns 2, 3: are all called 'is_anomalous'"),
    (
        "filename,is_anomalous,Is_Anomalous",
        "0.png,0,1",
        "line 1: the columns 'is_anomalous', 'Is_Anomalous' differ by capital letters only: keep one",
    ),
    (
        "filename,is_anomalous,is_anomalous\u200b",
        "0.png,0,1",
        r"line 1, column 3: the name 'is_anomalous\u200b' holds a character that is not seen: write it again",
    ),
    (
        "\ufeff\ufefffilename,is_anomalous",
        "0.png,0",
        r"line 1, column 1: the name '\ufefffilename' holds a character",
    ),
    (
        "filename;is_anomalous",
        "0.png;0",
        "the column 'filename' is missing; there are: filename;is_anomalous: separate the columns by commas",
    ),
    (
        "filename\tis_anomalous",
        "0.png\t0",
        "the column 'filename' is missing; there are: filename\tis_anomalous: separate the columns by commas",
    ),
    ("filename,is_anomalous,", "0.png,0,", "line 1, column 3: has no name: name the column or remove it"),
    ("filename,is_anomalous,split", '0.png,0,"train', "line 2, column 3: quotation marks are not in pairs"),
    ("filename,is_anomalous,split", '"0.png"x,0,train', "line 2, column 1: quotation marks are not in pairs"),
    ("filename,is_anomalous,split", "0.png,0", "line 2: has 2 values, the table has 3 columns"),
    ("filename,is_anomalous", "0.png,0,train", "line 2: has 3 values, the table has 2 columns"),
    ("filename,split", "0.png,train", "the column 'is_anomalous' is missing; there are: filename, split"),
]


def test_tables_that_could_be_read_wrongly(
    refusal: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def check(header: str, row: str, message: str) -> None:
        caplog.clear()
        monkeypatch.chdir(new_folder(tmp_path))
        for i in range(12):
            save(f"{i}.png", i)
        others = [",".join([f"{i}.png", "0", *["train"] * (header.count(",") - 1)]) for i in range(1, 12)]
        others[6] += '"' if row.endswith('"train') else ""  # a second quotation mark lines below closes nothing
        (DATASET / "labels.csv").write_text("\n".join([header, row, *others]) + "\n", encoding="utf-8")
        assert f"labels.csv{',' if message.startswith('line') else ':'} {message}" in refusal(source="csv")

    assert violations(check, WRONG_TABLES) == []


def test_a_table_that_names_an_image_twice_and_contradicts_itself(refusal: Refusal) -> None:
    for i in range(20):
        save(f"{i}.png", i)
    rows = [*(f"{i}.png,{int(i > 15)}" for i in range(20)), "./3.png,1"]
    (DATASET / "labels.csv").write_text("filename,is_anomalous\n" + "\n".join(rows) + "\n", encoding="utf-8")
    message = refusal(source="csv")
    assert "findings: 2" in message
    assert "- 3.png, 3.png: have one id, '3': rename or remove one" in message
    assert "- 3.png, 3.png: have the same content, some normal, some anomalous: keep one" in message


def test_no_such_dataset(refusal: Refusal) -> None:
    Path("out").mkdir()
    assert "artifacts/download/part (--dataset) does not exist" in refusal(source="folder")


def test_an_empty_dataset(refusal: Refusal) -> None:
    DATASET.mkdir(parents=True)
    assert "ratios [70, 15, 15] of 0 normal images leave none to train on" in refusal(source="folder")


def test_bad_params(refusal: Refusal) -> None:
    good_loco()
    assert "categories.part.source is 'web': expected one of `sample`" in refusal(source="web")
    assert "ratios are all 0" in refusal(source="folder", ratios=[0, 0, 0])
    assert "test_part belongs to isic2018, and isic2018 needs it" in refusal(source="isic2018")


def plain(good: Iterable[int], defect: Iterable[int] = ()) -> None:
    """Pictures by their seed: equal ones have equal content."""
    for number, seed in enumerate(good):
        save(f"images/good/{number}.png", seed)
    for number, seed in enumerate(defect):
        save(f"images/defect/{number}.png", seed)


def test_too_few_pictures_say_how_many_are_needed_and_why(refusal: Refusal) -> None:
    plain(range(8))
    message = refusal(source="folder")
    assert "train: has 6 normal images, at least 8 are needed: there are 8 in all, of which 11 are the least" in message
    assert [count_normals(count, (70, 15, 15)) for count in (10, 11)] == [(7, 2, 1), (8, 2, 1)]


def test_equal_pictures_are_the_reason_of_an_empty_part(refusal: Refusal) -> None:
    plain([7] * 16)
    message = refusal(source="folder")
    assert "validation: is empty, it has no normal image: there are 16 in all, of which 11 are the least" in message
    assert "15 of them are copies of others with the same content, which stay together" in message


def test_twins_of_defects_are_the_reason_of_a_small_train(refusal: Refusal) -> None:
    for number in range(14):
        save(f"images/good/{number}.png", number)
    for number in range(8):  # the same part before and after
        with Image.open(DATASET / f"images/good/{number}.png") as picture:
            picture.putpixel((0, 0), (0, 0, 0))
            (DATASET / "images/defect").mkdir(exist_ok=True)
            picture.save(DATASET / f"images/defect/{number}.png")
    message = refusal(source="folder")
    assert "train: has 6 normal images, at least 8 are needed: there are 14 in all" in message
    assert "8 of them are nearly the same as a picture of a defect, so that train may not have them" in message


def test_a_table_of_wrong_rows_is_a_short_list() -> None:
    with pytest.raises(UserError, match="findings: 100000") as caught:
        refuse(Path("x"), [f"labels.csv, line {line}: is wrong" for line in range(100_000)])
    assert str(caught.value).splitlines()[-1] == "  - and 99950 more"
    assert len(str(caught.value).splitlines()) == 1 + 50 + 1


def test_pictures_too_small_to_see_anything(refusal: Refusal) -> None:
    good_loco()
    for name, size in (("dot", (1, 1)), ("line", (4000, 1)), ("strip", (15, 200)), ("enough", (16, 16))):
        save(f"train/good/{name}.png", 7, size)
    message = refusal(source="mvtec_loco")
    assert "train/good/dot.png: is 1 x 1 pixels, at least 16 a side are needed: replace or remove it" in message
    assert "train/good/line.png: is 4000 x 1 pixels" in message
    assert "train/good/strip.png: is 15 x 200 pixels" in message
    assert "enough" not in message


def test_unreadable_files_are_named_once_and_by_no_other_check() -> None:
    records = [Record(f"train/good/{i}.png", "normal", "good", "train") for i in range(8)]
    records += [Record(f"{split}/good/0.png", "normal", "good", split) for split in ("validation", "test")]
    unread = Inspection({}, {}, ("train/good/0.png: is empty (0 bytes)",))
    assert check_all(records, unread, {}) == []
