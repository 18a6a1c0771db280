"""Saturation of MVTec LOCO's defect regions: how many of a region's pixels have to be found.

Where a part is missing, any spot of the place it could lie in is a right answer, so the annotation says for each kind
of defect from which area on a region counts as found. Bergmann et al., "Beyond Dents and Scratches", IJCV 2022,
section 5.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, TypeAdapter, ValidationError

from stages.core.running.errors import UserError

DEFECTS = "defects_config.json"


class Defect(BaseModel):
    """A kind of defect.

    Attributes:
        pixel_value: of its regions in the masks.
        saturation_threshold: pixels, or a share of the region when `relative_saturation`.
    """

    model_config = ConfigDict(frozen=True)

    defect_name: str
    pixel_value: NonNegativeInt
    saturation_threshold: PositiveFloat
    relative_saturation: bool

    def saturation(self, area: int) -> float:
        """Pixels of a region of `area` pixels that have to be found; whole pixels, at least 1 and at most all."""
        wanted = self.saturation_threshold * area if self.relative_saturation else self.saturation_threshold
        return float(min(max(int(wanted), 1), area))


@dataclass(frozen=True)
class Region:
    """One annotated defect; it may consist of several pieces.

    Attributes:
        saturation: pixels of it that have to be found, above 0 and at most its area.
    """

    mask: Bool[np.ndarray, "H W"]
    saturation: float


def read_defects(folder: Path) -> dict[int, Defect]:
    """The kinds of defects by pixel value; empty when the source brings no `defects_config.json`.

    Raises:
        UserError: the file is damaged or names a pixel value twice.
    """
    path = folder / DEFECTS
    if not path.exists():
        return {}
    try:
        defects = TypeAdapter(list[Defect]).validate_json(path.read_bytes())
    except (OSError, ValidationError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not a list of defects with their saturation ({error}): correct the source") from None
    by_value = {defect.pixel_value: defect for defect in defects}
    if len(by_value) < len(defects):
        raise UserError(f"{path}: a pixel_value is there twice: correct the source")
    return by_value


def annotated_regions(
    masks: Sequence[UInt8[np.ndarray, "H W"]], defects: Mapping[int, Defect], *, where: str
) -> list[Region]:
    """One region for each mask file and pixel value in it, also when two files hold the same value.

    Args:
        where: names the image in errors.

    Raises:
        UserError: a pixel value has no entry in `defects`.
    """
    regions = []
    for values in masks:
        for value in np.unique(values[values > 0]).tolist():
            if value not in defects:
                raise UserError(f"{where}: the mask has the value {value}, which {DEFECTS} does not name")
            mask = values == value
            regions.append(Region(mask, defects[value].saturation(int(mask.sum()))))
    return regions
