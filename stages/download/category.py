"""The params of one category: which source, where it lies, and what a source of that kind allows."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, RootModel

from stages.core.params import Params, load_value, validate

Ratios = tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]


class Category(Params):
    """What every source has.

    Attributes:
        path: an archive, a folder, or a JSON manifest that names a download or an installed package.
        subfolder: the category's folder inside `path`, where it is not called like the category.
        ratios: train : validation : test in place of `split.ratios`.
        prompts: of the pseudo_label room, which checks them.
    """

    path: str
    subfolder: str | None = None
    ratios: Ratios | None = None
    prompts: dict[str, Any] | None = None

    @property
    def elpv_kind(self) -> str | None:
        """Which of ELPV's two kinds of solar cell; None for every other source."""
        return None


class SplitCategory(Category):
    """A source that brings a split of its own; `resplit` pools it and divides it anew."""

    resplit: bool = False


class Sample(SplitCategory):
    source: Literal["sample"]


class MvtecLoco(SplitCategory):
    source: Literal["mvtec_loco"]


class Mvtec(SplitCategory):
    source: Literal["mvtec"]


class Csv(SplitCategory):
    source: Literal["csv"]


class Folder(Category):
    source: Literal["folder"]


class Elpv(Category):
    source: Literal["elpv"]
    kind: Literal["mono", "poly"]

    @property
    def elpv_kind(self) -> str:
        return self.kind


class AnyCategory(
    RootModel[Annotated[Sample | MvtecLoco | Mvtec | Csv | Folder | Elpv, Field(discriminator="source")]]
):
    """One entry of `categories`, told apart by its `source`."""


def load_category(key: str) -> Sample | MvtecLoco | Mvtec | Csv | Folder | Elpv:
    """Validate `categories.<key>` of params.yaml.

    Raises:
        UserError: there is no such category, or one of its keys is missing, unknown or of the wrong kind.
    """
    where = f"categories.{key}"
    return validate(AnyCategory, load_value(where), where=where).root
