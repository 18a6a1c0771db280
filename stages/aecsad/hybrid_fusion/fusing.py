"""The final score from the scaled branches.

One anomaly map from those of several branches.

Write the method's scores and maps in the layout every method ends in.

Findings of the branches that AeCSAD itself does not have.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float16, Float32

from stages.aecsad.hybrid_fusion.branches import KEYS, Trust, columns_of_branches
from stages.aecsad.model.fusion import Combination, Fusion, Scores, fit_fusion
from stages.aecsad.model.hot_spots import explain_map, fit_spots, usual_classes
from stages.aecsad.model.label_maps import LabelMaps
from stages.core.io.explanations import Explanation, Explanations, write_explanations
from stages.core.io.maps import AnomalyMaps, to_half, write_anomaly_maps
from stages.core.io.result import write_scores
from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError

SMALLEST_STD = 1e-6


def fuse(
    scores: pd.DataFrame,
    histogram: Mapping[str, float],
    branch_weights: Mapping[str, float],
    *,
    combination: Combination,
) -> tuple[pd.DataFrame, Fusion]:
    """Fit the fusion on split "validation", which holds normal images only, and score every row.

    Args:
        scores: one row an image with the columns of all branches.
        histogram: weight of each histogram column.
        branch_weights: of each branch.
        combination: see stages.aecsad.model.fusion.Fusion.

    Returns:
        A score table (stages.core.io.result) with one column a branch in use, and the fitted fusion.

    Raises:
        UserError: every branch is constant.
    """
    if not any(branch_weights.values()):
        raise UserError(
            "every branch gives all images the same score: there is nothing to score with; look whether the images "
            "differ at all"
        )
    columns = columns_of_branches(scores, histogram)
    weights = {**dict.fromkeys(columns, 1.0), **histogram}
    validation = columns_of(scores[scores["split"] == "validation"])
    fusion = fit_fusion(columns, weights, validation, branch_weights=branch_weights, combination=combination)
    fused, parts = fusion(columns_of(scores))
    return scores[KEYS].assign(score=fused, **parts).reset_index(drop=True), fusion


def columns_of(scores: pd.DataFrame) -> dict[str, Scores]:
    """The float columns as arrays by name."""
    return {name: scores[name].to_numpy(dtype=np.float64) for name in scores.columns if name not in KEYS}


def counting_maps(
    scores: pd.DataFrame, maps: Mapping[str, AnomalyMaps], trusts: Mapping[str, Trust]
) -> dict[str, Float16[np.ndarray, "N h w"]]:
    """The maps of the branches that have a say, of the rows of the result; all where none of them has.

    Args:
        scores: the rows of the result; column image_id.
        maps: of the branches that make some.
    """
    heard = [name for name in maps if trusts[name].weight > 0] or list(maps)
    rows = {name: {image_id: row for row, image_id in enumerate(maps[name].image_ids)} for name in heard}
    return {name: maps[name].values[[rows[name][image_id] for image_id in scores["image_id"]]] for name in heard}


def fuse_maps(
    scores: pd.DataFrame, maps: Mapping[str, Float16[np.ndarray, "N h w"]], trusts: Mapping[str, Trust]
) -> Float16[np.ndarray, "N H W"]:
    """The mean of the branches' maps by their weights, each first scaled by mean and spread of validation cells.

    Args:
        scores: the rows of the result; column split.
        maps: see `counting_maps`; resized to the finest of them.
        trusts: the branches' weights; where all of these branches stay out, their maps count equally.
    """
    weights = {name: trusts[name].weight for name in maps}
    if not any(weights.values()):
        weights = dict.fromkeys(maps, 1.0)
    size = max(one.shape[1:] for one in maps.values())
    validation = (scores["split"] == "validation").to_numpy()
    total = np.zeros((len(scores), *size), dtype=np.float32)
    for name, one in maps.items():
        total += weights[name] / sum(weights.values()) * resized(scaled(one.astype(np.float32), validation), size)
    return to_half(total)


def scaled(values: Float32[np.ndarray, "N h w"], validation: np.ndarray) -> Float32[np.ndarray, "N h w"]:
    """Zero mean and unit spread over all cells of validation images."""
    cells = values[validation]
    return np.asarray((values - cells.mean()) / max(float(cells.std()), SMALLEST_STD))


def resized(values: Float32[np.ndarray, "N h w"], size: tuple[int, ...]) -> Float32[np.ndarray, "N H W"]:
    """Bilinear; the same where the size is right already."""
    if values.shape[1:] == size:
        return values
    height, width = size
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in values])


def write_method(
    folder: Path,
    scores: pd.DataFrame,
    maps: Float16[np.ndarray, "N h w"],
    branches: Mapping[str, Float16[np.ndarray, "N H W"]],
    findings: Mapping[str, Sequence[Explanation]],
    pictures: Mapping[int, Path],
) -> None:
    """Write `folder`/scores.parquet, `folder`/maps and `folder`/explanations, all or nothing.

    Args:
        branches: what `maps` was made from, branch by branch.
        findings, pictures: see stages.core.io.explanations.Explanations.
    """
    with replacing_folder(folder) as temporary:
        write_scores(temporary / "scores.parquet", scores)
        write_anomaly_maps(temporary / "maps", list(scores["image_id"]), maps, branches)
        contents = {component: file.read_bytes() for component, file in pictures.items()}
        write_explanations(temporary / "explanations", findings, contents)


def explain_branches(
    found: Explanations,
    images: pd.DataFrame,
    label_maps: LabelMaps,
    scores: pd.DataFrame,
    maps: Mapping[str, Float16[np.ndarray, "N h w"]],
) -> dict[str, list[Explanation]]:
    """AeCSAD's findings and, of each further branch, the hottest spot of its map: the one that decided shows where.

    Args:
        found: AeCSAD's.
        images: the image table; its training images show what class is usual where.
        scores: the rows of the result; columns image_id, split.
        maps: see `counting_maps`.

    Raises:
        UserError: an image lacks its label map or its findings.
    """
    rows = {image_id: row for row, image_id in enumerate(label_maps.image_ids)}
    needed = set(images["image_id"][images["split"] == "train"]) | set(scores["image_id"])
    lacking = sorted(needed - set(rows) | set(scores["image_id"]) - set(found.images))
    if lacking:
        raise UserError(f"{len(lacking)} images have no label map or no findings, {lacking[0]} first: run `dvc repro`")
    train = label_maps.values[[rows[image_id] for image_id in images["image_id"][images["split"] == "train"]]]
    usual = usual_classes(train, num_classes=label_maps.num_classes)
    explained = {finding.branch for findings in found.images.values() for finding in findings}
    validation = (scores["split"] == "validation").to_numpy()
    fitted = [(fit_spots(name, one[validation], usual), one) for name, one in maps.items() if name not in explained]
    return {
        image_id: [
            *found.images[image_id],
            *(explain_map(normal, one[row], label_maps.values[rows[image_id]]) for normal, one in fitted),
        ]
        for row, image_id in enumerate(scores["image_id"])
    }
