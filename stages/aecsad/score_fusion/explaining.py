"""Explain every image that is judged, and picture each component class by its largest regions in training images."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image

from stages.aecsad.model.fusion import STUDENT_TEACHER
from stages.aecsad.model.hot_spots import fit_spots, usual_classes
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.score_fusion.components import fit_components
from stages.aecsad.score_fusion.params import ExplanationParams
from stages.core.io.explanations import Explanations
from stages.core.io.maps import AnomalyMaps
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.components import find_components
from stages.core.runtime.explaining import Explainer
from stages.core.runtime.explanation import Explanation
from stages.core.runtime.reading import read_image
from stages.core.runtime.regions import MaskRegion

SIDE, COLUMNS, GAP = 72, 6, 4  # pixels of a crop and between crops
MARGIN = 0.02  # around a component, in image sides
BACKGROUND = (128, 128, 128)
QUALITY = 85  # JPEG


def explain_images(
    images: pd.DataFrame,
    files: Path,
    label_maps: LabelMaps,
    maps: AnomalyMaps,
    params: ExplanationParams,
    *,
    seed: int,
) -> Explanations:
    """Find what is most unusual in each image that is not for training; what is normal comes from training images.

    How hot a map's hottest spot normally is comes from normal validation images. No label is read.

    Args:
        images: the image table.
        files: holds the image files.
        maps: of the student-teacher branch.
        seed: of the places where components are normally found.

    Raises:
        UserError: an image has no label map or no anomaly map, or cannot be read.
    """
    rows = rows_of(images, label_maps, maps)
    training = rows[rows["split"] == "train"]
    train = label_maps.values[training["label_row"].to_numpy()]
    explainer = fit_explainer(rows, train, label_maps, maps, params, seed=seed)
    findings = explain_rows(rows, explainer, label_maps, maps)
    pictures = class_pictures(
        training, files, train, num_classes=label_maps.num_classes, min_area=params.min_area, examples=params.examples
    )
    return Explanations(findings, pictures, explainer)


def fit_explainer(
    rows: pd.DataFrame,
    train: UInt8[np.ndarray, "T H W"],
    label_maps: LabelMaps,
    maps: AnomalyMaps,
    params: ExplanationParams,
    *,
    seed: int,
) -> Explainer:
    """Fit what is normal.

    Args:
        rows: of `rows_of`.
        train: label maps of the training images.
    """
    normal = None
    if label_maps.usable:
        normal = fit_components(
            train, num_classes=label_maps.num_classes, grid=params.grid, min_area=params.min_area,
            stable_share=params.stable_share, area_floor=params.area_floor, seed=seed,
        )  # fmt: skip
    validation = maps.values[rows["map_row"][rows["split"] == "validation"].to_numpy()]
    usual = usual_classes(train, num_classes=label_maps.num_classes)
    return Explainer(normal, params.kept, (fit_spots(STUDENT_TEACHER, validation),), usual)


def explain_rows(
    rows: pd.DataFrame, explainer: Explainer, label_maps: LabelMaps, maps: AnomalyMaps
) -> dict[str, list[Explanation]]:
    """Return the findings of the images that are judged by image_id.

    Args:
        rows: of `rows_of`.
    """
    explained = {}
    judged = rows[rows["split"] != "train"]
    columns = zip(judged["image_id"], judged["label_row"], judged["map_row"], strict=True)
    for image_id, label_row, map_row in progress(columns, total=len(judged), label="explanations"):
        found = explainer(label_maps.values[label_row], {STUDENT_TEACHER: maps.values[map_row]})
        explained[str(image_id)] = found
    return explained


def rows_of(images: pd.DataFrame, label_maps: LabelMaps, maps: AnomalyMaps) -> pd.DataFrame:
    """Return the image table with columns label_row and map_row; training images need no anomaly map.

    Raises:
        UserError: a row is missing.
    """
    table = images.assign(
        label_row=positions(images["image_id"], label_maps.image_ids),
        map_row=positions(images["image_id"], maps.image_ids),
    )
    missing = table[(table["label_row"] < 0) | ((table["map_row"] < 0) & (table["split"] != "train"))]
    if len(missing):
        first = missing["image_id"].iloc[0]
        raise UserError(f"{len(missing)} images have no label map or no anomaly map, {first} first: run `dvc repro`")
    return table


def positions(wanted: pd.Series, image_ids: tuple[str, ...]) -> list[int]:
    """Return the place of each id, -1 where it is not there."""
    rows: Mapping[str, int] = {image_id: number for number, image_id in enumerate(image_ids)}
    return [rows.get(image_id, -1) for image_id in wanted]


def class_pictures(
    images: pd.DataFrame,
    image_files: Path,
    label_maps: UInt8[np.ndarray, "N H W"],
    *,
    num_classes: int,
    min_area: float,
    examples: int,
) -> dict[int, bytes]:
    """Return JPEG files by class: its largest component in each of the first training images that has one.

    Args:
        images: rows of the training images, in the order of the label maps.

    Raises:
        UserError: an image cannot be read.
    """
    pictures = {}
    for component in range(1, num_classes):
        crops: list[Image.Image] = []
        for file, label_map in zip(images["file"], label_maps, strict=True):
            found = find_components(label_map, component, min_area=min_area)
            if found and len(crops) < examples:
                largest = max(found, key=lambda region: region.area)
                crops.append(crop(read_image(image_files / file), largest))
        if crops:
            pictures[component] = sheet(crops)
    return pictures


def crop(image: UInt8[np.ndarray, "H W 3"], component: MaskRegion) -> Image.Image:
    """Cut out the component with a margin, at most SIDE x SIDE."""
    height, width = image.shape[:2]
    top, left, bottom, right = component.box
    rows = slice(max(round((top - MARGIN) * height), 0), round((bottom + MARGIN) * height))
    columns = slice(max(round((left - MARGIN) * width), 0), round((right + MARGIN) * width))
    picture = Image.fromarray(image[rows, columns])
    scale = SIDE / max(picture.size)
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def sheet(crops: Sequence[Image.Image]) -> bytes:
    """Draw the crops row by row as one JPEG."""
    step = SIDE + GAP
    columns, rows = min(COLUMNS, len(crops)), -(-len(crops) // COLUMNS)
    canvas = Image.new("RGB", (columns * step + GAP, rows * step + GAP), BACKGROUND)
    for position, picture in enumerate(crops):
        row, column = divmod(position, COLUMNS)
        free = (SIDE - picture.width) // 2, (SIDE - picture.height) // 2
        canvas.paste(picture, (GAP + column * step + free[0], GAP + row * step + free[1]))
    buffer = io.BytesIO()
    canvas.save(buffer, format="JPEG", quality=QUALITY)
    return buffer.getvalue()
