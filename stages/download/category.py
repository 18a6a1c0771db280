"""The params of one category: its source, where that is, and what a source of that kind allows."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, RootModel, model_validator

from stages.core.run.params import Bits, GreyRange, Params, check_category_names, load_value, validate

Ratios = tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]


class Category(Params):
    """The keys that every source has.

    Attributes:
        path: an archive, a folder, or a JSON manifest that names a download or an installed package.
        subfolder: the category's folder inside `path`, where it is not called like the category.
        ratios: train : validation : test in place of `split.ratios`.
        equal_files: what happens where images of equal content are in different splits or have different labels:
            "refuse" stops with a list; "exclude" keeps the copies in the last split, of different labels none.
        links: what happens where a file of a folder is a link that leads out of it: "refuse" stops, "follow" copies the
            file that it leads to. Links into DVC's cache are followed anyway.
        bits: how many bits of its 16-bit images are used, e.g. 12; null lets the training images decide.
        grey_range: the two values of its 16-bit images that become black and white, in place of `bits`.
        prompts: words for the proposer `foundation`: [component masks](methods/component_masks.md).
    """

    path: str
    subfolder: str | None = None
    ratios: Ratios | None = None
    equal_files: Literal["refuse", "exclude"] = "refuse"
    links: Literal["refuse", "follow"] = "refuse"
    bits: Bits | None = None
    grey_range: GreyRange | None = None
    prompts: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def components_stand_elsewhere(cls, values: Any) -> Any:
        """Refuse names of components here, where a change of one would run the product's first stages again."""
        if isinstance(values, dict) and "components" in values:
            raise ValueError("names of components go into the section `components`: my_part: {1: label}")
        return values

    @property
    def elpv_kind(self) -> str | None:
        """Which of ELPV's two kinds of solar cell; None for every other source."""
        return None

    @property
    def crops_fundus(self) -> bool:
        """Whether images are cut to the round retina while they are copied."""
        return False


class SplitCategory(Category):
    """A source that brings a split of its own.

    Attributes:
        resplit: whether the images of all its parts are pooled and divided again by the ratios; false keeps its split.
    """

    resplit: bool = False


class Sample(SplitCategory):
    source: Literal["sample"]


class MvtecLoco(SplitCategory):
    source: Literal["mvtec_loco"]


class Mvtec(SplitCategory):
    source: Literal["mvtec"]


class Csv(SplitCategory):
    source: Literal["csv"]


class Medical(SplitCategory):
    """Medical data sets that need nothing but their folder (docs/datasets.md)."""

    source: Literal["medianomaly", "brats", "camelyon16", "oct2017", "br35h"]


class Aptos2019(SplitCategory):
    """APTOS2019.

    Attributes:
        crop: "fundus" cuts a square around the retina and scales it to 512 pixels, as the protocol does; "none" leaves
            images as they are.
    """

    source: Literal["aptos2019"]
    crop: Literal["fundus", "none"]

    @property
    def crops_fundus(self) -> bool:
        return self.crop == "fundus"


class Isic2018(SplitCategory):
    """ISIC2018, task 3.

    Attributes:
        test_part: part of the challenge whose images are test: all of Test, or Validation with 193 images.
    """

    source: Literal["isic2018"]
    test_part: Literal["test", "validation"]


class Folder(Category):
    source: Literal["folder"]


class Elpv(Category):
    """Solar cells of the package elpv-dataset.

    Attributes:
        kind: which cells: monocrystalline ("mono") or polycrystalline ("poly").
    """

    source: Literal["elpv"]
    kind: Literal["mono", "poly"]

    @property
    def elpv_kind(self) -> str:
        return self.kind


Source = Sample | MvtecLoco | Mvtec | Csv | Folder | Elpv | Medical | Aptos2019 | Isic2018


class AnyCategory(RootModel[Annotated[Source, Field(discriminator="source")]]):
    """One entry of `categories`, told apart by its `source`."""


def load_category(key: str) -> Source:
    """Validate `categories.<key>` of params.yaml.

    Raises:
        UserError: its name is unusable, there is no such category, or one of its keys is missing, unknown or of the
            wrong kind.
    """
    check_category_names([key])
    where = f"categories.{key}"
    return validate(AnyCategory, load_value(where), where=where).root
