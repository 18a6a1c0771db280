"""The results folder: what each method decided about each test image, with pictures."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stages.core.images.overlays import heatmap_overlay
from stages.core.io.calibration import write_calibration
from stages.core.io.components import CLASSES, NUMBERS, OVERLAYS
from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress
from stages.core.runtime.calibration import Calibration, PictureSizes, Sureness
from stages.core.runtime.compression import FileKinds, compression_of, kinds_of
from stages.core.runtime.wording import describe
from stages.evaluation.explained import in_order
from stages.evaluation.inputs import Product
from stages.evaluation.judging import Calibrated
from stages.evaluation.pictures import (
    SIDE,
    Cell,
    Scene,
    as_jpeg,
    as_png,
    choose_rows,
    disagreement_overlay,
    read_scene,
    write_contact_sheet,
    write_picture,
)
from stages.evaluation.thresholds import Fitted

SIZE = 256  # pixels of a picture's longer side
FOLDERS = ("results", "pictures", "heatmaps", "masks", "disagreement", "components")  # of a method
OVERVIEW = "overview.jpg"
LOOKED_AT = 500  # training images at most whose files show how images of the product are saved

Row = Mapping[Any, Any]  # of a method's table of test images


def write_results(path: Path, methods: Mapping[str, Calibrated], product: Product) -> None:
    """Write a folder for each method: calibration.json, overview.jpg, and these files.

    <n> numbers the test images by image_id, from 0.

        results/<n>.json     filename, ground truth, prediction, correct, branch scores, explanations
        pictures/<n>.jpg     the image with the outline of its true mask
        heatmaps/<n>.jpg     the image under its anomaly map; the folder is empty when the method makes no maps
        masks/<n>.png        the true mask as a red overlay; only where there is one
        disagreement/<n>.png where the branches' maps contradict each other, in violet; only where there are several
        components/<k>.jpg   examples of component class k; the folder is empty when the method knows none
        review/              numbers and sheets about the components; missing when the method knows none

    Raises:
        UserError: an image or a mask cannot be read.
    """
    with replacing_folder(path) as folder:
        write_images(folder, methods, product)
        for method, calibrated in methods.items():
            calibration = calibration_to_keep(calibrated.fitted, product)
            write_calibration(folder / method / "calibration.json", calibration, made_from=calibrated.made_from)
            for component, content in calibrated.explanations.pictures.items():
                (folder / method / "components" / f"{component}.jpg").write_bytes(content)
            if calibrated.review is not None:
                copy_review(calibrated.review, folder / method / "review")
            write_contact_sheet(folder / method / OVERVIEW, sheet_cells(calibrated, product))


def calibration_to_keep(fitted: Fitted, product: Product) -> Calibration:
    """Return all that a new image's verdict needs: with the threshold its sureness, and the files learned from."""
    band = fitted.uncertainty
    sureness = Sureness(tuple(map(float, band.score.normal)), band.low, band.high)
    return replace(
        fitted.calibration, sureness=sureness, sizes=training_sizes(product), files=training_kinds(product),
        branches=band.scales or None,
    )  # fmt: skip


def training_sizes(product: Product) -> PictureSizes | None:
    """Return what sizes the training images have; None where there is none."""
    train = product.truth[product.truth["split"] == "train"]
    if train.empty:
        return None
    width, height, aspect = train["width"], train["height"], train["width"] / train["height"]
    return PictureSizes(
        (int(width.min()), int(width.max())),
        (int(height.min()), int(height.max())),
        (float(aspect.min()), float(aspect.max())),
    )


