"""Train a local and a global student to imitate a frozen teacher on normal images, and map where they fail."""

from collections.abc import Sequence

from stages.aecsad.model.label_maps import read_pasted_images
from stages.aecsad.student_teacher.fitting import fit_student_teacher
from stages.aecsad.student_teacher.params import StudentTeacherParams
from stages.aecsad.student_teacher.scoring import score_images, write_students
from stages.aecsad.student_teacher.turns import add_turns
from stages.core.images.grey_range import read_grey_range
from stages.core.io.tables import MOST_TRAINED, image_files, read_images
from stages.core.run.params import EncoderParams, load_params, load_seed
from stages.core.run.stage import parse_paths, stage_entry
from stages.core.training.curve import write_training_curve


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Run the stage and return its closing counts."""
    paths = parse_paths(argv, reads=["inputs", "pasted"], writes=["output", "curve"], about=__doc__)
    params = load_params(StudentTeacherParams, section="aecsad.student_teacher")
    encoder = load_params(EncoderParams, section="encoder")
    images = read_images(paths.inputs, most_training=MOST_TRAINED)
    files, pasted = image_files(paths.inputs), read_pasted_images(paths.pasted)
    fitted = fit_student_teacher(images, files, params, encoder, seed=load_seed(), pasted=pasted)
    scored = score_images(fitted, images, files, params.maps)
    scored = add_turns(scored, images, files, params, encoder, seed=load_seed(), pasted=pasted)
    write_students(paths.output, fitted, scored, grey_range=read_grey_range(paths.inputs))
    write_training_curve(paths.curve, fitted.curve)
    return f"{len(scored.table)} images scored"


if __name__ == "__main__":
    main()
