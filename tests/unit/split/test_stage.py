"""The split stage from its command line: `inputs/` for methods, `truth/` for those who judge, and counts."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from stages.core.io.tables import IMAGE_COLUMNS, image_files, read_images
from stages.core.io.truth import TRUTH_COLUMNS, component_files, health_file, mask_files, read_truth
from stages.core.runtime.reading import read_image
from stages.download.__main__ import main as download
from stages.split.__main__ import main

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class Result:
    """The folder with `inputs` and `truth`, and the counts."""

    folder: Path
    counts: dict[str, Any]

    @property
    def images(self) -> pd.DataFrame:
        return read_images(self.folder / "inputs")

    @property
    def truth(self) -> pd.DataFrame:
        return read_truth(self.folder / "truth")


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the stage for one category whose data set is in artifacts/download/<key>."""
    monkeypatch.chdir(tmp_path)

    def run_stage(key: str = "part", seed: int = 0, **category: Any) -> Result:
        params = {"seed": seed, "split": {"ratios": [70, 15, 15], "rotate_up_to": 0},
                  "categories": {key: {"path": "x", **category}},
                  "near_duplicates": {"hash_distance": 6, "pixel_difference": 3.0},
                  "data_health": {"outlier": 6.0, "shown": 20}}  # fmt: skip
        Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        out, counts = Path("artifacts/split") / key, Path("metrics/split") / f"{key}.json"
        argv = ["--dataset", f"artifacts/download/{key}", "--category", key, "--counts", str(counts)]
        main([*argv, "--inputs", f"{out}/inputs", "--truth", f"{out}/truth"])
        return Result(out, json.loads(counts.read_text(encoding="utf-8")))

    return run_stage


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, size=(18, 24, 3), dtype=np.uint8))


def plain_folder(root: Path, normal: int, anomalous: int) -> None:
    for name, count, first in (("good", normal, 0), ("defect", anomalous, 1000)):
        (root / "images" / name).mkdir(parents=True)
        for i in range(count):
            noise(first + i).save(root / "images" / name / f"größe {i}.PNG")


def by_split(table: pd.DataFrame) -> dict[str, int]:
    return {str(split): int(n) for split, n in table["split"].value_counts().items()}


def test_sample_category(run: Run) -> None:
    archive = str(REPOSITORY / "data" / "samples" / "loco_like.tar")
    entry = {"source": "sample", "path": archive}
    Path("params.yaml").write_text(yaml.safe_dump({"categories": {"pin_tray": entry}}), encoding="utf-8")
    download(["--category", "pin_tray", "--dataset", "artifacts/download/pin_tray"])
    result = run(key="pin_tray", **entry)
    assert result.counts == {
        "train": {"normal": 160},
        "validation": {"normal": 40},
        "test": {"logical": 60, "normal": 60, "structural": 60},
        "with_mask": 120,
        "excluded": 0,
    }
    assert by_split(result.images) == {"train": 160, "validation": 40, "test": 180, "synthetic": 40}
    assert (mask_files(result.folder / "truth") / "defects_config.json").is_file()
    defects = set(result.truth.loc[result.truth["kind"] == "logical", "defect_type"])
    assert defects == {"missing_pin", "two_pins", "pin_on_wall", "wrong_colour"}
    assert len(result.truth.query("kind == 'logical' and defect_type == 'missing_pin'")) == 15
    found = {path.stem for path in component_files(result.folder / "truth").glob("train/good/*.png")}
    assert found == {f"{number:03}" for number in range(160)}
    health = json.loads(health_file(result.folder / "truth").read_text(encoding="utf-8"))
    assert health["images"] == len(result.truth)


def test_tables_and_files(run: Run) -> None:
    plain_folder(Path("artifacts/download/part"), normal=33, anomalous=7)
    result = run(source="folder")
    assert tuple(result.images.columns) == IMAGE_COLUMNS
    assert tuple(result.truth.columns) == TRUTH_COLUMNS
    assert by_split(result.images) == {
        "train": 23,
        "validation": 5,
        "validation_anomalous": 4,
        "test": 8,
        "synthetic": 5,
    }
    assert by_split(result.truth) == {"train": 23, "validation": 9, "test": 8}
    assert not result.truth.loc[result.truth["split"] == "train", "is_anomalous"].any()
    assert result.counts["test"] == {"normal": 5, "unspecified": 3}
    assert list(result.images["image_id"]) == sorted(result.images["image_id"])
    row = result.truth.set_index("image_id").loc["images/defect/größe 3"]
    content = Path("artifacts/download/part/images/defect/größe 3.PNG").read_bytes()
    assert row["sha256"] == hashlib.sha256(content).hexdigest()
    assert row["file"] == row["sha256"][:16] + ".png"
    assert (image_files(result.folder / "inputs") / row["file"]).read_bytes() == content
    assert (row["width"], row["height"], row["kind"], row["defect_type"]) == (24, 18, "unspecified", "defect")
    assert len(list(image_files(result.folder / "inputs").iterdir())) == 40 + 5


