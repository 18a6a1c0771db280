"""Explanations: what a method finds unusual in an image, and where; with a picture of each class of component."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError

FILE, PICTURES = "explanations.json", "components"
Box = tuple[float, float, float, float]
Measure = Literal["missing", "extra", "area", "place", "cell_area", "number", "hot_spot"]


@dataclass(frozen=True)
class Explanation:
    """One finding; `stages.core.io.wording.describe` says it in words.

    Attributes:
        branch: column of the score table that it explains.
        component: class of component it is about; None when there is none.
        measure: what is unusual: the number of components ("missing", "extra", or "number" where they lie anywhere), a
            component's area or place, the class's area in a cell of a grid, or the hottest spot of an anomaly map.
        box: where, (top, left, bottom, right) as shares of the image's height and width.
        observed, normal: the measured value and what it is in normal images, in the measure's unit: number of
            components (of "number" how many too many, negative for too few, and 0), area as a share of the image, image
            sides, or the map's own.
        deviation: distance from normal in standard deviations of normal images; larger is more unusual.
        classes: of a hot spot, the class that normal images show there and the one that this image shows; 0 is none.
    """

    branch: str
    component: int | None
    measure: Measure
    box: Box
    observed: float
    normal: float
    deviation: float
    classes: tuple[int, int] | None = None


@dataclass(frozen=True)
class Explanations:
    """Findings by image_id, of each branch the most unusual first, and JPEG files by class of component."""

    images: Mapping[str, Sequence[Explanation]]
    pictures: Mapping[int, bytes]


def write_explanations(path: Path, explanations: Explanations) -> None:
    """Write `path`/explanations.json and `path`/components/<class>.jpg."""
    text = TypeAdapter(Mapping[str, Sequence[Explanation]]).dump_json(explanations.images, indent=1).decode("utf-8")
    with replacing_folder(path) as folder:
        (folder / FILE).write_text(text + "\n", encoding="utf-8")
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
    return Explanations(images, dict(sorted(pictures.items())))
