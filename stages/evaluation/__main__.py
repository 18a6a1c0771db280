"""Judge all methods of a product: metrics, plot data and a result for every test image. It knows no method."""

from collections.abc import Sequence

from stages.core.io.decision import write_choice
from stages.core.io.truth import component_files, health_file
from stages.core.run.methods import methods_of
from stages.core.run.params import load_seed, load_value, validate
from stages.core.run.stage import parse_paths, stage_entry
from stages.evaluation.components import component_agreement
from stages.evaluation.inputs import read_product
from stages.evaluation.judging import calibrate_methods, judge_methods, warn_of_switched_off
from stages.evaluation.outputs import copy_file, tables_of, write_curves, write_summaries, write_tracked_scores
from stages.evaluation.params import EvaluationParams
from stages.evaluation.results import publish_overviews, write_results

READS = ("scores", "inputs", "truth")
WRITES = ("results", "metrics", "intervals", "test_scores", "agreement", "health", "plots")


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=READS, writes=WRITES, values=["category"], about=__doc__)
    params = validate(EvaluationParams, load_value("evaluation"), where="evaluation")
    methods = methods_of(paths.category)
    warn_of_switched_off(paths.scores, methods=methods, category=paths.category)
    product = read_product(paths.inputs, paths.truth)
    calibrated = calibrate_methods(paths.scores, product, params, methods=methods)
    summaries = judge_methods(calibrated, product, params, seed=load_seed())
    write_results(paths.results, calibrated, product)
    write_curves(calibrated, paths.plots)
    publish_overviews(paths.results, paths.plots)
    write_tracked_scores(paths.test_scores, tables_of(calibrated))
    write_summaries(summaries, metrics=paths.metrics, intervals=paths.intervals)
    proposed = next((one.review for one in calibrated.values() if one.review is not None), None)
    write_choice(paths.agreement, component_agreement(proposed, component_files(paths.truth)))
    copy_file(health_file(paths.truth), paths.health)
    return f"{len(product.test)} test images of {paths.category} judged for {len(methods)} methods"


if __name__ == "__main__":
    main()
