"""The results folder: what was decided about each test image, with pictures."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.io.calibration import Calibration, write_calibration
from stages.core.io.explanations import Explanations
from stages.core.run.atomic import replacing_file, replacing_folder
from stages.core.run.console import progress
from stages.evaluation.explained import in_order
from stages.evaluation.pictures import SIDE, Cell, Drawer, choose_rows, write_contact_sheet, write_jpeg, write_png
from stages.evaluation.thresholds import Fitted

SIZE = 256  # pixels of a picture's longer side


@dataclass(frozen=True)
class Evidence:
    """What results are made from, besides the table of test images."""

    branches: Sequence[str]
    fitted: Fitted
    drawer: Drawer
    explanations: Explanations


def write_results(path: Path, test: pd.DataFrame, evidence: Evidence) -> None:
    """Write calibration.json, overview.jpg, and for the n-th test image by image_id:

        results/<n>.json     filename, ground truth, prediction, correct, branch scores, explanations
        pictures/<n>.jpg     the image with the outline of its true mask
        heatmaps/<n>.jpg     the image under its anomaly map; the folder is empty when the method makes no maps
        masks/<n>.png        the true mask as a red veil; only where there is one
        disagreement/<n>.png where the branches' maps contradict each other, as a violet veil; only where there are some
        components/<k>.jpg   examples of component class k; the folder is empty when the method knows none

    Raises:
        UserError: an image or a mask cannot be read.
    """
    table = test.sort_values("image_id")
    rows: list[Mapping[Any, Any]] = [*table.to_dict("records")]
    calibration, drawer = evidence.fitted.calibration, evidence.drawer
    with replacing_folder(path) as folder:
        write_calibration(folder / "calibration.json", calibration)
        write_images(folder, rows, evidence)
        with replacing_folder(folder / "components") as components:
            for component, picture in evidence.explanations.pictures.items():
                shutil.copyfile(picture, components / f"{component}.jpg")
        chosen = [rows[position] for position in choose_rows(table)]
        write_contact_sheet(folder / "overview.jpg", [sheet_cell(row, calibration, drawer) for row in chosen])


def write_images(folder: Path, rows: Sequence[Mapping[Any, Any]], evidence: Evidence) -> None:
    """Write the folders results, pictures, heatmaps, masks and disagreement."""
    with (
        replacing_folder(folder / "results") as results,
        replacing_folder(folder / "pictures") as pictures,
        replacing_folder(folder / "heatmaps") as heatmaps,
        replacing_folder(folder / "masks") as masks,
        replacing_folder(folder / "disagreement") as disagreement,
    ):
        for position, row in enumerate(progress(rows, total=len(rows), label="results")):
            name = f"{position:04d}"
            drawn = evidence.drawer.draw(row, size=SIZE)
            write_jpeg(pictures / f"{name}.jpg", drawn.picture)
            if drawn.heatmap is not None:
                write_jpeg(heatmaps / f"{name}.jpg", drawn.heatmap)
            if drawn.mask is not None:
                write_png(masks / f"{name}.png", drawn.mask)
            if drawn.disagreement is not None:
                write_png(disagreement / f"{name}.png", drawn.disagreement)
            result = image_result(row, branches=evidence.branches, fitted=evidence.fitted)
            result["prediction"]["heatmap_path"] = f"heatmaps/{name}.jpg" if drawn.heatmap is not None else None
            result["picture_path"] = f"pictures/{name}.jpg"
            result["mask_path"] = f"masks/{name}.png" if drawn.mask is not None else None
            result["disagreement_path"] = f"disagreement/{name}.png" if drawn.disagreement is not None else None
            findings = in_order(evidence.explanations.images.get(row["image_id"], ()), row, evidence.fitted.uncertainty)
            result["explanations"] = [asdict(finding) for finding in findings]
            text = json.dumps(result, indent=2, ensure_ascii=False)
            (results / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def publish_overview(results: Path, overview: Path) -> None:
    """Copy the contact sheet to where git keeps it, for `dvc plots` and the README."""
    with replacing_file(overview) as temporary:
        shutil.copyfile(results / "overview.jpg", temporary)


def image_result(row: Mapping[Any, Any], *, branches: Sequence[str], fitted: Fitted) -> dict[str, Any]:
    """What is known and what was decided about one image; a branch that the method dropped is null.

    `p_value` is the share of normal images with at least this score, `unsure` whether other validation images might
    have turned the verdict, `decided_by` the branch that is farthest above its own threshold (or nearest to it).
    """
    calibration, uncertainty = fitted.calibration, fitted.uncertainty
    called, truth = calibration.calls(row["score"]), bool(row["is_anomalous"])
    values = {branch: float(row[branch]) for branch in branches}
    return {
        "image_id": row["image_id"],
        "filename": row["source_path"],
        "kind": row["kind"],
        "defect_type": row["defect_type"],
        "ground_truth": {"type": "anomaly", "is_anomalous": truth},
        "prediction": {
            "is_anomalous": called,
            "anomaly_score": float(row["score"]),
            "anomaly_score_display": round(calibration.display(row["score"]), 6),
            "p_value": round(uncertainty.score.p_value(row["score"]), 6),
            "unsure": uncertainty.unsure(row["score"]),
            "branches_disagree": uncertainty.disagree(values),
            "decided_by": uncertainty.decided_by(values),
        },
        "correct": called == truth,
        "branches": {branch: None if math.isnan(value) else value for branch, value in values.items()},
        "branch_p_values": {
            name: round(reference.p_value(values[name]), 6) for name, reference in uncertainty.branches.items()
        },
    }


def sheet_cell(row: Mapping[Any, Any], calibration: Calibration, drawer: Drawer) -> Cell:
    """One image of the overview: picture, heatmap with the true outline, verdict in words and colour."""
    drawn = drawer.draw(row, size=SIDE)
    pictures = [drawn.picture] if drawn.outlined_heatmap is None else [drawn.picture, drawn.outlined_heatmap]
    correct = calibration.calls(row["score"]) == bool(row["is_anomalous"])
    kind, defect = row["kind"], row["defect_type"]
    what = kind if defect == "good" or defect.startswith(kind) else f"{kind}, {defect}"
    verdict = "correct" if correct else "WRONG"
    return Cell(tuple(pictures), f"{verdict}, score {row['score']:.3g} ({what})", correct)
