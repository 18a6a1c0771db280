"""Judge every method of a product: each is checked and calibrated by itself, then all are measured side by side."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stages.core.io.explanations import Explanations
from stages.core.io.lineage import Lineage
from stages.core.io.result import MethodResult, branch_names, read_result, result_lineage
from stages.core.io.tables import SYNTHETIC
from stages.core.run.errors import UserError
from stages.evaluation.explained import checked_explanations, explanation_metrics
from stages.evaluation.inputs import Maps, Product, branch_maps_by_image, join_truth, maps_by_image
from stages.evaluation.intervals import Resampling
from stages.evaluation.params import EvaluationParams
from stages.evaluation.pictures import Disagreement, fit_disagreement
from stages.evaluation.pixel_metrics import PixelLimits, pixel_metrics
from stages.evaluation.summary import Summary, summarise
from stages.evaluation.thresholds import Fitted, fit, warn_of_few_normals

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibrated:
    """What a method found on a product, joined with the truth, and what was fitted on validation images.

    Attributes:
        test: the truth, the score and the branches of each test image, sorted by image_id.
        branches: columns of `test`.
        maps: by image_id; empty when the method makes none.
        disagreement: of the branches' maps.
        explanations: empty when the method makes none.
        fitted: thresholds and scales.
        review: the method's components for a person to judge; None where it knows none.
        made_from: sha256 of the result's files.
    """

    test: pd.DataFrame
    branches: Sequence[str]
    maps: Maps
    disagreement: Disagreement
    explanations: Explanations
    fitted: Fitted
    review: Path | None
    made_from: Lineage


def calibrate_methods(
    scores: Path, product: Product, params: EvaluationParams, *, methods: Sequence[str]
) -> dict[str, Calibrated]:
    """Read the results of the methods and fit their thresholds, in the order of `methods`.

    Args:
        scores: a folder with a MethodResult of each method under its name.

    Raises:
        UserError: there is no method, or a result is damaged or does not fit the truth; the message names the method.
    """
    if not methods:
        raise UserError("no method is on for this product: switch one on in params.yaml, `methods`")
    found = {}
    for method in methods:
        with named(method):
            found[method] = calibrate(
                scores / method,
                product,
                budget=params.false_alarm_budget,
                unsure_confidence=params.unsure_confidence,
            )
    few = {one.fitted.calibration.threshold.normals: one.fitted.calibration.threshold for one in found.values()}
    for threshold in few.values():  # one number, or two where some methods hold out training images in turns
        warn_of_few_normals(threshold)
    return found


def calibrate(path: Path, product: Product, *, budget: float, unsure_confidence: float) -> Calibrated:
    """Read one method's result, check it against the truth, and fit its thresholds on validation images.

    Raises:
        UserError: the result is damaged or does not fit the truth.
    """
    result = read_result(path)
    joined, branches = join_truth(result.scores, product.truth), branch_names(result.scores)
    synthetic = set(result.scores["image_id"][result.scores["split"] == SYNTHETIC])
    maps = maps_by_image(result.maps, joined, not_judged=synthetic)
    branch_maps = branch_maps_by_image(result.maps, not_judged=synthetic)
    test = joined[joined["split"] == "test"]
    return Calibrated(
        test=test,
        branches=branches,
        maps=maps,
        disagreement=fit_disagreement(joined, branch_maps, budget=budget),
        explanations=checked_explanations(result.explanations, test),
        fitted=fit(
            joined, maps, branches, budget=budget, unsure_confidence=unsure_confidence, weights=branch_weights(result)
        ),
        review=result.review,
        made_from=result_lineage(path),
    )


def judge_methods(
    calibrated: Mapping[str, Calibrated], product: Product, params: EvaluationParams, *, seed: int
) -> dict[str, Summary]:
    """Measure all methods on the test images.

    Args:
        seed: of the resampling for intervals.

    Raises:
        UserError: a mask cannot be read or has another size than its image.
    """
    resampling = Resampling(params.bootstrap_resamples, params.confidence, seed)
    limits = PixelLimits(params.aupro_max_false_positive_rate, params.spro_max_false_positive_rates)
    maps = {method: one.maps for method, one in calibrated.items()}
    pixel = pixel_metrics(product.test, maps, product.mask_files, limits=limits, resampling=resampling)
    summaries = {}
    for method, one in calibrated.items():
        with named(method):
            summaries[method] = summarise(
                one.test,
                branches=one.branches,
                fitted=one.fitted,
                pixel=pixel[method],
                explained=explanation_metrics(one.test, one.explanations, one.fitted, product.mask_files),
                resampling=resampling,
            )
    return summaries


def warn_of_switched_off(scores: Path, *, methods: Sequence[str], category: str) -> None:
    """Name the results of methods that params.yaml has switched off since; DVC leaves the folders of such stages."""
    for path in sorted(scores.iterdir()):
        if path.is_dir() and path.name not in methods:
            LOG.warning("%s is left over and not evaluated: %s is off for %s; delete it", path, path.name, category)


@contextmanager
def named(method: str) -> Iterator[None]:
    """Put the method's name before the message of an error."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{method}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{method}: {error}") from error


def branch_weights(result: MethodResult) -> dict[str, float]:
    """Return the weights of the branches in the score; none where a method has a single score."""
    if result.fusion is None:
        return {}
    return {branch["name"]: float(branch["weight"]) for branch in result.fusion["branches"]}
