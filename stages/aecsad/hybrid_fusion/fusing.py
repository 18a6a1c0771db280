"""Make one result of the weighed branches: the final score, one anomaly map, and findings of every branch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.aecsad.hybrid_fusion.branches import Branches, BranchWeight
from stages.aecsad.hybrid_fusion.neighbours import FineNeighbours
from stages.aecsad.model.fusion import KEYS, fuse
from stages.aecsad.model.hot_spots import fit_spots, usual_classes
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.map_fusion import active_maps, fit_map_fusion
from stages.core.io.explanations import Explanations
from stages.core.io.lineage import MADE_FROM, Lineage
from stages.core.io.maps import AnomalyMaps
from stages.core.io.result import BANK, MAPS, MethodResult, write_result
from stages.core.io.rotation import ROTATED
from stages.core.io.tables import write_table
from stages.core.neighbours.memory import write_bank
from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError
from stages.core.runtime.conformal import Jackknife
from stages.core.runtime.fusion import Combination
from stages.core.runtime.spots import explain_map

BRANCH_SCORES = "branches.parquet"  # before they are scaled and weighed, for people


def fuse_branches(
    branches: Branches,
    weights: Mapping[str, BranchWeight],
    histogram: Mapping[str, float],
    images: pd.DataFrame,
    label_maps: LabelMaps,
    explanations: Explanations,
    *,
    combination: Combination,
    areas_weight: float,
    without: Jackknife | None,
    shares: Mapping[str, float],
) -> MethodResult:
    """Fuse scores and maps, and add the findings of the branches that AeCSAD itself does not have.

    Args:
        weights: of each branch.
        shares: of the branches' maps, see `stages.aecsad.hybrid_fusion.map_shares.weigh_maps`.
        histogram: weight of each histogram column.
        images: the image table.
        explanations: AeCSAD's.
        combination, areas_weight, without: see stages.aecsad.model.fusion.fit_fusion.

    Raises:
        UserError: every branch is constant, or an image lacks its label map or its findings.
    """
    if not any(branch.weight for branch in weights.values()):
        raise UserError(
            "all images have the same score in every branch: there is nothing to score with; check that the images "
            "differ at all"
        )
    branch_weights = {name: branch.weight for name, branch in weights.items()}
    scores, fusion = fuse(
        branches.scores, histogram, branch_weights,
        combination=combination, areas_weight=areas_weight, without=without,
    )  # fmt: skip
    mapped = scores[scores["split"] != ROTATED]
    maps = active_maps(mapped, branches.maps, branch_weights)
    map_fusion = fit_map_fusion(mapped, maps, shares)
    together = AnomalyMaps(tuple(mapped["image_id"]), map_fusion(maps), maps)
    explained = explain_branches(explanations, images, label_maps, mapped, maps)
    fitted = fusion.to_json() | {MAPS: map_fusion.to_json()}
    return MethodResult(scores, together, explained, fitted)


def explain_branches(
    found: Explanations,
    images: pd.DataFrame,
    label_maps: LabelMaps,
    scores: pd.DataFrame,
    maps: Mapping[str, Float16[np.ndarray, "N h w"]],
) -> Explanations:
    """Return AeCSAD's explanations and the hottest spot of each further branch's map: where the one that decided looks.

    Args:
        found: AeCSAD's.
        images: the image table; its training images show what class is usual where.
        scores: the rows of the result; columns image_id, split.
        maps: of `active_maps`.

    Raises:
        UserError: an image lacks its label map or its findings.
    """
    rows = {image_id: row for row, image_id in enumerate(label_maps.image_ids)}
    training = images["image_id"][images["split"] == "train"]
    needed = set(training) | set(scores["image_id"])
    lacking = sorted(needed - set(rows) | set(scores["image_id"]) - set(found.images))
    if lacking:
        raise UserError(f"{len(lacking)} images have no label map or no findings, {lacking[0]} first: run `dvc repro`")
    train = label_maps.values[[rows[image_id] for image_id in training]]
    usual = usual_classes(train, num_classes=label_maps.num_classes)
    explained = {finding.branch for findings in found.images.values() for finding in findings}
    validation = (scores["split"] == "validation").to_numpy()
    fitted = [(fit_spots(name, one[validation]), one) for name, one in maps.items() if name not in explained]
    findings = {
        image_id: [
            *found.images[image_id],
            *(explain_map(normal, one[row], label_maps.values[rows[image_id]], usual) for normal, one in fitted),
        ]
        for row, image_id in enumerate(scores["image_id"])
    }
    explainer = found.explainer
    if explainer is not None:
        explainer = explainer.extended([normal for normal, _ in fitted], explainer.numbers)
    return Explanations(findings, found.pictures, explainer)


def write_hybrid(
    folder: Path, result: MethodResult, branches: pd.DataFrame, fine: FineNeighbours | None, *, made_from: Lineage
) -> None:
    """Write the result and, next to it, the scores of the branches and the fine branch's bank, all or nothing.

    Args:
        folder: of the result.
        result: to write.
        branches: scores before they are scaled and weighed.
        fine: the branch at a higher resolution, None without it.
        made_from: the parts that the fusion joins.
    """
    fusion = {**(result.fusion or {}), MADE_FROM: dict(made_from)}
    with replacing_folder(folder) as temporary:
        write_result(temporary, replace(result, fusion=fusion))
        write_table(temporary / BRANCH_SCORES, branches, columns=KEYS)
        if fine is not None:
            write_bank(temporary / BANK, fine.bank)
