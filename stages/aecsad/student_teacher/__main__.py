"""Train a local and a global student to imitate a frozen teacher on normal images, and map where they fail."""

from collections.abc import Sequence

from stages.aecsad.student_teacher.fitting import fit_student_teacher
from stages.aecsad.student_teacher.params import StudentTeacherParams
from stages.aecsad.student_teacher.scoring import score_images
from stages.core.artifacts.anomaly_maps import write_anomaly_maps
from stages.core.artifacts.images import read_images
from stages.core.artifacts.pasted_images import read_pasted_images
from stages.core.artifacts.tables import write_table
from stages.core.artifacts.training_curves import write_training_curve
from stages.core.artifacts.weights import write_weights
from stages.core.running.params import EncoderParams, load_params, load_value
from stages.core.running.stage import parse_paths, stage_entry


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Paths, params, read, fit, score, write."""
    reads, writes = ["images", "image_files", "pasted"], ["scores", "maps", "model", "curve"]
    paths = parse_paths(argv, reads=reads, writes=writes, about=__doc__)
    params = load_params(StudentTeacherParams, section="aecsad.student_teacher")
    encoder = load_params(EncoderParams, section="encoder")
    images, pasted = read_images(paths.images), read_pasted_images(paths.pasted)
    fitted = fit_student_teacher(images, paths.image_files, params, encoder, seed=load_value("seed"), pasted=pasted)
    scored = score_images(fitted, images, paths.image_files, quantiles=params.maps.quantiles)
    write_weights(paths.model, fitted.module.state_dict(), fitted.arguments)
    write_training_curve(paths.curve, fitted.curve)
    write_anomaly_maps(paths.maps, list(scored.table["image_id"]), scored.maps, scored.branches)
    write_table(paths.scores, scored.table, columns=["image_id", "split", "student_teacher"])
    return f"{len(scored.table)} images scored"


if __name__ == "__main__":
    main()
