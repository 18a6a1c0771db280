"""A method's anomaly maps by image, and the values that the colours of its heatmaps stand for."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.core.artifacts.anomaly_maps import read_anomaly_maps
from stages.core.running.errors import UserError
from stages.evaluation.joined import refuse

LOG = logging.getLogger(__name__)


def open_maps(
    path: Path, joined: pd.DataFrame, *, unjudged: Collection[str] = ()
) -> dict[str, Float16[np.ndarray, "h w"]]:
    """Maps by image_id, not yet loaded; empty when the folder is not there, as the method then makes none.

    Args:
        unjudged: images whose maps are left out.

    Raises:
        UserError: the folder is damaged, has an image twice, lacks a test image, has an unknown one, or a map is not
            finite.
    """
    if not path.exists():
        return {}
    maps = read_anomaly_maps(path)
    if maps.values.ndim != 3 or len(maps.values) != len(maps.image_ids) or 0 in maps.values.shape[1:]:
        raise UserError(
            f"{path}: {len(maps.image_ids)} image_ids for an array of shape {maps.values.shape}: delete it and run "
            "`dvc repro`"
        )
    by_id = {key: one for key, one in zip(maps.image_ids, maps.values, strict=True) if key not in unjudged}
    ids = pd.Series([key for key in maps.image_ids if key not in unjudged], dtype=object)
    refuse(ids[ids.duplicated()], f"{path}: maps that are there twice")
    refuse(set(ids) - set(joined["image_id"]), f"{path}: maps of images that are not to be evaluated")
    refuse(set(joined["image_id"][joined["split"] == "test"]) - set(ids), f"{path}: test images without a map")
    refuse((name for name, one in by_id.items() if not np.isfinite(one).all()), f"{path}: maps that are not finite")
    return by_id


def open_branch_maps(path: Path, *, unjudged: Collection[str] = ()) -> dict[str, dict[str, Float16[np.ndarray, "h w"]]]:
    """Maps by branch and image_id of a folder that `open_maps` passed; empty where the method tells no branches.

    Raises:
        UserError: a branch has not one map for each image, or one that is not finite.
    """
    if not path.exists():
        return {}
    maps = read_anomaly_maps(path)
    for name, values in maps.branches.items():
        if values.ndim != 3 or len(values) != len(maps.image_ids) or 0 in values.shape[1:]:
            raise UserError(
                f"{path}/branches/{name}.npy: an array of shape {values.shape} for {len(maps.image_ids)} image_ids: "
                "delete the folder and run `dvc repro`"
            )
        odd = (key for key, one in zip(maps.image_ids, values, strict=True) if not np.isfinite(one).all())
        refuse(odd, f"{path}/branches/{name}.npy: maps that are not finite")
    return {
        name: {key: one for key, one in zip(maps.image_ids, values, strict=True) if key not in unjudged}
        for name, values in maps.branches.items()
    }


def colour_range(
    joined: pd.DataFrame, maps: Mapping[str, Float16[np.ndarray, "h w"]], *, budget: float
) -> tuple[float, float]:
    """Map values shown as pure blue and pure red, from normal validation images only.

    Blue is the median of their values. Red is the hottest spot that a share of 1 - budget of them stays below, so
    that a normal image shows a red spot about as often as it gives a false alarm.

    Returns:
        (low, high) with low < high; (0, 1) without maps.
    """
    if not maps:
        return 0.0, 1.0
    chosen = joined[joined["split"] == "validation"]["image_id"]
    values = [np.asarray(maps[image_id], dtype=np.float32) for image_id in chosen if image_id in maps]
    if not values:
        LOG.warning("no normal validation image has a map: the colours of the heatmaps span all maps instead")
        values = [np.asarray(one, dtype=np.float32) for one in maps.values()]
    low = float(np.median(np.stack(values)))
    high = float(np.quantile([one.max() for one in values], 1 - budget))
    return low, high if high > low else low + 1.0
