"""Fuse AeCSAD with two nearest-neighbour branches, each weighed by the synthetic anomalies it separates."""

from collections.abc import Sequence

from stages.aecsad.hybrid_fusion.branches import NEIGHBOURS, collect_branches, weigh_branches, weights_without_each
from stages.aecsad.hybrid_fusion.explaining import add_numbers
from stages.aecsad.hybrid_fusion.fusing import fuse_branches, write_hybrid
from stages.aecsad.hybrid_fusion.map_shares import weigh_maps
from stages.aecsad.hybrid_fusion.neighbours import score_at_high_resolution
from stages.aecsad.hybrid_fusion.params import HybridFusionParams
from stages.aecsad.model.conformal import read_jackknife
from stages.aecsad.model.label_maps import read_label_maps
from stages.aecsad.model.lineage import HISTOGRAM_FILE, read_branch_lineage
from stages.aecsad.model.part_numbers import read_findings, read_part_model
from stages.core.io.decision import read_choice, write_choice
from stages.core.io.explanations import read_explanations
from stages.core.io.lineage import content_hash
from stages.core.io.result import BANK
from stages.core.io.tables import MOST_TRAINED, image_files, read_images
from stages.core.run.params import EncoderParams, load_params, load_seed
from stages.core.run.stage import parse_paths, stage_entry

READS = ("inputs", "label_maps", "histogram", "histogram_choice", "student_teacher", "neighbours", "explanations")


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Run the stage and return its closing counts."""
    paths = parse_paths(argv, reads=READS, writes=["scores", "choice"], about=__doc__)
    params = load_params(HybridFusionParams, section="aecsad.hybrid_fusion")
    encoder = load_params(EncoderParams, section="encoder")
    images, seed = read_images(paths.inputs, most_training=MOST_TRAINED), load_seed()
    made_from = read_branch_lineage(paths.label_maps, paths.histogram, paths.student_teacher)
    made_from[NEIGHBOURS] = content_hash(paths.neighbours / BANK)
    fine = score_at_high_resolution(images, paths.inputs, params.fine_neighbours, encoder=encoder.network, seed=seed)
    branches = collect_branches(paths.histogram, paths.student_teacher, paths.neighbours, fine=fine)
    choice, jackknife = read_choice(paths.histogram_choice), read_jackknife(paths.histogram, branches.scores)
    weights = weigh_branches(branches.scores, choice, chance=params.chance, weighting=params.branch_weights)
    without = weights_without_each(
        branches.scores, choice, jackknife, chance=params.chance, weighting=params.branch_weights
    )
    shares = weigh_maps(branches.scores, branches.maps, weights, images, image_files(paths.inputs))
    label_maps, model = read_label_maps(paths.label_maps), read_part_model(paths.histogram / HISTOGRAM_FILE)
    explanations = add_numbers(read_explanations(paths.explanations), read_findings(paths.histogram), model, label_maps)
    result = fuse_branches(
        branches, weights, choice["weights"], images, label_maps, explanations,
        combination=params.combination, areas_weight=params.areas_weight, without=without, shares=shares,
    )  # fmt: skip
    write_hybrid(paths.scores, result, branches.scores, fine, made_from=made_from)
    write_choice(paths.choice, {name: weight.as_json() for name, weight in weights.items()})
    return f"{len(result.scores)} images scored by {sum(one.weight > 0 for one in weights.values())} branches"


if __name__ == "__main__":
    main()
