"""AeCSAD with two nearest-neighbour branches, each branch weighed by the anomalies of our own making that it sees."""

from collections.abc import Sequence

from stages.aecsad.plus.branches import KEYS, join_branches, read_branches, read_maps
from stages.aecsad.plus.explaining import explain_branches
from stages.aecsad.plus.fine_neighbours import score_finely
from stages.aecsad.plus.fusing import fuse
from stages.aecsad.plus.maps import counting_maps, fuse_maps
from stages.aecsad.plus.params import PlusParams
from stages.aecsad.plus.trust import trust_branches
from stages.aecsad.plus.writing import write_method
from stages.core.artifacts.choices import read_choice, write_choice
from stages.core.artifacts.explanations import read_explanations
from stages.core.artifacts.fusions import write_fusion
from stages.core.artifacts.images import read_images
from stages.core.artifacts.label_maps import read_label_maps
from stages.core.artifacts.tables import write_table
from stages.core.running.params import EncoderParams, load_params, load_value
from stages.core.running.stage import parse_paths, stage_entry

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
    reads, writes = ["images", "image_files", *TABLES], ["scores", "fusion", "choice", "branches"]
    paths = parse_paths(argv, reads=reads, writes=writes, about=__doc__)
    params, encoder = load_params(PlusParams, section="aecsad.plus"), load_params(EncoderParams, section="encoder")
    histogram, images = read_choice(paths.histogram_choice), read_images(paths.images)
    fine = score_finely(
        images, paths.image_files, params.fine_neighbours, encoder=encoder.name, seed=load_value("seed")
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
