"""What a call of `oddpart predict` names: a category's trained parts and pictures, checked before torch is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.core.io.lineage import content_hash, read_lineage
from stages.core.run.console import printable
from stages.core.run.errors import UserError
from stages.core.run.methods import methods_of
from stages.core.run.params import PARAMS_FILE, load_value

SHOWN = 8  # digits of a sha256 in messages
FINE = "fine_neighbours"
OPTIONAL = (FINE,)  # parts that a profile may switch off
BRANCHES = {
    "segmentation": "artifacts/aecsad/segmentation/{category}/model.safetensors",
    "histogram": "artifacts/aecsad/histogram/{category}/model.npz",
    "student_teacher": "artifacts/aecsad/student_teacher/{category}/model.safetensors",
}


@dataclass(frozen=True)
class Recipe:
    """Where a method's trained parts lie, and which of them were made from which.

    Attributes:
        files: path of each part; `{category}` in it stands for the category's key.
        made_from: for each part that says what it was made from, those parts by the names it has for them.
    """

    files: Mapping[str, str]
    made_from: Mapping[str, Mapping[str, str]]


RECIPES = {  # the first one that is switched on is the default
    "oddpart": Recipe(
        {
            **BRANCHES,
            "neighbours": "artifacts/scores/{category}/patchcore/bank.safetensors",
            FINE: "artifacts/scores/{category}/oddpart/bank.safetensors",
            "fusion": "artifacts/scores/{category}/oddpart/fusion.json",
            "calibration": "artifacts/evaluation/{category}/oddpart/calibration.json",
        },
        {
            "histogram": {"segmentation": "segmentation"},
            "fusion": {part: part for part in (*BRANCHES, "neighbours")},
            "calibration": {"fusion": "fusion", "bank": FINE},
        },
    ),
    "aecsad": Recipe(
        {
            **BRANCHES,
            "fusion": "artifacts/scores/{category}/aecsad/fusion.json",
            "calibration": "artifacts/evaluation/{category}/aecsad/calibration.json",
        },
        {
            "histogram": {"segmentation": "segmentation"},
            "fusion": {part: part for part in BRANCHES},
            "calibration": {"fusion": "fusion"},
        },
    ),
    "patchcore": Recipe(
        {
            "neighbours": "artifacts/scores/{category}/patchcore/bank.safetensors",
            "calibration": "artifacts/evaluation/{category}/patchcore/calibration.json",
        },
        {"calibration": {"bank": "neighbours"}},
    ),
}


@dataclass(frozen=True)
class TrainedFiles:
    """The files of a category's trained parts.

    Attributes:
        method: a key of RECIPES.
        paths: by part; an optional part that the profile has switched off is not among them.
    """

    method: str
    paths: Mapping[str, Path]


def trained_files(category: str, method: str | None = None) -> TrainedFiles:
    """Find the parts of a method, of the default one without a name.

    Raises:
        UserError: params.yaml has no such category, the method is off or cannot judge new pictures, or a part has not
            been trained yet.
    """
    known = load_value("categories")
    if not isinstance(known, dict) or category not in known:
        raise UserError(
            f"{PARAMS_FILE} has no category {category!r}: known are {', '.join(map(str, known or [])) or 'none'}"
        )
    chosen = choose_method(category, method)
    paths = {part: Path(path.replace("{category}", category)) for part, path in RECIPES[chosen].files.items()}
    missing = [str(path) for part, path in paths.items() if part not in OPTIONAL and not path.is_file()]
    if missing:
        raise UserError(
            f"{category} is not trained yet for {chosen}, {', '.join(missing)} missing: run `dvc repro`, or wait for "
            "its end"
        )
    return TrainedFiles(chosen, {part: path for part, path in paths.items() if path.is_file()})


def choose_method(category: str, method: str | None) -> str:
    """Return the method that judges new pictures.

    Raises:
        UserError: it is off for this category, or none that is on can judge new pictures.
    """
    able = [name for name in RECIPES if name in methods_of(category)]
    if method is None and able:
        return able[0]
    if method in able:
        return str(method)
    if method is not None and method not in RECIPES:
        raise UserError(f"--method {method}: new pictures are judged by {', '.join(RECIPES)} only")
    off = f"--method {method}: it" if method else f"every method that judges new pictures ({', '.join(RECIPES)})"
    raise UserError(f"{off} is off for {category}: switch it on in `methods` of {PARAMS_FILE} and run `dvc repro`")


def check_one_run(files: TrainedFiles) -> dict[str, str]:
    """Return the sha256 of each part, if those that were made from others were made from these.

    A retraining replaces one part after the other. Until it has ended, and after it was interrupted, the scores of such
    a mixture mean nothing.

    Raises:
        UserError: a part was made from another version of a part; all such pairs are named. Or a part cannot be read,
            or does not say what it was made from.
    """
    found = {part: content_hash(path) for part, path in files.paths.items()}
    problems = []
    for part, needed in RECIPES[files.method].made_from.items():
        recorded = read_lineage(files.paths[part])
        problems += [
            f"{files.paths[part]} was made from {of} {recorded.get(name, 'unknown')[:SHOWN]}, but "
            + (f"{files.paths[of]} is {found[of][:SHOWN]}" if of in found else "that is missing")
            for name, of in needed.items()
            if recorded.get(name) != found.get(of)
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
        names = ", ".join(printable(str(path)) for path in given)
        raise UserError(f"{names}: nothing is there: name image files, or folders of them")


def exists(path: Path) -> bool:
    """Return whether a path exists; one that cannot be looked at does, so that reading it says why."""
    try:
        return path.exists()
    except OSError:
        return True
