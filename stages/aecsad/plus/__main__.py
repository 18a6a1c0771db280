"""AeCSAD with a nearest-neighbour branch, each branch weighed by the anomalies of our own making that it sees."""

from collections.abc import Sequence

from stages.aecsad.plus.branches import join_branches, read_branches
from stages.aecsad.plus.fusing import fuse
from stages.aecsad.plus.maps import fuse_maps
from stages.aecsad.plus.params import PlusParams
from stages.aecsad.plus.trust import trust_branches
from stages.aecsad.plus.writing import write_method
from stages.core.artifacts.anomaly_maps import read_anomaly_maps
from stages.core.artifacts.choices import read_choice, write_choice
from stages.core.artifacts.fusions import write_fusion
from stages.core.params import load_params
from stages.core.stage import parse_paths, stage_entry

READS = ("histogram", "histogram_choice", "student_teacher", "student_teacher_maps", "neighbours", "explanations")


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=READS, writes=["scores", "fusion", "choice"], about=__doc__)
    params = load_params(PlusParams, section="aecsad.plus")
    branches = read_branches(
        histogram=paths.histogram, student_teacher=paths.student_teacher, neighbours=paths.neighbours / "scores.parquet"
    )
    joined, histogram = join_branches(branches), read_choice(paths.histogram_choice)
    trusts = trust_branches(joined, histogram, chance=params.chance)
    scores, fusion = fuse(joined, histogram["weights"], {name: trust.weight for name, trust in trusts.items()})
    sources = {"student_teacher": paths.student_teacher_maps, "neighbours": paths.neighbours / "maps"}
    maps = {name: read_anomaly_maps(path) for name, path in sources.items()}
    write_method(paths.scores, scores, fuse_maps(scores, maps, trusts), paths.explanations)
    write_fusion(paths.fusion, fusion)
    write_choice(paths.choice, {name: trust.as_json() for name, trust in trusts.items()})
    return f"{len(scores)} images scored by {sum(trust.weight > 0 for trust in trusts.values())} branches"


if __name__ == "__main__":
    main()
