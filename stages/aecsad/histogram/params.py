"""Parameters of the histogram stage."""

from stages.core.run.params import Params


class HistogramParams(Params):
    """Section `aecsad.histogram`.

    Attributes:
        grids: cells along a side; each grid gives a column `histogram_GxG`.
        shrinkage: see stages.aecsad.model.patch_histogram.fit_histograms.
        edits_per_image, min_area, max_area: see `edits.edit_components`.
        min_edit_auroc, max_inflation: see `columns.judge_column`.
    """

    grids: tuple[int, ...]
    shrinkage: float
    edits_per_image: int
    min_area: float
    max_area: float
    min_edit_auroc: float
    max_inflation: float
