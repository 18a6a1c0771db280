"""Score images by how badly students imitate a teacher they saw on normal images only (Uninformed Students)."""

from collections.abc import Sequence

from stages.core.images.grey_range import read_grey_range
from stages.core.io.result import write_result
from stages.core.io.tables import image_files, read_images
from stages.core.io.weights import write_weights
from stages.core.run.atomic import replacing_folder
from stages.core.run.params import load_params, load_seed
from stages.core.run.stage import parse_paths, stage_entry
from stages.core.training.curve import write_training_curve
from stages.uninformed_students.augmentation import size_of
from stages.uninformed_students.fitting import fit_ensembles, joined_state
from stages.uninformed_students.graph import write_graph_of
from stages.uninformed_students.params import UninformedStudentsParams
from stages.uninformed_students.scoring import Reader, normal_ranges, score_images
from stages.uninformed_students.training import FinishedNetworks


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["inputs"], writes=["scores", "model", "curve"], about=__doc__)
    params = load_params(UninformedStudentsParams, section="uninformed_students")
    images, folder, finished = read_images(paths.inputs), image_files(paths.inputs), FinishedNetworks()
    ensembles = fit_ensembles(images, folder, params, seed=load_seed(), finished=finished)
    read = Reader(ensembles, folder, size_of(params.inference))
    ranges = normal_ranges(read, images, params.normalization, variance_weight=params.variance_weight)
    result = score_images(read, ranges, images, params)
    write_weights(paths.model, joined_state(ensembles), params.model_dump(mode="json"))
    write_training_curve(paths.curve, finished.curve())
    with replacing_folder(paths.scores) as temporary:
        write_result(temporary, result)
        write_graph_of(temporary, read, ranges, params, grey_range=read_grey_range(paths.inputs))
    finished.delete()
    return f"{len(result.scores)} images scored by {params.students.count} students of a {params.teacher.kind} teacher"


if __name__ == "__main__":
    main()
