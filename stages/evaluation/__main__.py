"""Judge a method on a category: metrics, plot data and a result for every test image. It knows no method."""

from collections.abc import Sequence

from stages.core.io.result import branch_names, read_scores
from stages.core.io.tables import SYNTHETIC
from stages.core.io.truth import read_truth
from stages.core.run.params import load_value, validate
from stages.core.run.stage import parse_paths, stage_entry
from stages.evaluation.explained import explanation_metrics, open_explanations
from stages.evaluation.inputs import join_truth, open_branch_maps, open_maps
from stages.evaluation.intervals import Resampling
from stages.evaluation.outputs import summarise, write_curves, write_summary, write_tracked_scores
from stages.evaluation.params import EvaluationParams
from stages.evaluation.pictures import Drawer, fit_disagreement
from stages.evaluation.pixel_metrics import PixelLimits, pixel_metrics
from stages.evaluation.results import Evidence, publish_overview, write_results
from stages.evaluation.thresholds import fit

READS = ("scores", "truth", "image_files", "mask_files")
PLOTS = ("roc", "precision_recall", "score_histogram", "confusion")
WRITES = ("metrics", "intervals", "test_scores", *PLOTS, "overview", "results")


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=READS, writes=WRITES, values=("method", "category"), about=__doc__)
    params = validate(EvaluationParams, load_value("evaluation"), where="evaluation")
    resampling = Resampling(params.bootstrap_resamples, params.confidence, load_value("seed"))
    limits = PixelLimits(params.aupro_max_false_positive_rate, params.spro_max_false_positive_rates)
    scores = read_scores(paths.scores / "scores.parquet")
    joined, branches = join_truth(scores, read_truth(paths.truth)), branch_names(scores)
    synthetic = set(scores["image_id"][scores["split"] == SYNTHETIC])
    maps = open_maps(paths.scores / "maps", joined, unjudged=synthetic)
    fitted = fit(joined, maps, branches, budget=params.false_alarm_budget, unsure_confidence=params.unsure_confidence)
    test, calibration = joined[joined["split"] == "test"], fitted.calibration
    pixel = pixel_metrics(test, maps, paths.mask_files, limits=limits, resampling=resampling)
    explanations = open_explanations(paths.scores / "explanations", joined)
    explained = explanation_metrics(test, explanations, fitted, paths.mask_files)
    branch_maps = open_branch_maps(paths.scores / "maps", unjudged=synthetic)
    gaps = fit_disagreement(joined, branch_maps, budget=params.false_alarm_budget)
    drawer = Drawer(paths.image_files, paths.mask_files, maps, calibration.low, calibration.high, gaps)
    write_curves(test, threshold=calibration.threshold.value, **{name: getattr(paths, name) for name in PLOTS})
    write_results(paths.results, test, Evidence(branches, fitted, drawer, explanations))
    publish_overview(paths.results, paths.overview)
    write_tracked_scores(paths.test_scores, test)
    summary = summarise(test, branches=branches, fitted=fitted, pixel=pixel, explained=explained, resampling=resampling)
    write_summary(summary, metrics=paths.metrics, intervals=paths.intervals)
    return f"{len(test)} test images of {paths.category} judged for {paths.method}"


if __name__ == "__main__":
    main()
