"""The classical proposers with their parameters."""

from functools import partial

from stages.aecsad.pseudo_label.choice import CLASSICAL, Proposer
from stages.aecsad.pseudo_label.classical.background import propose_by_background
from stages.aecsad.pseudo_label.classical.clusters import propose_by_clusters
from stages.aecsad.pseudo_label.classical.merging import propose_by_merging
from stages.aecsad.pseudo_label.params import PseudoLabelParams


def classical_proposers(params: PseudoLabelParams, encoder_name: str, *, seed: int) -> dict[str, Proposer]:
    """Return functions from images to a proposal, by the names of `choice.CLASSICAL`.

    Args:
        encoder_name: frozen encoder of the dense clusters.
        seed: of their k-means.
    """
    area, dense = params.min_area, params.dense_clusters
    differ = partial(propose_by_background, min_area=area, **params.background_difference.model_dump())
    merge = partial(propose_by_merging, min_area=area, **params.graph_merging.model_dump())
    cluster = partial(propose_by_clusters, encoder_name=encoder_name, params=dense, min_area=area, seed=seed)
    return dict(zip(CLASSICAL, (differ, merge, cluster), strict=True))
