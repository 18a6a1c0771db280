"""Files of three evaluations, as small as the report can read."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

ROOMS = {"ours": ["first", "second"], "theirs": ["third"]}
OFF = {
    **{method: {"categories": {}} for method in ("inctrl", "madclip", "uninformed_students")},
    "sir": {"categories": {}, "universal": [], "specialised": []},
}  # the sections of methods that are switched on by name
PARAMS = {
    "categories": {"tray": {}, "<b>&cell": {}},
    "report": {"stages_of_method": ROOMS, "off_by_default": []},
    **OFF,
}
FOLDERS = ("results", "pictures", "heatmaps", "masks", "disagreement", "components")


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
                          "observed": 1.0, "normal": 2.0, "deviation": 9.0, "text": "component 1: <half>"}],
    }  # fmt: skip


def make_evaluation(root: Path, method: str, category: str) -> None:
    folder, plots = root / "evaluations" / method / category, root / "metrics" / "plots" / method / category
    for place in (*(folder / name for name in FOLDERS), plots, root / "metrics" / method):
        place.mkdir(parents=True, exist_ok=True)
    for number, (anomalous, score) in enumerate([(False, 1.0), (False, 2.0), (True, 1.0), (True, 2.0)]):
        result = make_result(number, anomalous=anomalous, score=score)
        (folder / "results" / f"{number:04d}.json").write_text(json.dumps(result))
        for kind, hue in (("pictures", 0), ("heatmaps", 200)):
            save(folder / kind / f"{number:04d}.jpg", (hue, 60 * number, len(category)))
        save(folder / "masks" / f"{number:04d}.png", (255, 0, 0, 128 + number))
        save(folder / "disagreement" / f"{number:04d}.png", (110, 40, 200, 40 + number))
    save(folder / "overview.jpg", (9, 9, len(method)))
    save(folder / "components" / "1.jpg", (1, 2, 3))
    (root / "metrics" / method / f"{category}.json").write_text(json.dumps(make_metrics()))
    (plots / "roc.csv").write_text("false_positive_rate,true_positive_rate\n0,0\n0,1\n1,1\n")
    (plots / "precision_recall.csv").write_text("recall,precision\n")
    (plots / "scores.csv").write_text("score,kind,images\n1.0,normal,1\n2.0,normal,1\n1.0,logical,1\n2.0,logical,1\n")


def make_curve(root: Path, category: str) -> None:
    """Training curves: one with two phases, one of a stage that trained nothing."""
    folder = root / "metrics" / "plots" / "training" / category
    folder.mkdir(parents=True)
    rows = "4,supervised,10,10,\n8,supervised,1,1,\n12,all images,1.5,0.1,1\n"
    (folder / "segmentation.csv").write_text("step,phase,loss,dice,entropy\n" + rows)
    (folder / "nothing.csv").write_text("step,loss,hard\n")


def make_costs(root: Path) -> None:
    for category, stage, seconds in (("tray", "first", 1.4), ("tray", "second", 2.0), ("<b>&cell", "first", 1.0)):
        path = root / "costs" / category / f"{stage}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"seconds": seconds, "peak_mb": 10}))


def save(path: Path, colour: tuple[int, ...]) -> None:
    Image.new("RGB" if len(colour) == 3 else "RGBA", (8, 8), colour).save(path)
