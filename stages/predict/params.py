"""Where the trained parts of a category lie."""

from pathlib import Path

from stages.core.running.errors import UserError
from stages.core.running.params import PARAMS_FILE, Params, load_value, validate


class PredictParams(Params):
    """Section `predict`: one path a part; `{category}` in it stands for the category's key."""

    segmentation: str
    histogram: str
    student_teacher: str
    fusion: str
    calibration: str


def part_files(category: str) -> dict[str, Path]:
    """The path of each part, by its name in `PredictParams`.

    Raises:
        UserError: params.yaml has no such category, or a part has not been trained yet.
    """
    known = load_value("categories")
    if not isinstance(known, dict) or category not in known:
        raise UserError(f"{PARAMS_FILE} has no category {category!r}: known are {', '.join(map(str, known))}")
    params = validate(PredictParams, load_value("predict"), where="predict")
    files = {part: Path(path.replace("{category}", category)) for part, path in params.model_dump().items()}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise UserError(f"{category} is not trained yet, {', '.join(missing)} missing: run `dvc repro`")
    return files
