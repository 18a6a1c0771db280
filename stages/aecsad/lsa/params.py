"""Parameters of the room."""

from pydantic import NonNegativeInt

from stages.core.running.params import Params


class LsaParams(Params):
    """Section `aecsad.lsa`.

    copies: pasted versions of each training image, drawn once; 0 makes none. min_distance: of a pasted component from
    its own place, as a share of the image. min_pastes, max_pastes: how many components of an image are tried; one
    without a free place is left out.
    """

    copies: NonNegativeInt
    min_distance: float
    min_pastes: NonNegativeInt
    max_pastes: NonNegativeInt
