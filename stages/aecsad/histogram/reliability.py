"""How far a histogram column can be trusted, judged on normal images alone."""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float64
from sklearn.metrics import roc_auc_score


@dataclass(frozen=True)
class Reliability:
    """Weight of one column in the fusion, and why.

    Attributes:
        weight: 0 = stays out, up to 1.
        edit_auroc: probability that an edited normal image scores above a normal one; 0.5 where there is no edit.
        inflation: median distance of held-out normal images over that of training images.
    """

    weight: float
    edit_auroc: float
    inflation: float
    reason: str

    def as_json(self) -> dict[str, float | str]:
        return {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(self).items()}


def judge_column(
    *,
    train: Float64[np.ndarray, " N"],
    validation: Float64[np.ndarray, " V"],
    edited: Float64[np.ndarray, " E"],
    min_edit_auroc: float,
    max_inflation: float,
) -> Reliability:
    """Weigh a column by what it sees of edits, and by how well it carries over to unseen normal images.

        weight = (2 AUROC - 1) / max(1, inflation),  0 where AUROC < min_edit_auroc or inflation > max_inflation

    A histogram finer than the training images support fits them closely: unseen normal images then lie far out, and
    real anomalies no farther, though edits of the same image look easy.

    Args:
        train, validation: distances of normal images.
        edited: distances of validation images after one edit each.
    """
    auroc = separation(validation, edited)
    inner, outer = float(np.median(train)), float(np.median(validation))
    inflation = outer / inner if inner > 0 else 1.0
    weight = (2 * auroc - 1) / max(1.0, inflation)
    reason = f"sees {auroc:.1%} of edits, held-out normals {inflation:.2f} times as far as training normals"
    if not validation.any() and not edited.any():
        return Reliability(0.0, auroc, inflation, "left out: every distance is 0, there is nothing to compare")
    if auroc < min_edit_auroc:
        return Reliability(0.0, auroc, inflation, f"left out: {reason} (AUROC needed: {min_edit_auroc:.0%})")
    if inflation > max_inflation:
        return Reliability(0.0, auroc, inflation, f"left out: {reason} (allowed: {max_inflation:g})")
    return Reliability(weight, auroc, inflation, reason)


def separation(normal: Float64[np.ndarray, " V"], edited: Float64[np.ndarray, " E"]) -> float:
    """AUROC of edited against normal distances; 0.5 where one of them is empty."""
    if not len(normal) or not len(edited):
        return 0.5
    truth = np.repeat([0, 1], [len(normal), len(edited)])
    return float(roc_auc_score(truth, np.concatenate([normal, edited])))
