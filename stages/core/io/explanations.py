"""Explanations: what a method finds unusual in images, what explains new ones, and a picture of each class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError
from stages.core.runtime.explaining import FILE as EXPLAINER
from stages.core.runtime.explaining import Explainer, explainer_content, read_explainer
from stages.core.runtime.explanation import Explanation

FILE, PICTURES = "explanations.json", "components"


@dataclass(frozen=True)
class Explanations:
    """Findings by image_id, of each branch the most unusual first, and JPEG files by class of component.

    Attributes:
        explainer: finds the same in new images; None where the method cannot explain them.
    """

    images: Mapping[str, Sequence[Explanation]]
    pictures: Mapping[int, bytes]
    explainer: Explainer | None = None


def write_explanations(path: Path, explanations: Explanations) -> None:
    """Write `path`/explanations.json, `path`/components/<class>.jpg and, where there is one, `path`/explainer.npz."""
    text = TypeAdapter(Mapping[str, Sequence[Explanation]]).dump_json(explanations.images, indent=1).decode("utf-8")
    with replacing_folder(path) as folder:
        (folder / FILE).write_text(text + "\n", encoding="utf-8")
        if explanations.explainer is not None:
            (folder / EXPLAINER).write_bytes(explainer_content(explanations.explainer))
        with replacing_folder(folder / PICTURES) as inner:
            for component, content in explanations.pictures.items():
                (inner / f"{component}.jpg").write_bytes(content)


def read_explanations(path: Path) -> Explanations:
    """Read what `write_explanations` wrote.

    Raises:
        UserError: the folder is damaged.
    """
    try:
        text = (path / FILE).read_bytes()
        images = TypeAdapter(dict[str, list[Explanation]]).validate_json(text)
        pictures = {int(file.stem): file.read_bytes() for file in sorted((path / PICTURES).glob("*.jpg"))}
    except (OSError, ValueError, ValidationError) as error:
        raise UserError(f"{path}: no readable explanations ({error}): delete it and run `dvc repro`") from None
    explainer = load_explainer(path / EXPLAINER) if (path / EXPLAINER).exists() else None
    return Explanations(images, dict(sorted(pictures.items())), explainer)


def load_explainer(path: Path) -> Explainer:
    """Read the file of an explainer.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return read_explainer(path.read_bytes())
    except Exception as error:  # NumPy raises whatever zip, zlib and its own parser raise
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: no readable explainer ({problem}): delete it and run `dvc repro`") from None
