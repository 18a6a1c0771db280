"""AeCSAD with two nearest-neighbour branches, each branch weighed by the anomalies of our own making that it sees."""

from collections.abc import Sequence

from stages.aecsad.hybrid_fusion.branches import KEYS, join_branches, read_branches, read_maps, trust_branches
from stages.aecsad.hybrid_fusion.fusing import counting_maps, explain_branches, fuse, fuse_maps, write_method
from stages.aecsad.hybrid_fusion.neighbours import score_finely
from stages.aecsad.hybrid_fusion.params import HybridFusionParams
from stages.aecsad.model.fusion import write_fusion
from stages.aecsad.model.label_maps import read_label_maps
from stages.core.io.decision import read_choice, write_choice
from stages.core.io.explanations import read_explanations
from stages.core.io.tables import image_files, read_images, write_table
from stages.core.run.params import EncoderParams, load_params, load_value
from stages.core.run.stage import parse_paths, stage_entry

TABLES = (
    "histogram",
    "histogram_choice",
    "student_teacher",
    "student_teacher_maps",
    "neighbours",
    "explanations",
    "label_maps",
)


@stage_entry
def main(argv: Sequence[str]) -> str:
    reads, writes = ["inputs", *TABLES], ["scores", "fusion", "choice", "branches"]
    paths = parse_paths(argv, reads=reads, writes=writes, about=__doc__)
    params, encoder = (
        load_params(HybridFusionParams, section="aecsad.hybrid_fusion"),
        load_params(EncoderParams, section="encoder"),
    )
    histogram, images = read_choice(paths.histogram_choice), read_images(paths.inputs)
    fine = score_finely(
        images, image_files(paths.inputs), params.fine_neighbours, encoder=encoder.name, seed=load_value("seed")
    )
    tables = {"histogram": paths.histogram, "student_teacher": paths.student_teacher, "neighbours": paths.neighbours}
    joined = join_branches(read_branches(**tables, fine=fine))
    write_table(paths.branches, joined, columns=KEYS)
    trusts = trust_branches(joined, histogram, chance=params.chance)
    weights = {name: trust.weight for name, trust in trusts.items()}
    scores, fusion = fuse(joined, histogram["weights"], weights, combination=params.combination)
    every_map = read_maps(student_teacher=paths.student_teacher_maps, neighbours=paths.neighbours, fine=fine)
    maps = counting_maps(scores, every_map, trusts)
    found = read_explanations(paths.explanations)
    findings = explain_branches(found, images, read_label_maps(paths.label_maps), scores, maps)
    write_method(paths.scores, scores, fuse_maps(scores, maps, trusts), maps, findings, found.pictures)
    write_fusion(paths.fusion, fusion)
    write_choice(paths.choice, {name: trust.as_json() for name, trust in trusts.items()})
    return f"{len(scores)} images scored by {sum(trust.weight > 0 for trust in trusts.values())} branches"


if __name__ == "__main__":
    main()
