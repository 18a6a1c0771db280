"""How far a branch can be trusted, judged on normal images and anomalies made from them."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.stats import mannwhitneyu

from stages.aecsad.plus.branches import HISTOGRAM, columns_of_branches
from stages.core.artifacts.images import PLANTED
from stages.core.fusion import fit_trimmed_z

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trust:
    """Weight of a branch in the fusion, and why.

    Attributes:
        weight: 0 = stays out, up to 1.
        planted_auroc: probability that a validation image with a planted defect scores above one without.
        edit_auroc: the same for edited components, where the branch's room measured it.
        reason: for people.
        constant: whether it gives every image the same score.
    """

    weight: float
    planted_auroc: float
    edit_auroc: float | None
    reason: str
    constant: bool = False

    def as_json(self) -> dict[str, float | str | None]:
        return {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(self).items()}


def trust_branches(scores: pd.DataFrame, histogram: Mapping[str, Any], *, chance: float) -> dict[str, Trust]:
    """Judge every branch; each decision is logged.

    Args:
        scores: one row an image, with rows of split "validation" and "planted".
        histogram: the histogram room's choice: the weight and `edit_auroc` of each of its columns.
        chance: see `judge_branch`.
    """
    weights = {name: float(weight) for name, weight in histogram["weights"].items()}
    edits = [float(histogram["columns"][name]["edit_auroc"]) for name in weights if weights[name] > 0]
    validation, planted = (scores[scores["split"] == split] for split in ("validation", PLANTED))
    trusts = {}
    for name, parts in columns_of_branches(scores, weights).items():
        normal, defect = (sum_of_columns(rows, validation, parts, weights) for rows in (validation, planted))
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
    normal: Float64[np.ndarray, " n"], planted: Float64[np.ndarray, " m"], edits: list[float], *, chance: float
) -> Trust:
    """Weigh a branch by the better of what it sees of planted defects and of edited components.

        weight = 2 max(AUROC_planted, AUROC_edits) - 1,  0 where planted defects are told apart no better than by
                 chance (one-sided Mann-Whitney test) and no edits were either

    A random score has an AUROC of 0.5: its weight is 0 up to chance, and the test takes care of that chance.

    Args:
        normal, planted: scores of validation images and of their copies with a defect.
        edits: AUROCs of the branch's columns in use, which their room trusts already.
    """
    if not len(normal) or not len(planted) or np.unique(np.concatenate([normal, planted])).size == 1:
        return Trust(0.0, 0.5, None, "left out: it gives every image the same score", constant=True)
    test = mannwhitneyu(planted, normal, alternative="greater")
    auroc = float(test.statistic) / (len(normal) * len(planted))
    best_edit = max(edits, default=None)
    seen = f"tells {auroc:.1%} of planted defects from normal images"
    if best_edit is not None:
        return Trust(
            2 * max(auroc, best_edit) - 1, auroc, best_edit, f"{seen} and {best_edit:.1%} of edited components"
        )
    if test.pvalue > chance:
        return Trust(0.0, auroc, None, f"left out: {seen}, which may be chance (p = {test.pvalue:.2g})")
    return Trust(2 * auroc - 1, auroc, None, seen)
