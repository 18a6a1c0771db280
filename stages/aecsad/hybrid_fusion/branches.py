"""The scores and maps of all branches beside each other.

How far a branch can be trusted, judged on normal images and anomalies made from them.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.stats import mannwhitneyu

from stages.aecsad.model.fusion import fit_trimmed_z
from stages.core.io.maps import AnomalyMaps, read_anomaly_maps
from stages.core.io.tables import SYNTHETIC, read_table
from stages.core.neighbours.bank import Result
from stages.core.run.errors import UserError

KEYS = ["image_id", "split"]
HISTOGRAM = "histogram"
STUDENT_TEACHER = "student_teacher"
NEIGHBOURS = "neighbours"
FINE_NEIGHBOURS = "fine_neighbours"
LOG = logging.getLogger(__name__)


def read_branches(
    *, histogram: Path, student_teacher: Path, neighbours: Path, fine: Result | None
) -> dict[str, pd.DataFrame]:
    """The tables of the branches, without training images; a neighbours' score is called after its branch.

    Args:
        neighbours: the folder of that method's result.
        fine: of the branch at a higher resolution, None without it.

    Raises:
        UserError: a file is missing or lacks a column.
    """
    nearest = read_table(neighbours / "scores.parquet", columns=[*KEYS, "score"])[[*KEYS, "score"]]
    students = [*KEYS, STUDENT_TEACHER]
    branches = {
        HISTOGRAM: read_table(histogram, columns=KEYS).query("split != 'train'"),
        STUDENT_TEACHER: read_table(student_teacher, columns=students)[students],
        NEIGHBOURS: nearest.rename(columns={"score": NEIGHBOURS}),
    }
    if fine is not None:
        branches[FINE_NEIGHBOURS] = fine.scores.rename(columns={"score": FINE_NEIGHBOURS})
    return branches


def read_maps(*, student_teacher: Path, neighbours: Path, fine: Result | None) -> dict[str, AnomalyMaps]:
    """The maps of the branches that make some.

    Raises:
        UserError: a file is missing or damaged.
    """
    maps = {STUDENT_TEACHER: read_anomaly_maps(student_teacher), NEIGHBOURS: read_anomaly_maps(neighbours / "maps")}
    if fine is not None:
        maps[FINE_NEIGHBOURS] = AnomalyMaps(tuple(fine.scores["image_id"]), fine.maps)
    return maps


def columns_of_branches(scores: pd.DataFrame, histogram: Iterable[str]) -> dict[str, list[str]]:
    """The columns of each branch: `histogram` names those of the histograms, every other one is a branch by itself."""
    together = sorted(histogram)
    return {HISTOGRAM: together, **{name: [name] for name in scores.columns if name not in [*KEYS, *together]}}


def join_branches(branches: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row an image with the columns of all branches, sorted by image_id.

    Raises:
        UserError: the tables are not of the same images.
    """
    joined = reduce(lambda left, right: left.merge(right, on=KEYS, validate="one_to_one"), branches.values())
    for name, table in branches.items():
        if len(table) != len(joined):
            raise UserError(
                f"{len(table)} images have a score of the branch {name}, {len(joined)} one of every branch: "
                "run `dvc repro`"
            )
    return joined.sort_values("image_id").reset_index(drop=True)


@dataclass(frozen=True)
class Trust:
    """Weight of a branch in the fusion, and why.

    Attributes:
        weight: 0 = stays out, up to 1.
        synthetic_auroc: probability that a validation image with a synthetic defect scores above one without.
        edit_auroc: the same for edited components, where the branch's stage measured it.
        reason: for people.
        constant: whether it gives every image the same score.
    """

    weight: float
    synthetic_auroc: float
    edit_auroc: float | None
    reason: str
    constant: bool = False

    def as_json(self) -> dict[str, float | str | None]:
        return {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(self).items()}


def trust_branches(scores: pd.DataFrame, histogram: Mapping[str, Any], *, chance: float) -> dict[str, Trust]:
    """Judge every branch; each decision is logged.

    Args:
        scores: one row an image, with rows of split "validation" and "synthetic".
        histogram: the histogram stage's choice: the weight and `edit_auroc` of each of its columns.
        chance: see `judge_branch`.
    """
    weights = {name: float(weight) for name, weight in histogram["weights"].items()}
    edits = [float(histogram["columns"][name]["edit_auroc"]) for name in weights if weights[name] > 0]
    validation, synthetic = (scores[scores["split"] == split] for split in ("validation", SYNTHETIC))
    trusts = {}
    for name, parts in columns_of_branches(scores, weights).items():
        normal, defect = (sum_of_columns(rows, validation, parts, weights) for rows in (validation, synthetic))
        trusts[name] = judge_branch(normal, defect, edits if name == HISTOGRAM else [], chance=chance)
    if not any(trust.weight for trust in trusts.values()):
        trusts = {name: trust_all_the_same(trust) for name, trust in trusts.items()}
    for name, trust in trusts.items():
        LOG.info("branch %s: weight %.2f, %s", name, trust.weight, trust.reason)
    return trusts


def trust_all_the_same(trust: Trust) -> Trust:
    """Weight 1 for each branch that says anything, when none stands out: with few images none can."""
    if trust.constant:
        return trust
    return replace(
        trust, weight=1.0, reason=f"counts like the others, since none is better than chance ({trust.reason})"
    )


def sum_of_columns(
    rows: pd.DataFrame, validation: pd.DataFrame, columns: list[str], weights: Mapping[str, float]
) -> Float64[np.ndarray, " n"]:
    """The branch's score as the fusion will make it, up to its scale; zeros without columns."""
    total = np.zeros(len(rows))
    for name in columns:
        scale = fit_trimmed_z(validation[name].to_numpy(dtype=np.float64))
        total += weights.get(name, 1.0) * scale(rows[name].to_numpy(dtype=np.float64))
    return total


def judge_branch(
    normal: Float64[np.ndarray, " n"], synthetic: Float64[np.ndarray, " m"], edits: list[float], *, chance: float
) -> Trust:
    """Weigh a branch by the better of what it sees of synthetic defects and of edited components.

        weight = 2 max(AUROC_synthetic, AUROC_edits) - 1,  0 where synthetic defects are told apart no better than by
                 chance (one-sided Mann-Whitney test) and no edits were either

    A random score has an AUROC of 0.5: its weight is 0 up to chance, and the test takes care of that chance.

    Args:
        normal, synthetic: scores of validation images and of their copies with a defect.
        edits: AUROCs of the branch's columns in use, which their stage trusts already.
    """
    if not len(normal) or not len(synthetic) or np.unique(np.concatenate([normal, synthetic])).size == 1:
        return Trust(0.0, 0.5, None, "left out: it gives every image the same score", constant=True)
    test = mannwhitneyu(synthetic, normal, alternative="greater")
    auroc = float(test.statistic) / (len(normal) * len(synthetic))
    best_edit = max(edits, default=None)
    seen = f"tells {auroc:.1%} of synthetic defects from normal images"
    if best_edit is not None:
        return Trust(
            2 * max(auroc, best_edit) - 1, auroc, best_edit, f"{seen} and {best_edit:.1%} of edited components"
        )
    if test.pvalue > chance:
        return Trust(0.0, auroc, None, f"left out: {seen}, which may be chance (p = {test.pvalue:.2g})")
    return Trust(2 * auroc - 1, auroc, None, seen)
