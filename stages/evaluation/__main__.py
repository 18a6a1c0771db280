"""Judge a method on a category: metrics, plot data and a result for every test image. It knows no method."""

from collections.abc import Sequence

from stages.core.artifacts.scores import branch_names, read_scores
from stages.core.artifacts.truth import read_truth
from stages.core.params import load_value, validate
from stages.core.stage import parse_paths, stage_entry
from stages.evaluation.calibration import calibrate
from stages.evaluation.curves import write_curves
from stages.evaluation.joined import join_truth
from stages.evaluation.maps import open_maps
from stages.evaluation.params import EvaluationParams
from stages.evaluation.pictures import Drawer
from stages.evaluation.pixel_metrics import pixel_metrics
from stages.evaluation.results import publish_overview, write_results
from stages.evaluation.summary import summarise, write_metrics

READS = ("scores", "truth", "image_files", "mask_files")
PLOTS = ("roc", "precision_recall", "score_histogram", "confusion")


@stage_entry
def main(argv: Sequence[str]) -> str:
    names = {"reads": READS, "writes": ("metrics", *PLOTS, "overview", "results"), "values": ("method", "category")}
    paths = parse_paths(argv, **names, about=__doc__)
    params = validate(EvaluationParams, load_value("evaluation"), where="evaluation")
    scores = read_scores(paths.scores / "scores.parquet")
    joined = join_truth(scores, read_truth(paths.truth))
    maps = open_maps(paths.scores / "maps", joined)
    calibration = calibrate(joined, maps, budget=params.false_alarm_budget)
    test, branches, threshold = joined[joined["split"] == "test"], branch_names(scores), calibration.threshold
    pixel = pixel_metrics(test, maps, paths.mask_files, limit=params.aupro_max_false_positive_rate)
    drawer = Drawer(paths.image_files, paths.mask_files, maps, calibration.low, calibration.high)
    write_curves(test, threshold=threshold.value, **{name: getattr(paths, name) for name in PLOTS})
    write_results(paths.results, test, branches=branches, calibration=calibration, drawer=drawer)
    publish_overview(paths.results, paths.overview)
    write_metrics(paths.metrics, summarise(test, branches=branches, threshold=threshold, pixel=pixel))
    return f"{len(test)} test images of {paths.category} judged for {paths.method}"


if __name__ == "__main__":
    main()
