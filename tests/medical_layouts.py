"""Tiny data sets of made-up pictures in the layouts of the medical ones."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN, NORMAL, ANOMALOUS = 20, 6, 4  # images of each layout, but for APTOS2019, whose protocol wants 1000 to train
ISIC_HEADER = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"


def write_picture(path: Path, *, odd: bool = False, size: int = 64) -> None:
    """A smooth grey blob on black with noise that its path seeds; an odd one has a bright square."""
    random = np.random.default_rng(list(str(path.name).encode()) + [len(path.parts), odd])
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    values = 160 * np.exp(-6 * (rows**2 + columns**2)) + random.normal(0, 8, (size, size))
    if odd:
        at = int(random.integers(size // 4, size // 2))
        values[at : at + size // 6, at : at + size // 6] = 250
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(path)


def write_folders(root: Path, pattern: str, folders: dict[str, tuple[int, bool]]) -> None:
    """`count` pictures for each folder, odd or not, called `pattern` with the folder's place and a running number."""
    for place, (folder, (count, odd)) in enumerate(folders.items()):
        for i in range(count):
            write_picture(root / folder / pattern.format(place=place, i=i), odd=odd)


def write_medianomaly(root: Path) -> None:
    names = {kind: [f"{kind}_{i}.png" for i in range(count)] for kind, count in
             (("train", TRAIN), ("normal", NORMAL), ("ill", ANOMALOUS))}  # fmt: skip
    for kind, files in names.items():
        for name in files:
            write_picture(root / "images" / name, odd=kind == "ill")
    table = {"train": {"0": names["train"]}, "test": {"0": names["normal"], "1": names["ill"]}}
    (root / "data.json").write_text(json.dumps(table), encoding="utf-8")


def write_brats(root: Path) -> None:
    folders = {"train": (TRAIN, False), "test/normal": (NORMAL, False), "test/tumor": (ANOMALOUS, True)}
    write_folders(root, "case{place}_flair_{i}.png", folders)
    for i in range(ANOMALOUS):
        mask = np.zeros((64, 64), dtype=np.uint8)
        mask[20:30, 20:30] = 255
        (root / "test/annotation").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / f"test/annotation/case2_seg_{i}.png")


def write_camelyon16(root: Path) -> None:
    folders = {"train/good": (TRAIN, False), "test/good": (NORMAL, False), "test/Ungood": (ANOMALOUS, True)}
    write_folders(root, "{place}{i:03}.png", folders)


def write_oct2017(root: Path) -> None:
    folders = {"train/NORMAL": (TRAIN, False), "test/NORMAL": (NORMAL, False), "train/CNV": (3, True)}
    folders |= {"test/CNV": (2, True), "test/DME": (1, True), "test/DRUSEN": (1, True)}
    write_folders(root, "EYE-{place}-{i}.jpeg", folders)


def write_br35h(root: Path) -> None:
    for number in (*range(TRAIN), *range(1000, 1000 + NORMAL)):
        write_picture(root / f"no/no{number}.jpg")
    for number in range(ANOMALOUS):
        write_picture(root / f"yes/y{number}.jpg", odd=True)


def write_aptos2019(root: Path) -> None:
    rows = [(f"eye_{i}", 0) for i in range(1000 + NORMAL)] + [(f"ill_{i}", 1 + i % 4) for i in range(ANOMALOUS)]
    for name, grade in rows:
        write_picture(root / f"train_images/{name}.png", odd=grade > 0, size=16)
    write_picture(root / "test_images/unknown.png", size=16)
    table = "\n".join(["id_code,diagnosis", *(f"{name},{grade}" for name, grade in rows)])
    (root / "train.csv").write_text(table + "\n", encoding="utf-8")


def write_isic2018(root: Path) -> None:
    write_isic_part(root, "Training", [*["NV"] * TRAIN, "MEL", "BKL"])
    write_isic_part(root, "Test", [*["NV"] * NORMAL, *["MEL", "BCC", "DF", "VASC"][:ANOMALOUS]])


def write_isic_part(root: Path, part: str, diagnoses: list[str]) -> None:
    columns, rows = ISIC_HEADER.split(",")[1:], []
    for i, diagnosis in enumerate(diagnoses):
        write_picture(root / f"ISIC2018_Task3_{part}_Input/{part}_{i}.jpg", odd=diagnosis != "NV")
        rows.append(",".join([f"{part}_{i}", *(f"{float(name == diagnosis)}" for name in columns)]))
    table = root / f"ISIC2018_Task3_{part}_GroundTruth/ISIC2018_Task3_{part}_GroundTruth.csv"
    table.parent.mkdir(parents=True)
    table.write_text("\n".join([ISIC_HEADER, *rows]) + "\n", encoding="utf-8")


WRITERS: dict[str, Callable[[Path], None]] = {
    "medianomaly": write_medianomaly,
    "brats": write_brats,
    "camelyon16": write_camelyon16,
    "oct2017": write_oct2017,
    "br35h": write_br35h,
    "aptos2019": write_aptos2019,
    "isic2018": write_isic2018,
}
OPTIONS: dict[str, dict[str, str]] = {"aptos2019": {"crop": "none"}, "isic2018": {"test_part": "test"}}
