"""Parameters of the cluster room."""

from stages.core.params import Params


class ClusterParams(Params):
    """Section `aecsad.cluster`."""

    crop_size: int
    appearance_dimensions: int
    bandwidth_quantile: float
    bandwidth_sample: int
    min_class_share: float
    min_class_area: float
    min_group_share: float
    labelled_share: float
    max_spread: float
    max_count_variation: float
