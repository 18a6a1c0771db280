"""The branches side by side, and the weight of each, judged on normal images and anomalies made from them."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.optimize import nnls
from scipy.special import ndtri
from scipy.stats import mannwhitneyu

from stages.aecsad.hybrid_fusion.neighbours import FineNeighbours
from stages.aecsad.hybrid_fusion.params import Weighting
from stages.aecsad.model.conformal import AUROC
from stages.aecsad.model.fusion import (
    HISTOGRAM,
    KEYS,
    STUDENT_TEACHER,
    columns_of_branches,
    join_branches,
    kinds_of,
    read_branches,
    read_parts,
)
from stages.aecsad.model.part_numbers import PARTS
from stages.aecsad.model.scaling import fit_trimmed_z
from stages.core.io.decision import Decision
from stages.core.io.maps import AnomalyMaps, read_anomaly_maps
from stages.core.io.result import MAPS, read_result
from stages.core.io.rotation import calibrates
from stages.core.io.tables import SYNTHETIC
from stages.core.run.errors import UserError
from stages.core.runtime.conformal import Jackknife

NEIGHBOURS, FINE_NEIGHBOURS = "neighbours", "fine_neighbours"
PRIOR_IMAGES = 10  # with as many validation images their correlations count half
MOST_SEEN = 0.995  # AUROC; of some dozen images more cannot be told from it
SHARPENED = 2  # power of the discriminant's weights
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Branches:
    """All branches together.

    Attributes:
        scores: one row an image that is not for training, with the columns of all branches, sorted by image_id.
        maps: of the branches that make some.
    """

    scores: pd.DataFrame
    maps: Mapping[str, AnomalyMaps]


@dataclass(frozen=True)
class BranchWeight(Decision):
    """Weight of a branch in the fusion, and why.

    Attributes:
        weight: from 0, excluded, to 1; see `weigh_together`.
        synthetic_auroc: probability that a validation image with a synthetic defect scores above one without.
        edit_auroc: the same for edited pictures, where the branch's stage measured it.
        constant: whether it scores every image the same.
    """

    weight: float
    synthetic_auroc: float
    edit_auroc: float | None
    reason: str
    constant: bool = False


def collect_branches(
    histogram: Path, student_teacher: Path, neighbours: Path, *, fine: FineNeighbours | None
) -> Branches:
    """Read the branches and join them; a neighbours' score is named after its branch.

    Args:
        histogram, student_teacher: the folders of these stages.
        neighbours: the folder of that method's result.
        fine: the branch at a higher resolution, None without it.

    Raises:
        UserError: a file is missing or damaged, or the tables are not of the same images.
    """
    results = {NEIGHBOURS: read_result(neighbours)} | ({} if fine is None else {FINE_NEIGHBOURS: fine.result})
    tables, parts = read_branches(histogram, student_teacher), read_parts(histogram)
    if parts is not None:
        tables[PARTS] = parts
    maps = {STUDENT_TEACHER: read_anomaly_maps(student_teacher / MAPS)}
    for name, result in results.items():
        if result.maps is None:
            raise UserError(f"the result of {name} has no anomaly maps: run `dvc repro`")
        tables[name] = result.scores[[*KEYS, "score"]].rename(columns={"score": name})
        maps[name] = result.maps
    return Branches(join_branches(tables), maps)


def weigh_branches(
    scores: pd.DataFrame, histogram: Mapping[str, Any], *, chance: float, weighting: Weighting = "reliability"
) -> dict[str, BranchWeight]:
    """Weigh every branch; each weight is logged.

    Args:
        scores: one row an image, with rows of split "validation" and "synthetic".
        histogram: the histogram stage's choice: the weight and `edit_auroc` of each of its columns and of `parts`.
        chance: see `weigh_branch`.
        weighting: "equal" lets every branch that is not constant count 1, whatever it was judged to see.
    """
    weights = judge_branches(scores, histogram, chance=chance, weighting=weighting)
    for name, one in weights.items():
        LOG.info("branch %s: weight %.2f, %s", name, one.weight, one.reason)
    return weights


def judge_branches(
    scores: pd.DataFrame, histogram: Mapping[str, Any], *, chance: float, weighting: Weighting
) -> dict[str, BranchWeight]:
    """Do as `weigh_branches`, without a word."""
    columns = {name: float(weight) for name, weight in histogram["weights"].items()}
    edits = [float(histogram["columns"][name]["edit_auroc"]) for name in columns if columns[name] > 0]
    validation, synthetic = (scores[scores["split"] == split] for split in ("validation", SYNTHETIC))
    weights, normals = {}, {}
    for name, parts in columns_of_branches(scores, columns).items():
        normal, defect = (sum_of_columns(rows, validation, parts, columns) for rows in (validation, synthetic))
        normals[name] = normal
        if name == PARTS:
            weights[name] = weigh_parts(normal, defect, histogram[PARTS], chance=chance)
        else:
            weights[name] = weigh_branch(normal, defect, edits if name == HISTOGRAM else [], chance=chance)
    if weighting == "equal":
        return {name: count_equally(one, why="as all, by the profile") for name, one in weights.items()}
    for kind in kinds_of(weights):
        active = [name for name in kind.branches if weights[name].weight > 0]
        weights |= weigh_together({name: weights[name] for name in active}, normals)
    if not any(one.weight for one in weights.values()):
        counted = [name for name in weights if name != PARTS or histogram[PARTS]["weight"] > 0]
        why = "like the others, since none is better than chance"
        weights |= {name: count_equally(weights[name], why=why) for name in counted}
    return weights


def weights_without_each(
    scores: pd.DataFrame,
    histogram: Mapping[str, Any],
    table: pd.DataFrame | None,
    *,
    chance: float,
    weighting: Weighting = "reliability",
) -> Jackknife | None:
    """Return all weights without one validation image and its copy, for each of them; None without a table.

    Training images that were held out in turns chose no weight: theirs are all weights as they are. With a single
    validation image nothing is left to judge by: all branches then count, whatever that image is like.

    Args:
        scores, histogram, chance, weighting: see `weigh_branches`.
        table: of `read_jackknife`.
    """
    if table is None:
        return None
    columns = {name: tuple(table[name].to_list()) for name in histogram["weights"]}
    names = list(columns_of_branches(scores, columns))
    validation = scores["image_id"][scores["split"] == "validation"].to_list()
    judged = scores[scores["split"].isin(["validation", SYNTHETIC])]
    source = judged["image_id"].str.removesuffix(f"#{SYNTHETIC}")
    found = []
    for image_id in scores["image_id"][calibrates(scores["split"])]:
        if validation == [image_id]:
            found.append(dict.fromkeys(names, 1.0))
            continue
        seen = table.loc[image_id]
        own = {
            "weights": {name: seen[name] for name in columns},
            "columns": {name: {"edit_auroc": seen[name + AUROC]} for name in columns},
        }
        if PARTS in names:
            own[PARTS] = {"weight": seen[PARTS], "edit_auroc": seen[PARTS + AUROC], "reason": ""}
        weighed = judge_branches(judged[source != image_id], own, chance=chance, weighting=weighting)
        found.append({name: one.weight for name, one in weighed.items()})
    return Jackknife(columns, {name: tuple(one[name] for one in found) for name in names})


def weigh_parts(
    normal: Float64[np.ndarray, " n"], synthetic: Float64[np.ndarray, " m"], judged: Mapping[str, Any], *, chance: float
) -> BranchWeight:
    """Weigh the branch of numbers of parts, which the histogram stage has judged by edited pictures.

    What that stage excluded gets no weight for synthetic defects either: they are no other number of parts.
    """
    edit_auroc = float(judged["edit_auroc"])
    if judged["weight"] > 0:
        return weigh_branch(normal, synthetic, [edit_auroc], chance=chance)
    return replace(
        weigh_branch(normal, synthetic, [], chance=chance), weight=0.0, edit_auroc=edit_auroc, reason=judged["reason"]
    )


def weigh_together(
    alone: Mapping[str, BranchWeight], normal: Mapping[str, Float64[np.ndarray, " n"]]
) -> dict[str, BranchWeight]:
    """Lower the weights of branches that say what better ones say, too.

        w = argmin wᵀ A w / 2 - dᵀ w,  w >= 0,    A = f R + (1 - f) I
        d = sqrt(2) Phi⁻¹(AUROC),    f = n / (n + PRIOR_IMAGES),    weight = w^SHARPENED

    That is Fisher's linear discriminant, A⁻¹ d, of the branches that add to it: d is how many standard deviations
    anomalies lie above normal images, R the correlation of the branches on normal images, drawn towards none where
    these are few. What two branches agree on by chance counts once. One that would only be subtracted has no weight,
    and the others are weighed without it. The largest weight stays as it is. The power leaves weak branches less: the
    discriminant is for scores that are normally distributed, and evidence has a longer tail, so that what a weak branch
    says of normal images by chance weighs more than it adds.

    R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7, 1936.

    Args:
        alone: of the branches for one kind of anomaly, each by itself and above 0.
        normal: scores of validation images by branch.
    """
    if len(alone) < 2:
        return dict(alone)
    seen = np.array([(1 + one.weight) / 2 for one in alone.values()])
    distance = np.sqrt(2) * ndtri(np.minimum(seen, MOST_SEEN))
    images = len(next(iter(normal.values())))
    correlation = correlations(np.stack([normal[name] for name in alone]))
    drawn = correlation * images / (images + PRIOR_IMAGES)
    np.fill_diagonal(drawn, 1.0)
    root = np.linalg.cholesky(drawn)
    found, _ = nnls(root.T, np.linalg.solve(root, distance))
    found = max(one.weight for one in alone.values()) * (found / found.max()) ** SHARPENED
    return {
        name: replace(one, weight=float(weight), reason=f"{one.reason}; {one.weight:.2f} by itself")
        for (name, one), weight in zip(alone.items(), found, strict=True)
    }


def correlations(rows: Float64[np.ndarray, "B n"]) -> Float64[np.ndarray, "B B"]:
    """Return the correlations of rows; 0 with one that does not vary."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    unit = centred / np.where(length > 0, length, 1.0)
    return np.asarray(unit @ unit.T)


