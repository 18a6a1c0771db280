"""The sources of data sets: their readers, and the params of their split."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeInt, model_validator

from stages.core.images.grey_range import between
from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE, Bits, GreyRange, Params, load_seed, load_value, validate
from stages.core.runtime.reading import Window
from stages.split.health import DataHealthParams
from stages.split.near_duplicates import NearDuplicateParams
from stages.split.readers.industrial import read_csv, read_elpv, read_loco, read_mvtec
from stages.split.readers.medical_folders import read_br35h, read_brats, read_camelyon16, read_oct2017
from stages.split.readers.medical_tables import read_aptos2019, read_isic2018, read_medianomaly
from stages.split.readers.plain_folders import read_folder
from stages.split.readers.records import Reading

Source = Literal[
    "sample", "mvtec_loco", "mvtec", "folder", "csv", "elpv",
    "medianomaly", "brats", "camelyon16", "oct2017", "aptos2019", "br35h", "isic2018",
]  # fmt: skip
READERS: dict[Source, Callable[[Path], Reading]] = {
    "sample": read_loco,
    "mvtec_loco": read_loco,
    "mvtec": read_mvtec,
    "folder": read_folder,
    "csv": read_csv,
    "elpv": read_elpv,
    "medianomaly": read_medianomaly,
    "brats": read_brats,
    "camelyon16": read_camelyon16,
    "oct2017": read_oct2017,
    "aptos2019": read_aptos2019,
    "br35h": read_br35h,
}


class SplitParams(Params):
    """What the split of one category depends on.

    Attributes:
        ratios: train : validation : test.
        rotate_up_to: with so many normal images in train and validation, or fewer, validation rotates (see
            `stages.split.rotation`); 0 switches that off.
        resplit: whether a split that the source brings is dissolved.
        bits: how many bits of images of more than 8 bits are used; None where the training images decide.
        grey_range: the values of such images that become black and white, in place of `bits`.
        test_part: of ISIC2018, the part of the challenge whose images are test; None for every other source.
        equal_files: whether images of equal content in different splits, or with different labels, are refused or
            excluded (see `stages.split.checks`).
        seed: of the shuffle.
        near_duplicates: what counts as nearly the same picture.
        data_health: what counts as a finding about the data.
    """

    source: Source
    ratios: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
    rotate_up_to: NonNegativeInt
    resplit: bool
    bits: Bits | None
    grey_range: GreyRange | None
    test_part: Literal["test", "validation"] | None
    equal_files: Literal["refuse", "exclude"]
    seed: NonNegativeInt
    near_duplicates: NearDuplicateParams
    data_health: DataHealthParams

    @model_validator(mode="after")
    def check_consistency(self) -> "SplitParams":
        """Raise ValueError where nothing would be split, or ISIC2018's test part is missing."""
        if sum(self.ratios) == 0:
            raise ValueError("ratios are all 0")
        if (self.source == "isic2018") != (self.test_part is not None):
            raise ValueError("test_part belongs to isic2018, and isic2018 needs it")
        if self.bits is not None and self.grey_range is not None:
            raise ValueError("bits and grey_range say the same: remove one")
        if self.grey_range is not None and self.grey_range[0] >= self.grey_range[1]:
            raise ValueError("grey_range: the first value becomes black, and must be below the second")
        return self

    @property
    def given_range(self) -> Window | None:
        """The range of deep images that the product's entry names, None where it names none."""
        if self.bits is not None:
            return between(0, 2**self.bits - 1)
        return None if self.grey_range is None else between(*self.grey_range)


def read_source(dataset: Path, params: SplitParams) -> Reading:
    """Read a data set as its source lays it out.

    Raises:
        UserError: a table or a folder that the layout needs is missing or unreadable.
    """
    read = READERS[params.source] if params.test_part is None else partial(read_isic2018, test_part=params.test_part)
    return read(dataset)


def load_split_params(key: str) -> SplitParams:
    """Load a category's params: its own where it has them, else `split.ratios` and the defaults.

    `seed`, `near_duplicates` and `data_health` are the same for all. Other keys of the category are
    the download stage's, which refuses unknown ones.

    Raises:
        UserError: a key is missing or of the wrong kind.
    """
    category = load_value(f"categories.{key}")
    if not isinstance(category, dict):
        raise UserError(f"{PARAMS_FILE}: categories.{key} is not a section of keys")
    rotate_up_to = load_value("split.rotate_up_to")
    if not isinstance(rotate_up_to, int) or isinstance(rotate_up_to, bool) or rotate_up_to < 0:
        raise UserError(f"{PARAMS_FILE}: split.rotate_up_to is {rotate_up_to!r}: write a whole number, 0 for never")
    chosen = {
        "source": category.get("source"),
        "ratios": category.get("ratios") or load_value("split.ratios"),
        "rotate_up_to": rotate_up_to,
        "resplit": category.get("resplit", False),
        "bits": category.get("bits"),
        "grey_range": category.get("grey_range"),
        "test_part": category.get("test_part"),
        "equal_files": category.get("equal_files", "refuse"),
        "seed": load_seed(),
        "near_duplicates": load_value("near_duplicates"),
        "data_health": validate(DataHealthParams, load_value("data_health"), where="data_health"),
    }
    return validate(SplitParams, chosen, where=f"categories.{key}")
