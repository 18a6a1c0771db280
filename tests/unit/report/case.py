"""Files of three evaluations, as small as the report can read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from stages.core.io.calibration import write_calibration
from stages.core.runtime.calibration import Calibration, Sureness, Threshold
from stages.report.__main__ import main

CATEGORIES: dict[str, Any] = {"tray": {}, "<b>&cell": {}}
METHODS = {
    "ours": {"categories": CATEGORIES, "stages": ["first", "second"]},
    "theirs": {"categories": {"tray": {}}, "stages": ["third"]},
}
PARAMS: dict[str, Any] = {
    "categories": CATEGORIES, "methods": METHODS, "profile": "embedded", "components": {"tray": {"1": "the <i>label"}},
}  # fmt: skip
CALIBRATION = Calibration(
    Threshold(1.5, 0.05, 0.2, 4, 19), median=1.0, low=0.0, high=1.0, sureness=Sureness((0.9, 1.0, 1.0, 1.5), 1.0, 2.0)
)  # a score of 2 is twice as far from the median as the threshold
EVALUATED = (("ours", "tray"), ("theirs", "tray"), ("ours", "<b>&cell"))
FOLDERS = ("results", "pictures", "heatmaps", "masks", "disagreement", "components")
PLOTS = {
    "roc": ("false_positive_rate,true_positive_rate", ("0,0", "0,1", "1,1")),
    "precision_recall": ("recall,precision", ()),
    "scores": ("score,kind,images", ("1.0,normal,1", "2.0,normal,1", "1.0,logical,1", "2.0,logical,1")),
}


def make_metrics() -> dict[str, Any]:
    groups = {"all": 0.9, "logical": 0.875, "structural": None}
    return {
        "images": {"normal": 2}, "image_auroc": groups, "defect_type_auroc": {"bent <pin>": 0.5}, "pixel_auroc": groups,
        "aupro": groups, "branches": {"map": groups}, "oracle_f1_max": 0.95,
        "threshold": {"value": 1.5, "false_alarm_budget": 0.05, "attainable_false_alarm_rate": 0.2, "normals": 4,
                      "normals_needed": 19},
        "at_threshold": {"f1": 0.5, "precision": None, "recall": 0.5, "false_alarm_rate": 0.1,
                         "detection_rate": groups},
        "uncertainty": {"unsure_share": 0.25, "unsure_above": 1.0, "unsure_up_to": 2.0, "open_above": True,
                        "accuracy": 0.5, "accuracy_when_sure": 0.6, "accuracy_when_unsure": None,
                        "accuracy_when_agreeing": None, "accuracy_when_disagreeing": None},
        "explanations": {"hit_rate": groups, "chance": groups},
        "reasons": {"image_auroc.structural": "no structural anomaly among the test images"},
    }  # fmt: skip


def make_result(number: int, *, anomalous: bool, score: float) -> dict[str, Any]:
    return {
        "image_id": f"test/{number}", "filename": f"test/<img> {number}.png",
        "kind": "logical" if anomalous else "normal",
        "defect_type": "bent <pin>" if anomalous else "good",
        "ground_truth": {"type": "anomaly", "is_anomalous": anomalous},
        "prediction": {"is_anomalous": score > 1.5, "anomaly_score": score, "anomaly_score_display": 0.25,
                       "p_value": 0.5, "unsure": number == 3, "branches_disagree": False, "decided_by": "map",
                       "heatmap_path": f"heatmaps/{number:04d}.jpg" if number else None},
        "correct": (score > 1.5) == anomalous, "branches": {"map": None}, "picture_path": f"pictures/{number:04d}.jpg",
        "mask_path": f"masks/{number:04d}.png" if anomalous else None,
        "disagreement_path": f"disagreement/{number:04d}.png" if number > 1 else None,
        "explanations": [{"branch": "map", "component": 1, "measure": "area", "box": [0.0, 0.25, 0.5, 0.75],
                          "observed": 1.0, "normal": 2.0, "deviation": 9.0, "classes": None,
                          "text": "component 1 smaller (0.5 x): top"}],
    }  # fmt: skip


def make_evaluation(root: Path, method: str, category: str) -> None:
    """Write a method's results, and add it to the files of its category."""
    folder = root / "evaluations" / category / method
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (anomalous, score) in enumerate([(False, 1.0), (False, 2.0), (True, 1.0), (True, 2.0)]):
        result = make_result(number, anomalous=anomalous, score=score)
        (folder / "results" / f"{number:04d}.json").write_text(json.dumps(result))
        for kind, hue in (("pictures", 0), ("heatmaps", 200)):
            save(folder / kind / f"{number:04d}.jpg", (hue, 60 * number, len(category)))
        save(folder / "masks" / f"{number:04d}.png", (255, 0, 0, 128 + number))
        save(folder / "disagreement" / f"{number:04d}.png", (110, 40, 200, 40 + number))
    write_calibration(folder / "calibration.json", CALIBRATION, made_from={})
    save(folder / "overview.jpg", (9, 9, len(method)))
    save(folder / "components" / "1.jpg", (1, 2, 3))
    add_metrics(root, method, category, make_metrics())
    for name, (header, rows) in PLOTS.items():
        path = root / "metrics/plots" / category / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if path.exists() else f"method,{header}\n"
        path.write_text(before + "".join(f"{method},{row}\n" for row in rows))


