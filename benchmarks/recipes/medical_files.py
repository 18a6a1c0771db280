"""The medical data sets that SIR is judged on: what each is, where it comes from, whether it lies in a folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, RootModel

from stages.core.run.errors import UserError
from stages.core.run.params import Params


class PublishedCounts(Params):
    """Images in the publications' parts; None where no source was found for the number."""

    train: int
    test: int | None


class MedicalDataset(Params):
    """One entry of `data/medical.json`.

    Attributes:
        sources: addresses for people, the one whose layout is read first.
        terms: what is known of the licence.
        protocol: which images are train and test, and which are normal.
        places: names below the common folder under which it is looked for; archives end in .tar.gz or .zip.
        layout: what must lie in the folder, files or folders.
        category: the entry of `categories` but for its `path`.
        assumed: what no source settles.
    """

    title: str
    sources: tuple[str, ...] = Field(min_length=1)
    terms: str
    protocol: str
    places: tuple[str, ...] = Field(min_length=1)
    layout: tuple[str, ...] = Field(min_length=1)
    images: PublishedCounts
    category: dict[str, Any]
    assumed: str | None = None


class MedicalDatasets(RootModel[dict[str, MedicalDataset]]):
    """`data/medical.json`: data sets by the name of their category."""


@dataclass(frozen=True)
class Place:
    """Where a data set was looked for.

    Attributes:
        path: the folder or archive; None where there is neither.
        lacking: parts of the layout that a folder does not have.
    """

    path: Path | None
    lacking: tuple[str, ...] = ()


def read_medical_datasets(path: Path) -> dict[str, MedicalDataset]:
    """The registry.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return MedicalDatasets.model_validate(json.loads(path.read_text(encoding="utf-8"))).root
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None


def find_dataset(folder: Path, dataset: MedicalDataset) -> Place:
    """The first of a data set's places that is there, folders looked into; archives are left to the download stage."""
    for name in dataset.places:
        path = folder / name
        if path.is_dir():
            return Place(path, tuple(part for part in dataset.layout if not (path / part).exists()))
        if path.is_file():
            return Place(path)
    return Place(None)


def entry_of(dataset: MedicalDataset, path: Path) -> dict[str, Any]:
    """The entry of `categories`."""
    return {"source": dataset.category["source"], "path": str(path.resolve()), **dataset.category}


def missing_datasets(folder: Path, datasets: Mapping[str, MedicalDataset], places: Mapping[str, Place]) -> list[str]:
    """For each data set that is not there or not whole: what it lacks, where to get it, its terms, where to put it."""
    return [
        f"{name}: {datasets[name].title}\n      {lack_of(folder, datasets[name], place)}\n"
        f"      from {', '.join(datasets[name].sources)}\n      terms: {datasets[name].terms}"
        for name, place in places.items()
        if place.path is None or place.lacking
    ]


def lack_of(folder: Path, dataset: MedicalDataset, place: Place) -> str:
    if place.path is not None:
        return f"{place.path} is there and lacks {', '.join(place.lacking)}"
    return f"put it to {folder / dataset.places[0]} with {', '.join(dataset.layout)}{or_elsewhere(dataset)}"


def or_elsewhere(dataset: MedicalDataset) -> str:
    others = dataset.places[1:]
    return f" (also looked for: {', '.join(others)})" if others else ""
