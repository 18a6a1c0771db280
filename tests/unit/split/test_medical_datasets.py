"""The medical data sets from their folder or archive to the split's tables."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from stages.core.io.tables import read_images
from stages.core.io.truth import read_truth
from stages.core.runtime.reading import read_image
from stages.download.__main__ import main as download
from stages.download.fundus_crop import crop_to_fundus
from stages.split.__main__ import main as split
from tests.medical_layouts import ANOMALOUS, NORMAL, OPTIONS, TRAIN, WRITERS

PLAIN = tuple(name for name in WRITERS if name != "aptos2019")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(path: str | Path, **category: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Both stages for one category; the truth table, and the counts that git tracks."""
    entry = {"path": str(path), **category}
    params = {"seed": 0, "split": {"ratios": [70, 15, 15], "rotate_up_to": 0}, "categories": {"scan": entry},
              "near_duplicates": {"hash_distance": 6, "pixel_difference": 3.0},
              "data_health": {"outlier": 6.0, "shown": 20}}  # fmt: skip
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shutil.rmtree("dataset", ignore_errors=True)  # as DVC does before it runs a stage
    download(["--category", "scan", "--dataset", "dataset"])
    argv = ["--dataset", "dataset", "--category", "scan", "--inputs", "inputs", "--truth", "truth"]
    split([*argv, "--counts", "counts.json"])
    return read_truth(Path("truth")), json.loads(Path("counts.json").read_text(encoding="utf-8"))


def refusal(caplog: pytest.LogCaptureFixture, path: str | Path, **category: Any) -> str:
    with pytest.raises(SystemExit) as stop:
        run(path, **category)
    assert stop.value.code == 1
    assert not Path("truth").exists()
    return caplog.text


def pack(folder: str) -> Path:
    """The folder as an archive, under another name."""
    with tarfile.open("data.tar.gz", "w:gz") as tape:
        tape.add(folder, "MedSet")
    return Path("data.tar.gz")


@pytest.mark.parametrize("source", PLAIN)
def test_from_the_layout_to_the_tables(source: str) -> None:
    WRITERS[source](Path("data/inner"))
    truth, counts = run("data", source=source, **OPTIONS.get(source, {}))
    packed, _ = run(pack("data/inner"), source=source, **OPTIONS.get(source, {}))
    pd.testing.assert_frame_equal(packed, truth)
    # 70 : 15 of 20 normal training images: round(20 * 70 / 85) = 16 stay
    assert counts["train"] == {"normal": 16}
    assert counts["validation"] == {"normal": TRAIN - 16}
    assert counts["test"] == {"normal": NORMAL, "unspecified": ANOMALOUS}
    assert counts["with_mask"] == (ANOMALOUS if source == "brats" else 0)
    assert set(truth["kind"]) == {"normal", "unspecified"}
    images = read_images(Path("inputs"))
    assert set(images["image_id"][images["split"] == "train"]) == set(truth["image_id"][truth["split"] == "train"])


def test_aptos2019_keeps_the_published_split() -> None:
    WRITERS["aptos2019"](Path("data"))
    truth, counts = run("data", source="aptos2019", crop="none")
    assert counts["train"]["normal"] + counts["validation"]["normal"] == 1000
    assert counts["test"] == {"normal": NORMAL, "unspecified": ANOMALOUS}
    assert sorted(set(truth["defect_type"])) == ["good", "grade_1", "grade_2", "grade_3", "grade_4"]
    assert not Path("dataset/test_images").exists()


def test_oct2017_does_not_copy_the_abnormal_folders_of_train(caplog: pytest.LogCaptureFixture) -> None:
    WRITERS["oct2017"](Path("data"))
    with caplog.at_level("INFO"):
        run("data", source="oct2017")
    assert "3 files not copied" in caplog.text
    assert sorted(path.name for path in Path("dataset/train").iterdir()) == ["NORMAL"]


def test_findings_of_a_data_set_come_in_one_list(caplog: pytest.LogCaptureFixture) -> None:
    WRITERS["medianomaly"](Path("data"))
    table = json.loads(Path("data/data.json").read_text(encoding="utf-8"))
    table["test"] |= {"1": [*table["test"]["1"], "gone.png", "normal_1.png"], "2": []}
    Path("data/data.json").write_text(json.dumps(table), encoding="utf-8")
    Path("data/images/ill_0.png").write_bytes(b"")
    message = refusal(caplog, "data", source="medianomaly")
    for finding in (
        "findings: 5",
        "the label '2' is unknown",
        "images/gone.png: does not exist",
        "images/ill_0.png: is empty (0 bytes)",
        "images/normal_1.png, images/normal_1.png: have one id, 'images/normal_1'",
        "have the same content, some normal, some anomalous: keep one",
    ):
        assert finding in message, finding


def test_wrong_entries_and_folders(caplog: pytest.LogCaptureFixture) -> None:
    WRITERS["br35h"](Path("data"))
    for category, message in (
        ({"source": "isic2018"}, "test_part is missing: expected one of `test`, `validation`"),
        ({"source": "aptos2019"}, "crop is missing: expected one of `fundus`, `none`"),
        ({"source": "br35h", "crop": "fundus"}, "crop: unknown key"),
        ({"source": "br35h", "equal_files": "ignore"}, "equal_files is 'ignore': expected one of `refuse`, `exclude`"),
        ({"source": "medianomaly"}, "no folder holds 'data.json'"),
    ):
        assert message in refusal(caplog, "data", **category)
    Path("data/train").write_bytes(b"a file in the folder's place")
    assert "the folder train is missing" in refusal(caplog, "data", source="brats")