def add_metrics(root: Path, method: str, category: str, metrics: Mapping[str, Any]) -> None:
    path = root / "metrics/evaluation" / f"{category}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, method: metrics}))


def make_curve(root: Path, category: str) -> None:
    """Training curves: one with two phases, one of a stage that trained nothing."""
    folder = root / "metrics" / "plots" / "training" / category
    folder.mkdir(parents=True)
    rows = "4,supervised,10,10,\n8,supervised,1,1,\n12,all images,1.5,0.1,1\n"
    (folder / "segmentation.csv").write_text("step,phase,loss,dice,entropy\n" + rows)
    (folder / "nothing.csv").write_text("step,loss,hard\n")


def make_cost(root: Path, key: str, stage: str, seconds: float) -> None:
    path = root / "metrics/cost" / key / f"{stage}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seconds": seconds, "peak_mb": 10}))


def make_labels(root: Path, category: str) -> None:
    """The component labels of a category: pictures, numbers, and how well they agree with true components."""
    folder = root / "evaluations" / category / EVALUATED[0][0] / "review"
    folder.mkdir(parents=True)
    for name in ("overlays", "classes"):
        (folder / f"{name}.jpg").write_bytes(name.encode())
    numbers = {
        "images": 3, "labelled": 2, "classes": 4, "components_mean": 6.0,
        "components_std": 0.5, "coverage": 0.2, "warnings": ["no component in 1 of <3> images"],
        "trials": {
            "dense_clusters": {"images": 2, "components_mean": 7.0, "components_std": 0.25, "coverage": 0.3},
            "other": {"images": 2, "components_mean": 1.0, "components_std": 0.0, "coverage": 0.1},
        },
    }  # fmt: skip
    agreement = {
        "proposed": {"images": 3, "matched_iou": 0.625, "found": 0.5, "count_error": 1.25},
        "trials": {
            "dense_clusters": {"images": 2, "matched_iou": 0.375, "found": 0.25, "count_error": 8.5}, "other": None,
        },
    }  # fmt: skip
    (folder / "review.json").write_text(json.dumps(numbers))
    proposal = {"proposer": "dense_clusters", "reason": "few <parts>", "human_input": "a person's"}
    chosen = root / "metrics/choices" / category / "pseudo_label.json"
    chosen.parent.mkdir(parents=True, exist_ok=True)
    chosen.write_text(json.dumps(proposal))
    path = root / "metrics/components" / f"{category}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(agreement))


def make_report(root: Path) -> None:
    """Write the inputs of a report on EVALUATED."""
    (root / "params.yaml").write_text(json.dumps(PARAMS))
    for method, category in EVALUATED:
        make_evaluation(root, method, category)
    for category, stage, seconds in (("tray", "first", 1.4), ("tray", "second", 2.0), ("<b>&cell", "first", 1.0)):
        make_cost(root, category, stage, seconds)


def run_report() -> str:
    """Run the stage in the current folder and return the page."""
    main(["--evaluations", "evaluations", "--metrics", "metrics",
          "--page", "out/index.html", "--table", "metrics/table.md"])  # fmt: skip
    return Path("out/index.html").read_text(encoding="utf-8")


def save(path: Path, colour: tuple[int, ...]) -> None:
    Image.new("RGB" if len(colour) == 3 else "RGBA", (8, 8), colour).save(path)
