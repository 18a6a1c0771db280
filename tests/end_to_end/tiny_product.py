"""A made-up product for the real pipeline: two red discs and a blue square on grey, in the MVTec LOCO layout."""

import hashlib
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

SIZE = 128
PLACES = {"left": (36, 44), "right": (92, 44), "below": (64, 92)}  # x, y
COUNTS = {"train/good": 20, "validation/good": 8, "test/good": 8, "test/logical_anomalies": 6}
COUNTS["test/structural_anomalies"] = 6
DEFECTS = {"missing_square": 255, "extra_disc": 254, "scratch": 253}


def write_tiny_product(root: Path, *, seed: int = 0, counts: Mapping[str, int] = MappingProxyType(COUNTS)) -> None:
    """Write the images, the masks of the anomalies and defects_config.json."""
    for number, (folder, count) in enumerate(counts.items()):
        (root / folder).mkdir(parents=True)
        for index in range(count):
            random = np.random.default_rng([seed, number, index])
            defect = {"logical_anomalies": ["missing_square", "extra_disc"][index % 2], "good": None}.get(
                Path(folder).name, "scratch"
            )
            image, mask = draw(defect, random)
            cv2.imwrite(str(root / folder / f"{index:03d}.png"), image[..., ::-1])
            if defect is not None:
                masks = root / "ground_truth" / Path(folder).name / f"{index:03d}"
                masks.mkdir(parents=True)
                cv2.imwrite(str(masks / "000.png"), mask * np.uint8(DEFECTS[defect]))
    config = [
        {"defect_name": name, "pixel_value": value, "saturation_threshold": 1.0, "relative_saturation": True}
        for name, value in DEFECTS.items()
    ]
    (root / "defects_config.json").write_text(json.dumps(config), encoding="utf-8")


def write_fetched_loco(root: Path, *, counts: Mapping[str, int]) -> None:
    """Write the product as MVTec LOCO's archive of `pushpins`, as if a repository's manifest had fetched it."""
    write_tiny_product(root / "tiny", counts=counts)
    with tarfile.open(root / "loco.tar", "w") as archive:
        archive.add(root / "tiny", "pushpins")
    sha256 = hashlib.sha256((root / "loco.tar").read_bytes()).hexdigest()
    manifest = json.loads((root / "data/mvtec_loco.json").read_text(encoding="utf-8"))
    manifest |= {"sha256": sha256, "file": "loco.tar", "url": "https://unreachable.invalid/loco.tar"}
    (root / "data/mvtec_loco.json").write_text(json.dumps(manifest), encoding="utf-8")
    (root / "work/downloads").mkdir(parents=True)
    (root / "loco.tar").rename(root / f"work/downloads/{sha256[:16]}-loco.tar")


def draw(defect: str | None, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image (RGB, 8 bit) and its mask (0 or 1)."""
    image = np.full((SIZE, SIZE, 3), 190, dtype=np.uint8)
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    jitter = {name: tuple(int(v) for v in np.add(place, random.integers(-3, 4, 2))) for name, place in PLACES.items()}
    for name in ("left", "right"):
        cv2.circle(image, jitter[name], 13, (190, 40, 40), -1, cv2.LINE_AA)
    x, y = jitter["below"]
    target, colour = (mask, 1) if defect == "missing_square" else (image, (40, 60, 190))
    cv2.rectangle(target, (x - 13, y - 13), (x + 13, y + 13), colour, -1)
    if defect == "extra_disc":
        for target, colour in ((image, (190, 40, 40)), (mask, 1)):
            cv2.circle(target, (22, 100), 13, colour, -1, cv2.LINE_AA if target is image else cv2.LINE_8)
    if defect == "scratch":
        start, end = random.integers(20, 108, 2), random.integers(20, 108, 2)
        end = start + (end - start) * 40 // max(1, int(np.abs(end - start).max()))
        for target, colour in ((image, (15, 15, 15)), (mask, 1)):
            cv2.line(target, tuple(map(int, start)), tuple(map(int, end)), colour, 3)
    noisy = image + random.normal(0, 4, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), mask
