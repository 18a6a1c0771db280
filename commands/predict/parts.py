"""What a call of `oddpart predict` names: a category's trained parts and pictures, checked before torch is loaded."""

from collections.abc import Sequence
from pathlib import Path

from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE, Params, load_value, validate


class PredictParams(Params):
    """Section `predict`: one path for each part; `{category}` in it stands for the category's key.

    Attributes:
        segmentation: segmentation network of the histogram branch.
        histogram: its histograms of normal images.
        student_teacher: teacher's head and both students.
        fusion: how the branches' scores become one.
        calibration: threshold and colour range.
    """

    segmentation: str
    histogram: str
    student_teacher: str
    fusion: str
    calibration: str


def part_files(category: str) -> dict[str, Path]:
    """Return the path of each part, by its name in `PredictParams`.

    Raises:
        UserError: params.yaml has no such category, or a part has not been trained yet.
    """
    known = load_value("categories")
    if not isinstance(known, dict) or category not in known:
        raise UserError(
            f"{PARAMS_FILE} has no category {category!r}: known are {', '.join(map(str, known or [])) or 'none'}"
        )
    params = validate(PredictParams, load_value("predict"), where="predict")
    files = {part: Path(path.replace("{category}", category)) for part, path in params.model_dump().items()}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise UserError(f"{category} is not trained yet, {', '.join(missing)} missing: run `dvc repro`")
    return files


def check_given(given: Sequence[Path]) -> None:
    """Pass when at least one of the paths exists; a missing one among others is excluded later, like a damaged file.

    Raises:
        UserError: none exists.
    """
    if not any(exists(path) for path in given):
        raise UserError(f"{', '.join(map(str, given))}: nothing is there: name image files, or folders of them")


def exists(path: Path) -> bool:
    """Return whether a path exists; one that cannot be looked at does, so that reading it says why."""
    try:
        return path.exists()
    except OSError:
        return True
