"""Inputs of the evaluation: a small product with a bright spot where the defect is."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from stages.core.io.components import ComponentMaps, write_component_maps
from stages.core.io.maps import AnomalyMaps, read_anomaly_maps, write_anomaly_maps
from stages.core.io.result import MethodResult, write_result
from stages.core.io.truth import component_files, health_file, mask_files, write_truth
from stages.evaluation.__main__ import main

PARAMS: Mapping[str, Any] = {
    "seed": 0,
    "evaluation": {
        "false_alarm_budget": 0.2, "aupro_max_false_positive_rate": 0.3, "spro_max_false_positive_rates": [0.05, 1.0],
        "confidence": 0.95, "bootstrap_resamples": 50, "unsure_confidence": 0.9,
    },
    "categories": {"tray": {}}, "components": {}, "profile": "embedded",
    "methods": {"ours": {"categories": {"tray": {}}, "stages": ["first", "second"]}},
}  # fmt: skip
HEALTH = {
    "images": 20, "counts": {"test": {"normal": 4}}, "sizes": {"30 x 20": 20}, "anomalous_without_mask": 0,
    "duplicates": {"exact": 0, "near": 0, "exact_across_splits": 0, "near_across_splits": 0},
    "outliers": {"brightness": 0, "sharpness": 0},
    "named": {"duplicates": [], "outliers": [], "anomalous_without_mask": []},
}  # fmt: skip
KINDS = ["normal"] * 10 + ["normal"] * 4 + ["logical"] * 3 + ["structural"] * 3
PARTS = ["validation"] * 10 + ["test"] * 10
IDS = [f"{part}/ä {number:02d}" for number, part in enumerate(PARTS)]
SCORES = (*range(10), 3.0, 4.0, 5.0, 8.5, *range(7, 13))
COLUMNS = ("image_id", "file", "split", "source_path", "is_anomalous", "kind", "defect_type", "mask_files", "sha256",
           "width", "height")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """The product `tray` in a folder: ten normal validation images and ten test images, scored by `ours`."""

    root: Path

    @property
    def truth(self) -> pd.DataFrame:
        return pd.read_parquet(self.root / "split/truth/truth.parquet")

    def write_truth(self, truth: pd.DataFrame) -> None:
        truth.to_parquet(self.root / "split/truth/truth.parquet")

    def scores(self, method: str = "ours") -> pd.DataFrame:
        return pd.read_parquet(self.root / f"scores/{method}/scores.parquet")

    def write_scores(self, scores: pd.DataFrame, method: str = "ours") -> None:
        """Write them unchecked, as a damaged result has them."""
        scores.to_parquet(self.root / f"scores/{method}/scores.parquet")

    def maps(self) -> AnomalyMaps:
        """Read the maps into memory, so that they can be written again."""
        maps = read_anomaly_maps(self.root / "scores/ours/maps")
        return AnomalyMaps(maps.image_ids, np.array(maps.values))

    def write_maps(self, maps: AnomalyMaps) -> None:
        write_anomaly_maps(self.root / "scores/ours/maps", maps)

    def write_result(self, scores: Sequence[float], *, method: str = "ours", maps: bool = True) -> None:
        table = pd.DataFrame({"image_id": IDS, "split": PARTS, "score": np.array(scores, dtype=float)})
        table["local-student"] = table["score"] * 2
        spots = AnomalyMaps(tuple(IDS), bright_spots()) if maps else None
        write_result(self.root / "scores" / method, MethodResult(table, spots))

    def write_review(self, *trials: str) -> None:
        """Add the components that `ours` sees in one training image, and those of proposers that were tried."""
        folder = self.root / "scores/ours/review"
        for name in ("review.json", "overlays.jpg", "classes.jpg"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(name)
        proposed = ComponentMaps(("train/a",), np.ones((1, 8, 8), dtype=np.uint16), np.zeros((1, 2), dtype=np.uint8))
        for file in ("component_maps", *(f"trials/{name}" for name in trials)):
            write_component_maps(folder / f"{file}.npz", proposed)

    def change_params(self, **changes: Any) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump({**PARAMS, **changes}, sort_keys=False))

    def keep(self, chosen: Callable[[pd.DataFrame], Any]) -> None:
        """Leave only the images for which `chosen` is true, in truth, scores and maps."""
        left = self.truth[chosen(self.truth)].reset_index(drop=True)
        self.write_truth(left)
        scores = self.scores()
        self.write_scores(scores[scores["image_id"].isin(left["image_id"])].reset_index(drop=True))
        maps = self.maps()
        rows = [number for number, name in enumerate(maps.image_ids) if name in set(left["image_id"])]
        self.write_maps(AnomalyMaps(tuple(maps.image_ids[row] for row in rows), maps.values[rows]))

    def run(self) -> None:
        paths = {
            "scores": "scores", "inputs": "split/inputs", "truth": "split/truth",
            "results": "evaluations/tray", "metrics": "metrics/evaluation/tray.json",
            "intervals": "metrics/intervals/tray.json", "test-scores": "metrics/scores/tray.csv",
            "agreement": "metrics/components/tray.json", "health": "metrics/data_health/tray.json",
            "plots": "metrics/plots/tray",
        }  # fmt: skip
        main(["--category", "tray", *(part for name, path in paths.items() for part in (f"--{name}", path))])

    def json(self, path: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.root / path).read_text(encoding="utf-8"))
        return content

    def metrics(self, method: str = "ours") -> dict[str, Any]:
        found: dict[str, Any] = self.json("metrics/evaluation/tray.json")[method]
        return found

    def result(self, number: int, method: str = "ours") -> dict[str, Any]:
        return self.json(f"evaluations/tray/{method}/results/{number:04d}.json")


def bright_spots() -> np.ndarray:
    """Maps of noise, with a spot of height one on the defects."""
    generator = np.random.default_rng(1)
    spots = [generator.normal(size=(5, 6)) * 0.1 + (true_mask(kind)[2::4, 2::5] > 0) for kind in KINDS]
    return np.array(spots, dtype=np.float16)


def true_mask(kind: str) -> np.ndarray:
    mask = np.zeros((20, 30), dtype=np.uint8)
    mask[4:8, 6:12] = 255 * (kind != "normal")
    return mask


def make_case(root: Path) -> Case:
    """Write the product and the result of `ours`."""
    generator, rows = np.random.default_rng(0), []
    inputs, truth = root / "split/inputs", root / "split/truth"
    for folder in (inputs / "images", mask_files(truth), component_files(truth)):
        folder.mkdir(parents=True)
    for number, kind in enumerate(KINDS):
        image = generator.integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(image).save(inputs / "images" / f"{number}.png")
        files = [f"{number}_0.png"] if kind != "normal" else []
        for name in files:
            Image.fromarray(true_mask(kind)).save(mask_files(truth) / name)
        rows.append((IDS[number], f"{number}.png", PARTS[number], f"{IDS[number]}.png", kind != "normal", kind,
                     f"{kind}_x" if kind != "normal" else "good", files, "0" * 64, 30, 20))  # fmt: skip
    write_truth(truth, pd.DataFrame(rows, columns=COLUMNS))
    health_file(truth).write_text(json.dumps(HEALTH), encoding="utf-8")
    case = Case(root)
    case.change_params()
    case.write_result(SCORES)
    return case


def mean_up_to(curve: Sequence[tuple[float, float]], limit: float) -> float:
    """Return the mean height of a curve of straight pieces from 0 to a limit, by the areas below them."""
    area = 0.0
    for (x0, y0), (x1, y1) in zip(curve[:-1], curve[1:], strict=True):
        end = min(x1, limit)
        if end > x0:
            area += (end - x0) * (y0 + (y0 + (y1 - y0) * (end - x0) / (x1 - x0))) / 2
    return area / limit
