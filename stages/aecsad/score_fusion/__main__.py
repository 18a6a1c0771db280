"""Bring the branches' scores to one scale and add them (trimmed z)."""

from collections.abc import Sequence

from stages.aecsad.model.fusion import write_fusion
from stages.aecsad.score_fusion.fusing import fuse, histogram_weights, join_branches, write_method_scores
from stages.aecsad.score_fusion.params import ScoreFusionParams
from stages.core.io.tables import read_table
from stages.core.run.params import load_params
from stages.core.run.stage import parse_paths, stage_entry


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Paths, params, read, fuse, write."""
    reads = ["histogram", "histogram_choice", "student_teacher", "maps", "explanations"]
    paths = parse_paths(argv, reads=reads, writes=["scores", "fusion"], about=__doc__)
    params = load_params(ScoreFusionParams, section="aecsad.score_fusion")
    tables = [read_table(path, columns=["image_id", "split"]) for path in (paths.histogram, paths.student_teacher)]
    weights = histogram_weights(paths.histogram_choice, equal=params.histogram_columns == "equal")
    scores, fusion = fuse(join_branches(*tables), weights, branch_weights=params.branch_weights.model_dump())
    write_method_scores(paths.scores, scores, paths.maps, paths.explanations)
    write_fusion(paths.fusion, fusion)
    return f"{len(scores)} images scored by {sum(branch.used for branch in fusion.branches)} branches"


if __name__ == "__main__":
    main()
