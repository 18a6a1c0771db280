"""Parameters of the pseudo_label room."""

from typing import Literal

from stages.core.params import Params


class BackgroundParams(Params):
    """`propose_by_background`."""

    window: float
    lightness: float
    low: float
    high: float


class ClustersParams(Params):
    """`dense_descriptors` and `propose_by_clusters`."""

    clusters: int
    cells: int
    cells_per_image: int
    stride_weights: tuple[float, float, float]
    dimensions: int
    colour_share: float


class PseudoLabelParams(Params):
    """Section `aecsad.pseudo_label`."""

    proposer: Literal["auto", "background_difference", "dense_clusters"]
    min_area: float
    min_count_agreement: float
    background_difference: BackgroundParams
    dense_clusters: ClustersParams
