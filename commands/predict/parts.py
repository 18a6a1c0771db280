"""What a call of `oddpart predict` names: a category's trained parts and pictures, checked before torch is loaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.core.io.lineage import content_hash, read_lineage
from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE, Params, load_value, validate

MADE_FROM = {  # which parts each part names
    "histogram": ("segmentation",),
    "fusion": ("segmentation", "histogram", "student_teacher"),
    "calibration": ("fusion",),
}
SHOWN = 8  # digits of a sha256 in messages


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
        raise UserError(
            f"{category} is not trained yet, {', '.join(missing)} missing: run `dvc repro`, or wait for its end"
        )
    return files


def check_one_run(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the sha256 of each part, if those that were made from others were made from these.

    A retraining replaces one part after the other. Until it has ended, and after it was interrupted, the scores of such
    a mixture mean nothing.

    Args:
        files: of `part_files`.

    Raises:
        UserError: a part was made from another version of a part; all such pairs are named. Or a part cannot be read,
            or does not say what it was made from.
    """
    found = {part: content_hash(path) for part, path in files.items()}
    problems = []
    for part, needed in MADE_FROM.items():
        recorded = read_lineage(files[part])
        problems += [
            f"{files[part]} was made from {of} {recorded.get(of, 'unknown')[:SHOWN]}, but {files[of]} is "
            f"{found[of][:SHOWN]}"
            for of in needed
            if recorded.get(of) != found[of]
        ]
    if problems:
        raise UserError(
            f"the trained parts are of different runs, as while `dvc repro` runs or after it was interrupted: "
            f"{'; '.join(problems)}: run `dvc repro` to its end, or go back to the last committed run with "
            "`git checkout dvc.lock && dvc checkout`"
        )
    return found


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
