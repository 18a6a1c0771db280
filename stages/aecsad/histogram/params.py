"""Parameters of the histogram stage."""

from stages.core.run.params import Params


class HistogramParams(Params):
    """Section `aecsad.histogram`."""

    grids: tuple[int, ...]
    shrinkage: float
    edits_per_image: int
    min_area: float
    max_area: float
    min_edit_auroc: float
    max_inflation: float
