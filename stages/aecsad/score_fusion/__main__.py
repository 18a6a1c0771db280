"""Bring AeCSAD's branches to one scale, add them, and explain every image that is judged."""

from collections.abc import Sequence

from stages.aecsad.model.conformal import read_jackknife
from stages.aecsad.model.fusion import join_branches, read_branches
from stages.aecsad.model.label_maps import read_label_maps
from stages.aecsad.model.lineage import read_branch_lineage
from stages.aecsad.score_fusion.explaining import explain_images
from stages.aecsad.score_fusion.fusing import coverage_warnings, fuse_scores
from stages.aecsad.score_fusion.params import ScoreFusionParams
from stages.core.io.decision import read_choice
from stages.core.io.lineage import MADE_FROM
from stages.core.io.maps import read_anomaly_maps
from stages.core.io.result import MAPS, MethodResult, write_result
from stages.core.io.tables import MOST_TRAINED, image_files, read_images
from stages.core.run.params import load_params, load_seed
from stages.core.run.stage import parse_paths, stage_entry

READS = ("inputs", "label_maps", "histogram", "histogram_choice", "student_teacher", "review")


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Run the stage and return its closing counts."""
    paths = parse_paths(argv, reads=READS, writes=["scores"], about=__doc__)
    params = load_params(ScoreFusionParams, section="aecsad.score_fusion")
    made_from = read_branch_lineage(paths.label_maps, paths.histogram, paths.student_teacher)
    branches = join_branches(read_branches(paths.histogram, paths.student_teacher))
    choice, without = read_choice(paths.histogram_choice), read_jackknife(paths.histogram, branches)
    scores, fusion = fuse_scores(branches, choice, params, without)
    maps = read_anomaly_maps(paths.student_teacher / MAPS)
    images, label_maps = read_images(paths.inputs, most_training=MOST_TRAINED), read_label_maps(paths.label_maps)
    explanations = explain_images(
        images, image_files(paths.inputs), label_maps, maps, params.explanation, seed=load_seed()
    )
    fitted = fusion.to_json() | {MADE_FROM: made_from}
    write_result(
        paths.scores, MethodResult(scores, maps, explanations, fitted, paths.review, coverage_warnings(choice))
    )
    used = sum(branch.used for branch in fusion.branches)
    return f"{len(scores)} images scored by {used} branches, {len(explanations.images)} explained"


if __name__ == "__main__":
    main()