def test_the_seed_decides_and_a_rerun_is_identical(run: Run) -> None:
    plain_folder(Path("artifacts/download/part"), normal=33, anomalous=7)

    def written() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in Path("artifacts/split/part").rglob("*") if path.is_file()}

    images, first = run(source="folder").images, written()
    run(source="folder")
    assert written() == first
    assert not run(source="folder", seed=1).images.equals(images)


def test_portrait_and_landscape_mixed_are_warned_of(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    folder = Path("artifacts/download/part/images/good")
    plain_folder(folder.parents[1], normal=20, anomalous=2)
    run(source="folder")
    assert "portrait" not in caplog.text
    for path in sorted(folder.iterdir())[:10]:
        with Image.open(path) as picture:
            picture.transpose(Image.Transpose.ROTATE_90).save(path)
    run(source="folder")
    truth = run(source="folder").truth.query("split == 'train'")
    tall = int((truth["height"] > truth["width"]).sum())
    assert f"train mixes {tall} portrait and {len(truth) - tall} landscape pictures" in caplog.text


def test_the_log_says_how_many_images_moved(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """DVC has deleted the old split by then."""
    folder = Path("artifacts/download/part")
    plain_folder(folder, normal=33, anomalous=7)

    def said(**category: Any) -> str:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            run(source="folder", **category)
        shutil.rmtree("artifacts/split")
        return "; ".join(line for line in caplog.messages if "the last run here" in line)

    assert said() == ""
    (folder / "images/good/größe 3.PNG").rename(folder / "images/good/renamed.png")
    assert "all 40 images that the last run here had are in the same part" in said()
    (folder / "images/good/größe 5.PNG").unlink()
    before = {record["sha256"]: record["split"] for record in run(source="folder").truth.to_dict("records")}
    after = {one["sha256"]: one["split"] for one in run(source="folder", ratios=[50, 25, 25]).truth.to_dict("records")}
    moved = sum(before[digest] != after[digest] for digest in before)
    assert moved > 5
    assert f"{moved} of 39 images are in another part of the split than in the last run here (" in caplog.text
    assert " from train to validation" in caplog.text
    Path("work/split/part.json").write_text("[")
    assert said() == ""


def test_resplit_and_ratios_of_the_category(run: Run) -> None:
    root = Path("artifacts/download/part")
    for folder, count, first in (("train/good", 20, 0), ("test/good", 10, 100), ("test/dent", 4, 200)):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            noise(first + i).save(root / folder / f"{i}.png")
    kept = run(source="mvtec", ratios=[60, 40, 0])
    assert by_split(kept.truth) == {"train": 12, "validation": 8, "test": 14}
    pooled = run(source="mvtec", resplit=True, ratios=[60, 20, 20])
    assert by_split(pooled.truth) == {"train": 18, "validation": 6 + 2, "test": 6 + 2}


def test_masks_keep_their_values_and_name_the_defects(run: Run) -> None:
    root = Path("artifacts/download/part")
    for folder, count, first in (("train/good", 8, 0), ("validation/good", 1, 50), ("test/good", 1, 60)):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            noise(first + i).save(root / folder / f"{i}.png")
    (root / "test/logical_anomalies").mkdir()
    noise(70).save(root / "test/logical_anomalies/0.png")
    noise(71).save(root / "test/logical_anomalies/1.png")
    masks = root / "ground_truth/logical_anomalies/0"
    masks.mkdir(parents=True)
    for name, value in (("000.png", 254), ("001.png", 255)):
        mask = Image.new("L", (24, 18))
        mask.paste(value, (3, 2, 5, 5))
        mask.save(masks / name)
    names = [{"defect_name": "swapped", "pixel_value": 255}, {"defect_name": "missing", "pixel_value": 254}]
    (root / "defects_config.json").write_text(json.dumps(names), encoding="utf-8")
    truth = run(source="mvtec_loco").truth.set_index("image_id")
    assert truth.loc["test/logical_anomalies/0", "defect_type"] == "missing+swapped"
    assert truth.loc["test/logical_anomalies/1", "defect_type"] == "logical_anomalies"
    values = []
    for name in truth.loc["test/logical_anomalies/0", "mask_files"]:
        with Image.open(mask_files(Path("artifacts/split/part/truth")) / name) as mask:
            assert (mask.mode, mask.format) == ("L", "PNG")
            values.append(set(np.unique(np.asarray(mask)).tolist()) - {0})
    assert values == [{254}, {255}]


def test_colour_masks_become_black_and_white(run: Run) -> None:
    root = Path("artifacts/download/part")
    plain_folder(root, normal=33, anomalous=1)
    (root / "masks").mkdir()
    mask = Image.new("RGBA", (24, 18), (0, 0, 0, 255))
    mask.putpixel((2, 1), (0, 7, 0, 0))
    mask.save(root / "masks/größe 0.png")
    truth = run(source="folder").truth.set_index("image_id")
    (name,) = truth.loc["images/defect/größe 0", "mask_files"]
    pixels = read_image(mask_files(Path("artifacts/split/part/truth")) / name)[:, :, 0]
    assert pixels[1, 2] == 255
    assert pixels.sum() == 255


def test_conversions_are_counted_in_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    root = Path("artifacts/download/part")
    plain_folder(root, normal=20, anomalous=2)
    good, exif = root / "images/good", Image.Exif()
    exif[0x0112] = 6
    noise(1).convert("L").save(good / "grey.png")
    noise(2).convert("CMYK").save(good / "cmyk.jpg")
    noise(3).quantize(8).save(good / "palette.png")
    noise(4).convert("RGBA").save(good / "alpha.png")
    noise(5).save(good / "rotated.jpg", exif=exif)
    Image.fromarray(np.arange(432, dtype=np.uint16).reshape(18, 24) * 100).save(good / "deep.png")
    with caplog.at_level(logging.INFO):
        truth = run(source="folder").truth.set_index("image_id")
    assert "converted when read: 1 16-bit, 1 CMYK, 1 EXIF-rotated, 1 alpha, 2 grey, 1 palette" in caplog.text
    assert "2 of 2 anomalous images have no mask" in caplog.text
    assert tuple(truth.loc["images/good/rotated", ["width", "height"]]) == (18, 24)


def test_elpv_excludes_the_doubtful(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    root = Path("artifacts/download/part")
    (root / "images").mkdir(parents=True)
    rows = ["filename,probability,type"]
    for i in range(24):
        noise(i).convert("L").save(root / f"images/{i}.png")
        rows.append(f"images/{i}.png,{(0.0, 0.0, 1.0, 1 / 3)[i % 4]},mono")
    (root / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    with caplog.at_level(logging.INFO):
        result = run(source="elpv", kind="mono")
    # 12 normal images: round(8.4), then half up of 4 * 15 / 30; 6 anomalous ones in halves
    assert result.counts == {
        "train": {"normal": 8},
        "validation": {"normal": 2, "structural": 3},
        "test": {"normal": 2, "structural": 3},
        "with_mask": 0,
        "excluded": 6,
        "near_duplicates": {"groups": 0, "images": 0, "normals_like_anomalies": 0, "too_large": 0},
    }
    assert "6 images excluded" in caplog.text


def test_images_of_the_same_content_share_a_file(run: Run) -> None:
    root = Path("artifacts/download/part")
    for folder, count, first in (("train/good", 8, 0), ("validation/good", 1, 50), ("test/good", 1, 60)):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            noise(first + i).save(root / folder / f"{i}.png")
    noise(7).save(root / "train/good/again.png")
    result = run(source="mvtec_loco")
    assert len(result.images) == 11 + 1  # one with a synthetic defect
    assert len(list(image_files(result.folder / "inputs").iterdir())) == 10 + 1


def test_nearly_the_same_pictures_are_kept_together(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Each of ten normal pictures twice, the copies a grey level brighter; a defect is like one of them."""
    root = Path("artifacts/download/part/images")
    for name, count in (("good", 20), ("defect", 5)):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = np.asarray(noise(i % 10 if name == "good" else 100 + i).resize((64, 64))) // 2
            Image.fromarray(pixels + np.uint8(i // 10)).save(root / name / f"{i:02}.png")
    alike = np.asarray(noise(3).resize((64, 64))) // 2 + np.uint8(2)
    Image.fromarray(alike).save(root / "defect" / "00.png")
    with caplog.at_level(logging.INFO):
        result = run(source="folder")
    split = dict(zip(result.images["image_id"], result.images["split"], strict=True))
    pairs = [(split[f"images/good/{i:02}"], split[f"images/good/{i + 10:02}"]) for i in range(10)]
    assert all(first == second for first, second in pairs)
    assert pairs[3][0] in ("validation", "test")
    assert split["images/defect/00"].removesuffix("_anomalous") == pairs[3][0]
    assert result.counts["near_duplicates"] == {
        "groups": 10, "images": 21, "normals_like_anomalies": 2, "too_large": 0
    }  # fmt: skip
    assert result.counts["train"] == {"normal": 14}
    assert "25 images of part, 21 near-duplicates kept together in 10 groups" in caplog.text
    assert "2 normal images are nearly the same as an anomalous one and excluded from train" in caplog.text
