"""Score images by how badly students imitate a teacher they saw on normal images only (Uninformed Students)."""

from collections.abc import Sequence

from stages.core.io.result import write_result
from stages.core.io.tables import image_files, read_images
from stages.core.io.weights import write_weights
from stages.core.run.params import load_params, load_value
from stages.core.run.stage import parse_paths, stage_entry
from stages.core.training.curve import write_training_curve
from stages.uninformed_students.fitting import fit_ensembles, joined_state
from stages.uninformed_students.params import UninformedStudentsParams
from stages.uninformed_students.scoring import score_images
from stages.uninformed_students.training import FinishedNetworks


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["inputs"], writes=["scores", "model", "curve"], about=__doc__)
    params = load_params(UninformedStudentsParams, section="uninformed_students")
    images, folder, finished = read_images(paths.inputs), image_files(paths.inputs), FinishedNetworks()
    ensembles = fit_ensembles(images, folder, params, seed=load_value("seed"), finished=finished)
    result = score_images(ensembles, images, folder, params)
    write_weights(paths.model, joined_state(ensembles), params.model_dump(mode="json"))
    write_training_curve(paths.curve, finished.curve())
    write_result(paths.scores, result)
    finished.delete()
    return f"{len(result.scores)} images scored by {params.students.count} students of a {params.teacher.kind} teacher"


if __name__ == "__main__":
    main()
