"""Which reader reads which source, and the params of the split."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeInt, model_validator

from stages.core.errors import UserError
from stages.core.likeness import LikenessParams
from stages.core.params import PARAMS_FILE, Params, load_value, validate
from stages.split.read_csv import read_csv
from stages.split.read_elpv import read_elpv
from stages.split.read_folder import read_folder
from stages.split.read_loco import read_loco
from stages.split.read_mvtec import read_mvtec
from stages.split.records import Reading

Source = Literal["sample", "mvtec_loco", "mvtec", "folder", "csv", "elpv"]
READERS: dict[Source, Callable[[Path], Reading]] = {
    "sample": read_loco,
    "mvtec_loco": read_loco,
    "mvtec": read_mvtec,
    "folder": read_folder,
    "csv": read_csv,
    "elpv": read_elpv,
}


class SplitParams(Params):
    """What the split of one category depends on.

    Attributes:
        ratios: train : validation : test.
        resplit: whether a split that the source brings is dissolved.
        seed: of the shuffle.
        near_duplicates: what counts as nearly the same picture.
    """

    source: Source
    ratios: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
    resplit: bool
    seed: NonNegativeInt
    near_duplicates: LikenessParams

    @model_validator(mode="after")
    def check_ratios(self) -> "SplitParams":
        if sum(self.ratios) == 0:
            raise ValueError("ratios are all 0")
        return self


def load_split_params(key: str) -> SplitParams:
    """The category's source, its `ratios` and `resplit` where it has them, else `split.ratios` and no.

    `seed` and `near_duplicates` are the same for all. Other keys of the category are the download room's, which
    refuses unknown ones.

    Raises:
        UserError: a key is missing or of the wrong kind.
    """
    category = load_value(f"categories.{key}")
    if not isinstance(category, dict):
        raise UserError(f"{PARAMS_FILE}: categories.{key} is not a section of keys")
    chosen = {
        "source": category.get("source"),
        "ratios": category.get("ratios") or load_value("split.ratios"),
        "resplit": category.get("resplit", False),
        "seed": load_value("seed"),
        "near_duplicates": load_value("near_duplicates"),
    }
    return validate(SplitParams, chosen, where=f"categories.{key}")
