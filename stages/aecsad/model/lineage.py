"""What a fusion of the branches is made from: the three trained parts, by content."""

from pathlib import Path

from stages.core.io.lineage import content_hash, read_lineage
from stages.core.run.errors import UserError

SEGMENTATION, HISTOGRAM, STUDENT_TEACHER = (
    "segmentation",
    "histogram",
    "student_teacher",
)  # as section `predict` has them
HISTOGRAM_FILE, STUDENT_TEACHER_FILE = "model.npz", "model.safetensors"  # in the folders of these stages


def read_branch_lineage(label_maps: Path, histogram: Path, student_teacher: Path) -> dict[str, str]:
    """Return the sha256 of the segmentation, the histograms and the students whose scores are about to be fused.

    Args:
        label_maps: file of the segmentation stage.
        histogram, student_teacher: folders of these stages.

    Raises:
        UserError: the histograms are of other label maps, or a file is missing or does not say what it is made from.
    """
    segmentation = read_lineage(label_maps)[SEGMENTATION]
    models = histogram / HISTOGRAM_FILE
    if read_lineage(models)[SEGMENTATION] != segmentation:
        raise UserError(f"{models} was not made from {label_maps}: run `dvc repro`")
    return {
        SEGMENTATION: segmentation,
        HISTOGRAM: content_hash(models),
        STUDENT_TEACHER: content_hash(student_teacher / STUDENT_TEACHER_FILE),
    }