def copies(source: str, target: str) -> None:
    Path(target).write_bytes(Path(source).read_bytes())


def test_equal_files_are_refused_or_excluded(caplog: pytest.LogCaptureFixture) -> None:
    """One picture in train and test, one in train twice, one called normal and anomalous."""
    WRITERS["br35h"](Path("data"))
    copies("data/no/no1.jpg", "data/no/no1001.jpg")
    copies("data/no/no2.jpg", "data/no/no3.jpg")
    copies("data/no/no1002.jpg", "data/yes/y2.jpg")
    message = refusal(caplog, "data", source="br35h")
    assert "no/no1.jpg (" in message
    assert "no/no1001.jpg (test): have the same content" in message
    assert "no/no1002.jpg, yes/y2.jpg: have the same content, some normal, some anomalous" in message
    with caplog.at_level("WARNING"):
        truth, counts = run("data", source="br35h", equal_files="exclude")
    assert counts["equal_files"] == {"seen_twice": 1, "contradicting": 2}
    assert counts["train"]["normal"] + counts["validation"]["normal"] == TRAIN - 1
    assert counts["test"] == {"normal": NORMAL - 1, "unspecified": ANOMALOUS - 1}
    rows = truth.set_index("image_id")["split"]
    assert rows["no/no1001"] == "test"
    assert not {"no/no1", "no/no1002", "yes/y2"} & set(rows.index)
    assert rows["no/no2"] == rows["no/no3"]
    assert "excluded as equal files: 1 of train or validation" in caplog.text


def test_a_name_in_train_and_test_stays_in_test_only() -> None:
    WRITERS["medianomaly"](Path("data"))
    table = json.loads(Path("data/data.json").read_text(encoding="utf-8"))
    table["train"]["0"].append("normal_0.png")
    Path("data/data.json").write_text(json.dumps(table), encoding="utf-8")
    truth, counts = run("data", source="medianomaly", equal_files="exclude")
    assert counts["equal_files"] == {"seen_twice": 1, "contradicting": 0}
    assert truth.set_index("image_id").loc["images/normal_0", "split"] == "test"


def disc(height: int, width: int, *, at: tuple[int, int], radius: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    image = np.full((height, width, 3), 3, dtype=np.uint8)
    image[(rows - at[0]) ** 2 + (columns - at[1]) ** 2 <= radius**2] = (200, 90, 40)
    return image


def test_the_crop_is_a_square_around_the_largest_bright_region() -> None:
    """A disc of radius 40 at (50, 90): side 81 and 5 more at each end, from row 50 - 40 - 5 = 5 on."""
    image = disc(120, 200, at=(50, 90), radius=40)
    image[100:104, 4:8] = 255  # smaller, so not the retina
    cropped = crop_to_fundus(image)
    assert cropped.shape == (512, 512, 3)
    bright = np.argwhere(cropped.sum(axis=2) > 200)
    edge = 5 * 512 / 90  # pixels of margin after scaling 90 rows (9..90 and 5 on either side) to 512
    assert np.abs(bright.min(axis=0) - edge).max() < 6
    assert np.abs(511 - bright.max(axis=0) - edge).max() < 6
    assert cropped[256, 256].tolist() == [200, 90, 40]


def test_the_crop_is_black_beyond_the_image() -> None:
    cropped = crop_to_fundus(disc(60, 60, at=(30, 0), radius=25))  # the left half of the disc is not in the image
    assert cropped[:, :100].sum() == 0
    assert cropped[256, 300].tolist() == [200, 90, 40]


def test_aptos2019_is_cropped_while_it_is_copied(caplog: pytest.LogCaptureFixture) -> None:
    folder = Path("data/train_images")
    folder.mkdir(parents=True)
    Image.fromarray(disc(120, 200, at=(50, 90), radius=40)).save(folder / "a.png")
    Path("data/train.csv").write_text("id_code,diagnosis\na,0\n", encoding="utf-8")
    entry = {"source": "aptos2019", "path": "data", "crop": "fundus"}
    Path("params.yaml").write_text(yaml.safe_dump({"categories": {"scan": entry}}), encoding="utf-8")
    argv = ["--category", "scan", "--dataset", "dataset"]
    download(argv)
    assert read_image(Path("dataset/train_images/a.png")).shape == (512, 512, 3)
    assert read_image(folder / "a.png").shape == (120, 200, 3)
    Image.new("RGB", (9, 9)).save(folder / "dark.png")
    (folder / "empty.png").write_bytes(b"")
    with pytest.raises(SystemExit):
        download(argv)
    assert "train_images/dark.png: is dark all over, so there is no retina to crop to" in caplog.text
    assert "train_images/empty.png: is empty (0 bytes)" in caplog.text
    assert sorted(path.name for path in Path("dataset/train_images").iterdir()) == ["a.png"]  # the earlier output