def training_kinds(product: Product) -> FileKinds | None:
    """Return how the training images were saved, by LOOKED_AT of them; None where there is none."""
    files = product.truth.loc[product.truth["split"] == "train", "file"].to_list()
    chosen = files[:: -(-len(files) // LOOKED_AT)] if files else []
    return kinds_of(compression_of(product.image_files / file) for file in chosen)


def copy_review(source: Path, target: Path) -> None:
    """Copy what the report shows of a method's components, without the maps."""
    target.mkdir()
    for name in (NUMBERS, OVERLAYS, CLASSES):
        shutil.copyfile(source / name, target / name)


def write_images(folder: Path, methods: Mapping[str, Calibrated], product: Product) -> None:
    """Write everything of single images; each is read once for all methods."""
    rows = {method: calibrated.test.to_dict("records") for method, calibrated in methods.items()}
    truth = product.test.to_dict("records")
    with ExitStack() as made:
        for method in methods:
            for name in FOLDERS:
                made.enter_context(replacing_folder(folder / method / name))
    for position, row in enumerate(progress(truth, total=len(truth), label="results")):
        scene = read_scene(row, product.image_files, product.mask_files, size=SIZE)
        for method, calibrated in methods.items():
            write_image(folder / method, f"{position:04d}", rows[method][position], scene, calibrated)


def write_image(folder: Path, name: str, row: Row, scene: Scene, calibrated: Calibrated) -> None:
    """Write one method's result on one image, and its pictures."""
    image_id = row["image_id"]
    paths = {"picture_path": f"pictures/{name}.jpg", "heatmap_path": None, "mask_path": None, "disagreement_path": None}
    write_picture(folder / "pictures" / f"{name}.jpg", scene.picture)
    if calibrated.maps:
        paths["heatmap_path"] = f"heatmaps/{name}.jpg"
        write_picture(folder / "heatmaps" / f"{name}.jpg", as_jpeg(heatmap_of(row, scene, calibrated)))
    if (mask := scene.true_mask) is not None:
        paths["mask_path"] = f"masks/{name}.png"
        write_picture(folder / "masks" / f"{name}.png", mask)
    if (gap := calibrated.disagreement.of(image_id)) is not None:
        paths["disagreement_path"] = f"disagreement/{name}.png"
        write_picture(folder / "disagreement" / f"{name}.png", as_png(disagreement_overlay(gap)))
    result = image_result(row, branches=calibrated.branches, fitted=calibrated.fitted)
    result["prediction"]["heatmap_path"] = paths.pop("heatmap_path")
    findings = in_order(calibrated.explanations.images.get(image_id, ()), row, calibrated.fitted.uncertainty)
    result |= {**paths, "explanations": [asdict(finding) | {"text": describe(finding, {})} for finding in findings]}
    text = json.dumps(result, indent=2, ensure_ascii=False)
    (folder / "results" / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def heatmap_of(row: Row, scene: Scene, calibrated: Calibrated) -> UInt8[np.ndarray, "h w 3"]:
    """Lay the anomaly map over its image, without the true outline, which is no part of the prediction."""
    colours = calibrated.fitted.calibration
    return heatmap_overlay(scene.image, calibrated.maps[row["image_id"]], low=colours.low, high=colours.high)


def publish_overviews(results: Path, plots: Path) -> None:
    """Copy the contact sheets to where git keeps them, for `dvc plots` and the README: overview/<method>.jpg."""
    with replacing_folder(plots / "overview") as folder:
        for file in sorted(results.glob(f"*/{OVERVIEW}")):
            shutil.copyfile(file, folder / f"{file.parent.name}.jpg")


def image_result(row: Row, *, branches: Sequence[str], fitted: Fitted) -> dict[str, Any]:
    """Return what is known and what was decided about one image; a branch that the method dropped is null.

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


def sheet_cells(calibrated: Calibrated, product: Product) -> list[Cell]:
    """Draw the images of a method's overview."""
    rows = calibrated.test.to_dict("records")
    cells = []
    for position in choose_rows(calibrated.test):
        scene = read_scene(rows[position], product.image_files, product.mask_files, size=SIDE)
        cells.append(sheet_cell(rows[position], scene, calibrated))
    return cells


def sheet_cell(row: Row, scene: Scene, calibrated: Calibrated) -> Cell:
    """Draw one image of the overview: picture, heatmap with the true outline, verdict in words and colour."""
    pictures = [scene.outlined(scene.image)]
    if calibrated.maps:
        pictures.append(scene.outlined(heatmap_of(row, scene, calibrated)))
    calibration = calibrated.fitted.calibration
    correct = calibration.calls(row["score"]) == bool(row["is_anomalous"])
    kind, defect = row["kind"], row["defect_type"]
    what = kind if defect == "good" or defect.startswith(kind) else f"{kind}, {defect}"
    verdict = "correct" if correct else "WRONG"
    return Cell(tuple(pictures), f"{verdict}, {calibration.in_words(row['score'])} ({what})", correct)
