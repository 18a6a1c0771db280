"""Parameters of the plus room."""

from typing import Annotated

from pydantic import Field

from stages.core.params import Params


class PlusParams(Params):
    """Section `aecsad.plus`.

    chance: a branch stays out unless so good a separation of planted defects, or a better one, would come about by
    chance in at most this share of cases.
    """

    chance: Annotated[float, Field(gt=0, lt=1)]
