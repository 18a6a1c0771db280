"""The methods that can judge new pictures, and the files of their trained parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.core.io.lineage import EXPLAINER_PART, SCORER_PART, content_hash, read_lineage
from stages.core.run.errors import UserError
from stages.core.runtime.explaining import FILE as EXPLAINER_FILE

SHOWN = 8  # digits of a sha256 in messages
FINE = "fine_neighbours"
OPTIONAL = (FINE,)  # parts that a profile may switch off
BRANCHES = {
    "segmentation": "{trained}/segmentation/{category}/model.safetensors",
    "histogram": "{trained}/histogram/{category}/model.npz",
    "student_teacher": "{trained}/student_teacher/{category}/model.safetensors",
}


@dataclass(frozen=True)
class Recipe:
    """Where a method's trained parts lie, and which of them were made from which.

    Attributes:
        files: path of each part; what is in braces stands for the fields of `Roots`.
        made_from: for each part that says what it was made from, those parts by the names it has for them.
    """

    files: Mapping[str, str]
    made_from: Mapping[str, Mapping[str, str]]


RECIPES = {  # the first one that is switched on is the default
    "oddpart": Recipe(
        {
            **BRANCHES,
            "neighbours": "{scores}/patchcore/bank.safetensors",
            FINE: "{scores}/oddpart/bank.safetensors",
            "fusion": "{scores}/oddpart/fusion.json",
            EXPLAINER_PART: f"{{scores}}/oddpart/explanations/{EXPLAINER_FILE}",
            "calibration": "{evaluation}/oddpart/calibration.json",
        },
        {
            "histogram": {"segmentation": "segmentation"},
            "fusion": {part: part for part in (*BRANCHES, "neighbours")},
            "calibration": {"fusion": "fusion", "bank": FINE, EXPLAINER_PART: EXPLAINER_PART},
        },
    ),
    "aecsad": Recipe(
        {
            **BRANCHES,
            "fusion": "{scores}/aecsad/fusion.json",
            EXPLAINER_PART: f"{{scores}}/aecsad/explanations/{EXPLAINER_FILE}",
            "calibration": "{evaluation}/aecsad/calibration.json",
        },
        {
            "histogram": {"segmentation": "segmentation"},
            "fusion": {part: part for part in BRANCHES},
            "calibration": {"fusion": "fusion", EXPLAINER_PART: EXPLAINER_PART},
        },
    ),
    "patchcore": Recipe(
        {
            "neighbours": "{scores}/patchcore/bank.safetensors",
            "calibration": "{evaluation}/patchcore/calibration.json",
        },
        {"calibration": {"bank": "neighbours"}},
    ),
}


SCORED = Recipe(  # of methods that write their networks as one graph
    {SCORER_PART: "{scores}/{method}/scorer.json", "calibration": "{evaluation}/{method}/calibration.json"},
    {"calibration": {SCORER_PART: SCORER_PART}},
)
WITH_SCORER = ("uninformed_students", "sir_")  # beginnings of their names
NEEDS_CLIP = (
    "it compares pictures by CLIP's networks, which were never run here with their published weights, so that nothing "
    "measured could be held against a bundle"
)
REFUSED = {"inctrl": NEEDS_CLIP, "madclip": NEEDS_CLIP}


def recipe_of(method: str) -> Recipe | None:
    """Return where a method's trained parts lie; None for a method that cannot judge new pictures."""
    return RECIPES.get(method) or (SCORED if method.startswith(WITH_SCORER) else None)


def judging(methods: Sequence[str]) -> list[str]:
    """Return those methods that can judge new pictures, the default one first."""
    able = [method for method in methods if recipe_of(method) is not None]
    order = list(RECIPES)
    return sorted(able, key=lambda method: order.index(method) if method in order else len(order))


def refusal_of(method: str) -> str:
    """Say why a method cannot judge new pictures."""
    return REFUSED.get(method, "it keeps nothing by which it could judge new pictures")


@dataclass(frozen=True)
class Roots:
    """The folders that the parts of a product lie in.

    Attributes:
        trained: of the stages of aecsad; a folder for each stage, and in that one for each product.
        scores: of the product's results, a folder for each method.
        evaluation: the same of its evaluations.
    """

    category: str
    trained: Path
    scores: Path
    evaluation: Path


@dataclass(frozen=True)
class TrainedFiles:
    """The files of a category's trained parts.

    Attributes:
        method: one of `judging`.
        paths: by part; an optional part that the profile has switched off is not among them.
    """

    method: str
    paths: Mapping[str, Path]


def known_recipe(method: str) -> Recipe:
    """Return where a method's trained parts lie.

    Raises:
        UserError: it cannot judge new pictures.
    """
    found = recipe_of(method)
    if found is None:
        raise UserError(f"{method} cannot judge new pictures: {refusal_of(method)}")
    return found


def files_of(method: str, roots: Roots) -> TrainedFiles:
    """Find the parts of a method.

    Args:
        method: one of `judging`.
        roots: where to look.

    Raises:
        UserError: a part has not been trained yet.
    """
    fields = {**vars(roots), "method": method}
    paths = {part: Path(template.format(**fields)) for part, template in known_recipe(method).files.items()}
    missing = [str(path) for part, path in paths.items() if part not in OPTIONAL and not path.is_file()]
    if missing:
        raise UserError(
            f"{roots.category} is not trained yet for {method}, {', '.join(missing)} missing: run `dvc repro`, or wait "
            "for its end"
        )
    return TrainedFiles(method, {part: path for part, path in paths.items() if path.is_file()})


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
    for part, needed in known_recipe(files.method).made_from.items():
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
