"""Edited pictures: normal images in which one part was cut out, pasted a second time or exchanged; and their maps.

They are logical anomalies of our own making. What a proposer, a grid or a branch sees of them shows what it can be
relied on for, before anything of the test images is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from stages.core.io.arrays import read_arrays, write_arrays
from stages.core.run.errors import UserError

EDITED = "edited.npz"  # in the folders of the pictures and of their label maps
KINDS = ("cut", "pasted", "exchanged")


@dataclass(frozen=True)
class EditedPictures:
    """M edited pictures, or, where `values` are label maps (M H W), what a network made of them.

    Attributes:
        sources: image_id of the normal image that each one was made from.
        kinds: one of KINDS each.
        values: RGB, or component classes.
    """

    sources: tuple[str, ...]
    kinds: tuple[str, ...]
    values: UInt8[np.ndarray, "M H W *rgb"]

    def with_values(self, values: UInt8[np.ndarray, "M H W *rgb"]) -> "EditedPictures":
        """Return what was made of the same pictures."""
        return EditedPictures(self.sources, self.kinds, values)


def write_edited(path: Path, edited: EditedPictures) -> None:
    """Write compressed arrays; equal pictures give equal bytes.

    Raises:
        ValueError: counts differ.
    """
    if not len(edited.sources) == len(edited.kinds) == len(edited.values):
        raise ValueError(f"{path}: {len(edited.sources)} sources, {len(edited.kinds)} kinds, {len(edited.values)} maps")
    texts = {name: np.array(getattr(edited, name), dtype=np.str_) for name in ("sources", "kinds")}
    write_arrays(path, values=edited.values, **texts)


def read_edited(path: Path) -> EditedPictures:
    """Read what `write_edited` wrote.

    Raises:
        UserError: the file is missing an array or damaged.
    """
    arrays = read_arrays(path, ("sources", "kinds", "values"))
    return EditedPictures(tuple(arrays["sources"].tolist()), tuple(arrays["kinds"].tolist()), arrays["values"])


@dataclass(frozen=True)
class Seen:
    """How well distances tell edited pictures from normal images.

    Attributes:
        kinds: AUROC of each kind of edit that was made.
        auroc: their mean; 0.5 where there is no edit or no normal image.
        error: standard error of `auroc`, see `see_edits`.
        influences: what each normal image, with the edits made from it, moves `auroc` by.
    """

    kinds: dict[str, float]
    auroc: float
    error: float
    influences: Float64[np.ndarray, " V"]

    def as_json(self) -> dict[str, Any]:
        """Return the numbers, without the influences."""
        return {"edit_auroc": self.auroc, "edit_error": self.error, "edits": self.kinds}

    @property
    def above_chance(self) -> bool:
        """Whether `auroc` exceeds 0.5 by more than chance would in one of 100 products (one-sided)."""
        return self.auroc - 0.5 > CERTAIN * self.error

    def better_by_chance(self, other: "Seen", *, margin: float = 0.0) -> bool:
        """Whether this `auroc` exceeds another one on the same images by no more than a margin and chance would."""
        difference = error_of(self.influences - other.influences)
        return self.auroc - other.auroc <= margin + CERTAIN * difference


CERTAIN = 2.33  # standard errors: one-sided 1 %


def see_edits(
    normal: Float64[np.ndarray, " V"], edited: Float64[np.ndarray, " M"], *, rows: Int64[np.ndarray, " M"],
    kinds: Sequence[str],
) -> Seen:  # fmt: skip
    """Compare distances of normal images with those of pictures made from them.

        A = mean over kinds k of AUROC_k,    SE² = n / (n - 1) sum_i I_i²

    I_i, the influence of image i, holds both its own part and that of its edits, which are no independent images
    (DeLong et al., "Comparing the Areas under Two or More Correlated ROC Curves", Biometrics 1988, with clusters as in
    Obuchowski, Biometrics 1997).

    Args:
        normal, edited: higher is more unusual.
        rows: of each edited picture's source in `normal`.
        kinds: of each edited picture.
    """
    present = [kind for kind in KINDS if kind in kinds]
    if not len(normal) or not present:
        return Seen({}, 0.5, 0.5, np.zeros(len(normal)))
    above = (edited[:, None] > normal).astype(np.float64) + 0.5 * (edited[:, None] == normal)
    of_kind = {kind: np.array([one == kind for one in kinds]) for kind in present}
    aurocs = {kind: float(above[members].mean()) for kind, members in of_kind.items()}
    auroc = float(np.mean(list(aurocs.values())))
    influences = np.zeros(len(normal))
    for kind, members in of_kind.items():
        edits = (above[members].mean(axis=1) - aurocs[kind]) / members.sum()
        normals = (above[members].mean(axis=0) - aurocs[kind]) / len(normal)
        own = np.bincount(rows[members], weights=edits, minlength=len(normal))
        influences += (own + normals) / len(present)
    return Seen(aurocs, auroc, error_of(influences), influences)


def error_of(influences: Float64[np.ndarray, " V"]) -> float:
    """Return the standard error of a mean of clusters; not below that of half a normal image, which few ones hide."""
    count = len(influences)
    spread = np.sqrt(count / max(count - 1, 1) * np.square(influences).sum())
    return float(max(spread, 0.5 / (count + 1)))


def rows_of_sources(edited: EditedPictures, image_ids: Sequence[str]) -> Int64[np.ndarray, " M"]:
    """Return the row of each picture's source among the image_ids.

    Raises:
        UserError: a source is not among them.
    """
    row = {image_id: number for number, image_id in enumerate(image_ids)}
    missing = [source for source in edited.sources if source not in row]
    if missing:
        raise UserError(f"{missing[0]} was edited and is no normal validation image: run `dvc repro`")
    return np.array([row[source] for source in edited.sources], dtype=np.int64)
