"""Anomaly maps: a folder of one memory-mappable array and the image_ids of its rows; branch by branch, if wanted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float16

from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError


@dataclass(frozen=True)
class AnomalyMaps:
    """Maps of N images, h x w cells each, higher is more anomalous; they cover the whole image.

    Attributes:
        values: memory-mapped, so that reading one row costs one row.
        branches: the same of each part that `values` was made from, where the method reports them; in rows and meaning
            like `values`, in scale and cells each of its own.
    """

    image_ids: tuple[str, ...]
    values: Float16[np.ndarray, "N h w"]
    branches: Mapping[str, Float16[np.ndarray, "N H W"]] = field(default_factory=dict)


def write_anomaly_maps(path: Path, maps: AnomalyMaps) -> None:
    """Write `path`/maps.npy, `path`/image_ids.json and, for each of `branches`, `path`/branches/<name>.npy.

    Raises:
        ValueError: counts differ, or a value is not finite as float16.
    """
    image_ids = maps.image_ids
    halves = {name: as_half(path, image_ids, one) for name, one in maps.branches.items()}
    half = as_half(path, image_ids, maps.values)
    with replacing_folder(path) as folder:
        np.save(folder / "maps.npy", half, allow_pickle=False)
        (folder / "image_ids.json").write_text(json.dumps(list(image_ids), indent=0) + "\n", encoding="utf-8")
        if halves:
            with replacing_folder(folder / "branches") as parts:
                for name, one in halves.items():
                    np.save(parts / f"{name}.npy", one, allow_pickle=False)


def as_half(path: Path, image_ids: Sequence[str], values: Float16[np.ndarray, "N h w"]) -> Float16[np.ndarray, "N h w"]:
    """Return the maps as float16.

    Raises:
        ValueError: counts differ, or a value is not finite as float16.
    """
    if len(image_ids) != len(values):
        raise ValueError(f"{path}: {len(image_ids)} image_ids for {len(values)} maps")
    with np.errstate(over="ignore"):  # judged in the next line
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError(f"{path}: an anomaly map has values that are not finite as float16")
    return half


def read_anomaly_maps(path: Path) -> AnomalyMaps:
    """Open the maps without loading them.

    Raises:
        UserError: a file is missing or damaged.
    """
    try:
        values = np.load(path / "maps.npy", mmap_mode="r", allow_pickle=False)
        image_ids = tuple(json.loads((path / "image_ids.json").read_text(encoding="utf-8")))
        files = sorted((path / "branches").glob("*.npy"))
        branches = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in files}
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: no readable anomaly maps ({error}): delete it and run `dvc repro`") from None
    return AnomalyMaps(image_ids, values, branches)
