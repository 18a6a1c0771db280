"""Calibrate the maps on normal images and score everything."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16, UInt8
from torch import Tensor

from stages.aecsad.model.lineage import STUDENT_TEACHER_FILE
from stages.aecsad.model.student_teacher import Maps, StudentTeacher
from stages.aecsad.student_teacher.fitting import Fitted
from stages.aecsad.student_teacher.params import MapParams
from stages.core.encoder.encoder import read_ahead, to_float
from stages.core.io.maps import AnomalyMaps, write_anomaly_maps
from stages.core.io.result import MAPS, SCORES
from stages.core.io.tables import write_table
from stages.core.io.weights import write_weights
from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.run.parallel import on_all_cores
from stages.core.runtime.maps import to_half
from stages.core.runtime.reading import Window

LOG = logging.getLogger(__name__)
SMALLEST_GAP = 1e-6  # between the quantiles of a map; below it, the map is constant
CALIBRATING = 100  # training images, at most: as many cells as give steady quantiles
CONSTANT_GAP = 0.1  # that is taken for a constant map: it is shifted and not scaled


@dataclass(frozen=True)
class ScoredImages:
    """Images in one order.

    Attributes:
        table: image_id, split, student_teacher, one column a map; with training images that were held out in turns.
        maps: of the others, the sum of the normalised maps, and each of them by name.
    """

    table: pd.DataFrame
    maps: AnomalyMaps


def score_images(fitted: Fitted, images: pd.DataFrame, folder: Path, params: MapParams) -> ScoredImages:
    """Calibrate the maps on normal images and score every image outside "train".

    Raises:
        UserError: there is no image to calibrate on.
    """
    calibrating = images[images["split"] == params.calibrated_on]
    if calibrating.empty:
        raise UserError(
            f"there is no normal {params.calibrated_on} image to calibrate the maps on: check the split's ratios"
        )
    scored = images[images["split"] != "train"].reset_index(drop=True)
    raw = maps_of_files(fitted, folder, scored["file"])
    if params.calibrated_on == "train":
        spread = np.unique(np.linspace(0, len(calibrating) - 1, CALIBRATING).round().astype(int))
        normal = maps_of_files(fitted, folder, calibrating["file"].iloc[spread])
    else:
        normal = [raw[row] for row in np.flatnonzero(scored["split"] == "validation")]
    calibrate(fitted.module, normal, quantiles=params.quantiles)
    return tabulate(fitted.module, scored, raw)


def maps_of_files(fitted: Fitted, folder: Path, files: Iterable[str]) -> list[Maps]:
    """Make the raw maps of each image, by itself so that a score never depends on its neighbours in a batch."""
    names, encoder = list(files), fitted.encoder

    def maps_of(stack: UInt8[Tensor, "1 3 S S"]) -> Maps:
        image = to_float(stack).to(encoder.mean.device)
        return fitted.module.raw_maps(encoder.normalise(image), encoder.recall(image))

    made = on_all_cores(maps_of, read_ahead(folder, names, size=fitted.image_size))
    return list(progress(made, total=len(names), label="anomaly maps"))


def calibrate(module: StudentTeacher, normal: Sequence[Maps], *, quantiles: tuple[float, float]) -> None:
    """Set `module.map_range` to the quantiles of all cells of normal images' maps, in place.

    A constant map gets a range that only shifts it, as in CSAD's code; this is logged.
    """
    for row, name in enumerate(module.maps):
        cells = np.concatenate([maps[name].flatten().cpu().numpy() for maps in normal]).astype(np.float64)
        low, high = np.quantile(cells, quantiles)
        if high - low <= SMALLEST_GAP:
            LOG.warning("map %s is constant on normal images (%.3g): it is shifted, not scaled", name, low)
            high = low + CONSTANT_GAP
        module.map_range[row] = torch.tensor([low, high])


def tabulate(module: StudentTeacher, images: pd.DataFrame, raw: Sequence[Maps]) -> ScoredImages:
    """Return scores and maps of `images`, in their order."""
    combined = [module.combine(maps) for maps in raw]
    table = images[["image_id", "split"]].assign(student_teacher=pooled(module, combined))
    for name in module.maps:
        table[f"student_teacher_{name}"] = pooled(module, [maps[name] for maps in raw])
    parts = [module.normalised(maps) for maps in raw]
    branches = {name: as_array([one[name] for one in parts]) for name in module.maps}
    return ScoredImages(table, AnomalyMaps(tuple(table["image_id"]), as_array(combined), branches))


def as_array(maps: Sequence[Float[Tensor, "1 M M"]]) -> Float16[np.ndarray, "N M M"]:
    """Join the maps in one array."""
    return to_half(torch.cat(list(maps)).cpu().numpy())


def pooled(module: StudentTeacher, maps: Sequence[Float[Tensor, "1 M M"]]) -> list[float]:
    """Return the image score of each map."""
    return [float(module.pool(anomaly_map)) for anomaly_map in maps]


def write_students(folder: Path, fitted: Fitted, scored: ScoredImages, *, grey_range: Window | None) -> None:
    """Write `folder`/scores.parquet, `folder`/maps and `folder`/model.safetensors, all or nothing.

    The weights carry the range that deep images were spread over, so that new pictures are read alike.
    """
    read_with = {"grey_range": None if grey_range is None else asdict(grey_range)}
    with replacing_folder(folder) as temporary:
        write_table(temporary / SCORES, scored.table, columns=["image_id", "split", "student_teacher"])
        write_anomaly_maps(temporary / MAPS, scored.maps)
        write_weights(temporary / STUDENT_TEACHER_FILE, fitted.module.state_dict(), fitted.arguments | read_with)
