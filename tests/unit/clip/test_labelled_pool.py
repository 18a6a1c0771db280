"""The pool holds normal training images and anomalies set aside, and nothing that will be judged."""

from pathlib import Path

import pandas as pd
import pytest

from stages.clip.labelled_pool.__main__ import main
from stages.clip.labelled_pool.choose import choose_pool
from stages.clip.model.labelled_pool import read_labelled_pool
from stages.core.io.tables import image_files, write_images
from stages.core.io.truth import TRUTH_COLUMNS, mask_files, write_truth


def row(image_id: str, split: str, anomalous: bool, sha: str, masks: list[str]) -> dict[str, object]:
    kind = "structural" if anomalous else "normal"
    return {
        "image_id": image_id, "file": f"{sha}.png", "split": split, "source_path": f"{image_id}.png",
        "is_anomalous": anomalous, "kind": kind, "defect_type": kind, "mask_files": masks, "sha256": sha * 4,
        "width": 4, "height": 4,
    }  # fmt: skip


def make_truth() -> pd.DataFrame:
    rows = [
        row("train/a", "train", False, "a" * 16, []), row("train/b", "train", False, "b" * 16, []),
        row("val/good", "validation", False, "c" * 16, []), row("val/bad", "validation", True, "d" * 16, ["m.png"]),
        row("val/bare", "validation", True, "e" * 16, []), row("test/good", "test", False, "f" * 16, []),
        row("test/bad", "test", True, "0" * 16, ["n.png"]),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(TRUTH_COLUMNS))


def as_images(truth: pd.DataFrame) -> pd.DataFrame:
    aside = truth["is_anomalous"] & (truth["split"] == "validation")
    images = truth[["image_id", "file", "split"]].copy()
    return images.assign(split=images["split"].mask(aside, "validation_anomalous"))


def test_what_is_in_the_pool() -> None:
    pool = choose_pool(make_truth(), as_images(make_truth()))
    assert pool["image_id"].to_list() == ["train/a", "train/b", "val/bad", "val/bare"]
    assert pool["is_anomalous"].to_list() == [False, False, True, True]
    assert [list(files) for files in pool["mask_files"]] == [[], [], ["m.png"], []]


def test_the_same_content_under_another_name_is_excluded(caplog: pytest.LogCaptureFixture) -> None:
    """Another data set that is judged on two of the pool's images, one with another suffix."""
    other = pd.DataFrame(
        [
            ("x/1", "a" * 16 + ".bmp", "test"),
            ("x/2", "d" * 16 + ".png", "validation"),
            ("x/3", "b" * 16 + ".png", "train"),
        ],
        columns=["image_id", "file", "split"],
    )
    pool = choose_pool(make_truth(), other)
    assert pool["image_id"].to_list() == ["train/b", "val/bare"]
    assert "2 images of the pool are excluded, because they are judged: train/a, val/bad" in caplog.text


def test_the_stage_copies_the_pools_files_only(tmp_path: Path) -> None:
    table, inputs, truth = make_truth(), tmp_path / "inputs", tmp_path / "truth"
    for folder, names in ((image_files(inputs), table["file"]), (mask_files(truth), ["m.png", "n.png"])):
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_bytes(name.encode())
    write_images(inputs, as_images(table))
    write_truth(truth, table)
    options = {"inputs": inputs, "truth": truth, "judged": inputs, "pool": tmp_path / "pool"}
    main([word for name, path in options.items() for word in (f"--{name}", str(path))])
    pool = read_labelled_pool(tmp_path / "pool")
    found = sorted(path.relative_to(tmp_path / "pool").as_posix() for path in (tmp_path / "pool").rglob("*.png"))
    assert found == sorted(["masks/m.png", *(f"images/{file}" for file in pool["file"])])
    assert (tmp_path / "pool/images" / pool["file"][0]).read_bytes() == (b"a" * 16 + b".png")
