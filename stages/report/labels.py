"""The component labels that AeCSAD trains on: their pictures, numbers and warnings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.report.json_files import read_json
from stages.report.pictures import PictureStore


@dataclass(frozen=True)
class LabelReview:
    """What the label_review room found; a picture is its key, None when the page has no room for it."""

    numbers: Mapping[str, Any]
    overlays: str | None
    classes: str | None


def read_label_review(category: str, *, sheets: Path, metrics: Path, store: PictureStore) -> LabelReview | None:
    """A category's review, or None where its labels were not made yet.

    Raises:
        UserError: the numbers are damaged.
    """
    numbers, folder = metrics / "labels" / f"{category}.json", sheets / category
    if not numbers.is_file() or not folder.is_dir():
        return None
    pictures = (store.take(folder / name, shrink=False) for name in ("overlays.jpg", "classes.jpg"))
    return LabelReview(read_json(numbers), *pictures)
