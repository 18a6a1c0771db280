"""Anomaly maps: a folder of one memory-mappable array and the image_ids of its rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float16

from stages.core.artifacts.atomic import replacing_folder
from stages.core.errors import UserError


@dataclass(frozen=True)
class AnomalyMaps:
    """Maps of N images, h x w cells each, higher is more anomalous; they cover the whole image.

    Attributes:
        values: memory-mapped, so that reading one row costs one row.
    """

    image_ids: tuple[str, ...]
    values: Float16[np.ndarray, "N h w"]


def write_anomaly_maps(path: Path, image_ids: Sequence[str], values: Float16[np.ndarray, "N h w"]) -> None:
    """Write `path`/maps.npy and `path`/image_ids.json.

    Raises:
        ValueError: counts differ, or a value is not finite as float16.
    """
    if len(image_ids) != len(values):
        raise ValueError(f"{path}: {len(image_ids)} image_ids for {len(values)} maps")
    with np.errstate(over="ignore"):  # judged in the next line
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError(f"{path}: an anomaly map has values that are not finite as float16")
    with replacing_folder(path) as folder:
        np.save(folder / "maps.npy", half, allow_pickle=False)
        (folder / "image_ids.json").write_text(json.dumps(list(image_ids), indent=0) + "\n", encoding="utf-8")


def read_anomaly_maps(path: Path) -> AnomalyMaps:
    """Open the maps without loading them.

    Raises:
        UserError: a file is missing or damaged.
    """
    try:
        values = np.load(path / "maps.npy", mmap_mode="r", allow_pickle=False)
        image_ids = tuple(json.loads((path / "image_ids.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: no readable anomaly maps ({error}): delete it and run `dvc repro`") from None
    return AnomalyMaps(image_ids, values)
