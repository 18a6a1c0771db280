"""What changed between two evaluations of the same category, and whether it is more than chance.

Standard errors come from the scores of the same images on both sides (DeLong for AUROCs, matched pairs for rates),
otherwise from each side's interval or, without one, from the numbers of images alone.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import norm, rankdata

from commands.compare.revisions import Evaluated
from commands.compare.rows import MetricRow
from stages.evaluation.image_metrics import GROUPS

LOG = logging.getLogger(__name__)
LOWER_IS_BETTER = ("false_alarm_rate",)


@dataclass(frozen=True)
class Difference:
    """Second AUROC minus first, and its standard error."""

    value: float
    standard_error: float


def delong_variance(normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"]) -> float:
    """Return the variance of the AUROC; NaN when a class has fewer than two images."""
    return float(delong_covariance(normal[None], anomalous[None])[0, 0])


def delong_difference(normal: Float[np.ndarray, "2 n"], anomalous: Float[np.ndarray, "2 m"]) -> Difference:
    """Compare two correlated AUROCs.

    Args:
        normal, anomalous: scores of the same images in the same order, first and second method.
    """
    aurocs = [placements(normal[k], anomalous[k])[0].mean() for k in range(2)]
    covariance = delong_covariance(normal, anomalous)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return Difference(float(aurocs[1] - aurocs[0]), float(np.sqrt(max(variance, 0.0))))


def delong_covariance(
    normal: Float[np.ndarray, "k n"], anomalous: Float[np.ndarray, "k m"]
) -> Float[np.ndarray, "k k"]:
    """Return the covariance of k AUROCs on the same images.

        S = S10 / m + S01 / n,    S10, S01: covariances of the placements of anomalous and of normal images

    DeLong, DeLong, Clarke-Pearson, Biometrics 44, 1988; placements by ranks as in Sun and Xu, IEEE Signal Processing
    Letters 21, 2014.
    """
    if normal.shape[1] < 2 or anomalous.shape[1] < 2:
        return np.full((len(normal), len(normal)), np.nan)
    found = [placements(one, other) for one, other in zip(normal, anomalous, strict=True)]
    above, below = np.stack([one for one, _ in found]), np.stack([other for _, other in found])
    upper, lower = np.atleast_2d(np.cov(above)), np.atleast_2d(np.cov(below))
    return np.asarray(upper / anomalous.shape[1] + lower / normal.shape[1], dtype=np.float64)


def placements(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"]]:
    """Return for each anomalous image the share of normal ones below, for each normal one that of anomalous ones above.

    Equal scores count one half; the mean of either is the AUROC.
    """
    ranks = rankdata(np.concatenate([normal, anomalous]))
    above = (ranks[len(normal) :] - rankdata(anomalous)) / len(normal)
    below = 1 - (ranks[: len(normal)] - rankdata(normal)) / len(anomalous)
    return above, below


@dataclass(frozen=True)
class Metric:
    """A number of the metrics file.

    Attributes:
        kind: the group of anomalies, or "normal".
        name: as in a comparison's rows.
        path: keys in the file.
    """

    kind: str
    name: str
    path: tuple[str, ...]

    def of(self, side: Evaluated | None) -> float | None:
        """Return its value; None when it is undefined or not there."""
        value = None if side is None else look_up(side.metrics, self.path)
        return None if value is None else float(value)


METRICS = (
    *(Metric(group, "image_auroc", ("image_auroc", group)) for group in GROUPS),
    *(Metric(group, "detection_rate", ("at_threshold", "detection_rate", group)) for group in GROUPS),
    Metric("normal", "false_alarm_rate", ("at_threshold", "false_alarm_rate")),
    *(Metric(group, "pixel_auroc", ("pixel_auroc", group)) for group in GROUPS),
    *(Metric(group, "aupro", ("aupro", group)) for group in GROUPS),
    *(Metric(group, "au_spro_0.05", ("au_spro", "at_0.05", group)) for group in GROUPS),
)


def compare(
    old: Mapping[tuple[str, str], Evaluated],
    new: Mapping[tuple[str, str], Evaluated],
    *,
    confidence: float,
    tolerance: float,
) -> list[MetricRow]:
    """Return one row for each category, method and metric that either side has.

    Args:
        tolerance: differences up to this size are noise, also when they are significant; a fraction, not points.
    """
    keys = sorted({*old, *new})
    return [row for key in keys for row in rows_of(key, old.get(key), new.get(key), confidence, tolerance)]


def rows_of(
    key: tuple[str, str], old: Evaluated | None, new: Evaluated | None, confidence: float, tolerance: float
) -> Iterator[MetricRow]:
    """Yield the rows of one category and method; a metric that neither side has gives none."""
    for metric in METRICS:
        before, after = metric.of(old), metric.of(new)
        if before is None and after is None:
            continue
        if old is None or new is None or before is None or after is None:
            verdict = "missing" if after is None else "added"
            yield MetricRow(*key, metric.kind, metric.name, before, after, None, None, None, verdict)
            continue
        error = standard_error(metric, old, new, confidence=confidence)
        if error is None:
            LOG.warning("%s, %s: no interval of %s (%s) on either side: excluded", *key, metric.name, metric.kind)
            continue
        difference, half = after - before, float(norm.ppf((1 + confidence) / 2)) * error
        verdict = verdict_of(metric, difference, half, tolerance=tolerance)
        low, high = (None if math.isinf(half) else round(difference + side, 6) for side in (-half, half))
        yield MetricRow(
            *key, metric.kind, metric.name, before, after, round(difference, 6), low=low, high=high, verdict=verdict
        )


def verdict_of(metric: Metric, difference: float, half: float, *, tolerance: float) -> str:
    """Return gain or drop when zero lies outside the interval and the difference is above the tolerance, else noise."""
    if abs(difference) <= max(half, tolerance):
        return "noise"
    better = (difference < 0) == (metric.name in LOWER_IS_BETTER)
    return "gain" if better else "drop"


def standard_error(metric: Metric, old: Evaluated, new: Evaluated, *, confidence: float) -> float | None:
    """Return that of new - old: paired where both have the same images' scores, else of two independent samples.

    The pixels of the same images are positively correlated between two revisions, so the latter is too large rather
    than too small. None where neither side has one.
    """
    pair = same_images(old.scores, new.scores)
    if pair is not None and metric.name == "image_auroc":
        normal, anomalous = (scores_of(pair, kind) for kind in ("normal", metric.kind))
        return finite(delong_difference(normal.T, anomalous.T).standard_error)
    if pair is not None and metric.name in ("detection_rate", "false_alarm_rate"):
        limits = [float(look_up(side.metrics, ("threshold", "value")) or 0.0) for side in (old, new)]
        return matched_pairs_error(scores_of(pair, metric.kind) > np.array(limits))
    own = [own_error(metric, side, confidence=confidence) for side in (old, new)]
    known = [error for error in own if error is not None]
    if not known:
        return None
    return math.hypot(*(error if error is not None else known[0] for error in own))


def same_images(old: pd.DataFrame | None, new: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return columns kind, old, new for each image; None unless both sides judged the same images."""
    if old is None or new is None or len(old) != len(new):
        return None
    joined = old.add_suffix("_old").join(new, how="inner")
    if len(joined) < len(old) or (joined["kind"] != joined["kind_old"]).any():
        return None
    return pd.DataFrame({"kind": joined["kind"], "old": joined["score_old"], "new": joined["score"]})


