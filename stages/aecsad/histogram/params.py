"""Parameters of the histogram stage."""

from pydantic import PositiveInt

from stages.core.run.params import AboveZeroOrInfinite, Params, Share


class HistogramParams(Params):
    """Section `aecsad.histogram`: distances of class areas in grids of cells.

    Attributes:
        grids: cells along a side, from 1; each grid gives a score `histogram_GxG`. 1 and 2 as published.
        shrinkage: from 0 to 1: how far the covariance of class areas is drawn towards equal variances. 0 as published
            ignores what never varied in training; 1 takes the plain Euclidean distance.
        min_edit_auroc: a grid is excluded that separates edited pictures from normal images with a smaller AUROC, or
            with one that may be chance.
        max_inflation: a grid is excluded whose median distance of validation images is more than this multiple of that
            of training images, because it fits the training images too closely; .inf excludes none.
    """

    grids: tuple[PositiveInt, ...]
    shrinkage: Share
    min_edit_auroc: Share
    max_inflation: AboveZeroOrInfinite
