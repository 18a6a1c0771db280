"""What a call of `oddpart predict` names: a category's trained parts and pictures, checked before torch is loaded."""

from collections.abc import Sequence
from pathlib import Path

from commands.options import PATIENCE, SETTLE
from stages.core.run.errors import UserError
from stages.core.run.methods import methods_of
from stages.core.run.params import PARAMS_FILE, load_value
from stages.core.runtime.manifest import MANIFEST
from stages.export.recipes import (
    RECIPES,
    Roots,
    TrainedFiles,
    check_one_run,
    files_of,
    judging,
    recipe_of,
    refusal_of,
)

ARTIFACTS = Path("artifacts")


def judged_by(given: Sequence[Path], *, method: str | None) -> tuple[str, Path | None, list[Path]]:
    """Return what judges a call without --category, a product or else a bundle's folder, and its pictures.

    Args:
        given: a bundle or a product, then pictures.
        method: of a product.

    Raises:
        UserError: the first is neither, no picture is named, or a method is named for a bundle.
    """
    first, *pictures = given
    if not pictures:
        raise UserError(f"{first}: name a bundle or a product first, then pictures; or a product with --category")
    if (first / MANIFEST).is_file():
        if method is not None:
            raise UserError(f"--method {method}: a bundle is of one method: leave it out")
        return "", first, pictures
    known = load_value("categories") if PARAMS_FILE.is_file() else {}
    if str(first) not in (known or {}):
        raise UserError(
            f"{first}: is neither a bundle (a folder with {MANIFEST}) nor a product of {PARAMS_FILE}: name one of them "
            "before the pictures"
        )
    return str(first), None, pictures


def check_watched(given: Sequence[Path], *others: str | None, overwrite: bool) -> Path:
    """Return the bundle that judges a watched folder.

    Args:
        given: the words of the call.
        others: a product and a method, if they were named.
        overwrite: whether earlier results are to be replaced; a watch goes on with its own.

    Raises:
        UserError: something else than one bundle is named.
    """
    bundle, *pictures = given
    if further := [*map(str, pictures), *(one for one in others if one is not None)]:
        raise UserError(f"{further[0]}: with --watch name a bundle, and nothing else")
    if overwrite:
        raise UserError("--overwrite does not go with --watch, which goes on from its earlier results: leave it out")
    return bundle


def check_unwatched(*, stay: bool, settle: float, patience: float, keep_days: float | None) -> None:
    """Pass when no option of --watch is named that a call without it would leave undone.

    Raises:
        UserError: one is.
    """
    named = {
        "--stay": stay,
        "--settle": settle != SETTLE,
        "--patience": patience != PATIENCE,
        "--keep-days": keep_days is not None,
    }
    for option in (option for option, is_named in named.items() if is_named):
        remedy = ": `oddpart history --keep-days` deletes older verdicts" if option == "--keep-days" else ""
        raise UserError(f"{option} goes with --watch: leave it out, or watch a folder{remedy}")


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
    scores, evaluation = (ARTIFACTS / folder / category for folder in ("scores", "evaluation"))
    return files_of(choose_method(category, method), Roots(category, ARTIFACTS / "aecsad", scores, evaluation))


def check_trained(category: str, method: str | None) -> None:
    """Pass when the parts of a method are there, and of one run.

    Raises:
        UserError: they are not.
    """
    check_one_run(trained_files(category, method))


def choose_method(category: str, method: str | None) -> str:
    """Return the method that judges new pictures.

    Raises:
        UserError: it is off for this category, or none that is on can judge new pictures.
    """
    on = methods_of(category)
    able = judging(on)
    if method is None and able:
        return able[0]
    if method in able:
        return str(method)
    if method is not None and recipe_of(method) is None:
        raise UserError(f"--method {method} cannot judge new pictures: {refusal_of(method)}")
    if method is None and on:
        reasons = "; ".join(f"{name}: {refusal_of(name)}" for name in on)
        raise UserError(f"{category}: no method is on that can judge new pictures; {reasons}: switch oddpart on")
    off = f"--method {method}: it" if method else f"every method that judges new pictures ({', '.join(RECIPES)}, ...)"
    raise UserError(f"{off} is off for {category}: switch it on in `methods` of {PARAMS_FILE} and run `dvc repro`")