def scores_of(pair: pd.DataFrame, kind: str) -> Float[np.ndarray, "n 2"]:
    """Return old and new scores of the images of a kind; "all" are all anomalies."""
    chosen = pair["kind"] != "normal" if kind == "all" else pair["kind"] == kind
    return pair.loc[chosen, ["old", "new"]].to_numpy(dtype=np.float64)


def matched_pairs_error(called: Float[np.ndarray, "n 2"]) -> float:
    """Return the standard error of a difference of rates on the same images, half an image added to each of four cells.

    Agresti and Min, Statistics in Medicine 24, 2005. Zero when every verdict stayed.
    """
    count = len(called) + 2
    lost, won = (float(((called[:, 0] == before) & (called[:, 1] != before)).sum()) for before in (True, False))
    if not lost and not won:
        return 0.0
    shares = ((lost + 0.5) / count, (won + 0.5) / count)
    return math.sqrt((sum(shares) - (shares[1] - shares[0]) ** 2) / count)


def own_error(metric: Metric, side: Evaluated, *, confidence: float) -> float | None:
    """Return the standard error of one side's value, from its scores, interval or numbers of images; None without."""
    if side.scores is not None and metric.name == "image_auroc":
        table = side.scores.assign(old=side.scores["score"], new=side.scores["score"])
        normal, anomalous = (scores_of(table, kind)[:, 0] for kind in ("normal", metric.kind))
        return finite(math.sqrt(max(delong_variance(normal, anomalous), 0.0)))
    interval = look_up(side.intervals, metric.path)
    if isinstance(interval, list):
        return float(interval[1] - interval[0]) / (2 * float(norm.ppf((1 + confidence) / 2)))
    value, counts = metric.of(side), look_up(side.metrics, ("images",)) or {}
    normals, others = counts.get("normal", 0), counts.get(metric.kind, 0)
    if value is None or not others:
        return None
    if metric.name == "image_auroc" and normals:
        return hanley_mcneil_error(value, normals, others)
    if not metric.name.endswith("_rate"):
        return None
    share = (value * others + 1) / (others + 2)  # Agresti and Caffo, The American Statistician 54, 2000
    return math.sqrt(share * (1 - share) / (others + 2))


def hanley_mcneil_error(auroc: float, normals: int, anomalies: int) -> float:
    """Return the standard error of an AUROC of which only the value and the numbers of images are known.

    Hanley and McNeil, Radiology 143, 1982.
    """
    first, second = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    spread = auroc * (1 - auroc) + (anomalies - 1) * (first - auroc**2) + (normals - 1) * (second - auroc**2)
    return math.sqrt(max(spread, 0.0) / (normals * anomalies))


def finite(error: float) -> float:
    """Return infinity instead of NaN: with a single image of a class nothing is significant."""
    return math.inf if math.isnan(error) else error


def look_up(values: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return the value at a path of keys, or None."""
    for key in path:
        if not isinstance(values, Mapping) or key not in values:
            return None
        values = values[key]
    return values