def count_equally(branch: BranchWeight, *, why: str) -> BranchWeight:
    """Give weight 1 to a branch unless it is constant.

    Args:
        branch: as it was judged.
        why: for people; for instance none may stand out, as with few images none can.
    """
    if branch.constant:
        return branch
    return replace(branch, weight=1.0, reason=f"counts {why} ({branch.reason})")


def sum_of_columns(
    rows: pd.DataFrame, validation: pd.DataFrame, columns: list[str], weights: Mapping[str, float]
) -> Float64[np.ndarray, " n"]:
    """Return the branch's score as the fusion will make it, up to its scale; zeros without columns."""
    total = np.zeros(len(rows))
    for name in columns:
        scale = fit_trimmed_z(validation[name].to_numpy(dtype=np.float64))
        total += weights.get(name, 1.0) * scale(rows[name].to_numpy(dtype=np.float64))
    return total


def weigh_branch(
    normal: Float64[np.ndarray, " n"], synthetic: Float64[np.ndarray, " m"], edits: list[float], *, chance: float
) -> BranchWeight:
    """Weigh a branch by the better of what it sees of synthetic defects and of edited pictures.

        weight = 2 max(AUROC_synthetic, AUROC_edits) - 1,  0 where synthetic defects are told apart no better than by
                 chance (one-sided Mann-Whitney test) and no edits were either

    A random score has an AUROC of 0.5: its weight is 0 up to chance, and the test takes care of that chance. With so
    few images that even perfect order might be chance, no branch could pass it, and those that see damage would all
    give way to those that see edits: there the weight stands as it is.

    Args:
        normal, synthetic: scores of validation images and of their copies with a defect.
        edits: AUROCs of the branch's columns in use, which their stage has judged already.
        chance: largest p-value with which synthetic defects count as told apart.
    """
    if not len(normal) or not len(synthetic) or np.unique(np.concatenate([normal, synthetic])).size == 1:
        return BranchWeight(0.0, 0.5, None, "excluded: every image has the same score", constant=True)
    test = mannwhitneyu(synthetic, normal, alternative="greater")
    auroc = float(test.statistic) / (len(normal) * len(synthetic))
    best_edit = max(edits, default=None)
    seen = f"separates {auroc:.1%} of synthetic defects from normal images"
    if best_edit is not None:
        reason = f"{seen} and {best_edit:.1%} of edited pictures"
        return BranchWeight(2 * max(auroc, best_edit) - 1, auroc, best_edit, reason)
    if 1 / math.comb(len(normal) + len(synthetic), len(normal)) > chance:
        few = f"{seen}; {len(normal)} and {len(synthetic)} images are too few to tell that from chance"
        return BranchWeight(max(0.0, 2 * auroc - 1), auroc, None, few)
    if test.pvalue > chance:
        return BranchWeight(0.0, auroc, None, f"excluded: {seen}, which may be chance (p = {test.pvalue:.2g})")
    return BranchWeight(2 * auroc - 1, auroc, None, seen)
