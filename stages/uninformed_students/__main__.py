"""Score images by how badly students imitate a teacher they saw on normal images only (Uninformed Students)."""

from collections.abc import Sequence

from stages.core.io.tables import image_files, read_images
from stages.core.io.weights import write_weights
from stages.core.run.params import load_params, load_value
from stages.core.run.stage import parse_paths, stage_entry
from stages.core.training.curve import write_training_curve
from stages.uninformed_students.fitting import fit_ensembles, state_of
from stages.uninformed_students.params import UninformedStudentsParams
from stages.uninformed_students.scoring import score_images, write_result
from stages.uninformed_students.training import FinishedParts


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["inputs"], writes=["scores", "model", "curve"], about=__doc__)
    params = load_params(UninformedStudentsParams, section="uninformed_students")
    images, parts = read_images(paths.inputs), FinishedParts()
    ensembles = fit_ensembles(images, image_files(paths.inputs), params, seed=load_value("seed"), parts=parts)
    result = score_images(
        ensembles, images, image_files(paths.inputs), params.inference,
        stride=params.stride, tile=params.tile, normalization=params.normalization,
        pooled_cells=params.pooled_cells,
    )  # fmt: skip
    write_weights(paths.model, state_of(ensembles), params.model_dump(mode="json"))
    write_training_curve(paths.curve, parts.curve())
    write_result(paths.scores, result)
    parts.forget()
    return f"{len(result.scores)} images scored by {params.students.count} students of {params.patch_sizes} px"


if __name__ == "__main__":
    main()
