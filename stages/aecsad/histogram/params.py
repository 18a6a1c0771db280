"""Parameters of the histogram stage."""

from pydantic import PositiveFloat, PositiveInt

from stages.core.run.params import Params, Share


class HistogramParams(Params):
    """Section `aecsad.histogram`: distances of class areas in grids of cells.

    Attributes:
        grids: cells along a side, from 1; each grid gives a score `histogram_GxG`. 1 and 2 as published.
        shrinkage: from 0 to 1: how far the covariance of class areas is drawn towards equal variances. 0 as published
            ignores what never varied in training; 1 takes the plain Euclidean distance.
        edits_per_image: synthetic anomalies made from each normal validation image by a change of one component, by
            which the grids are weighed.
        min_area: smallest component that is edited, as a share of the image.
        max_area: largest component that is edited, as a share of the image.
        min_edit_auroc: a grid is excluded that separates edited from normal images with a smaller AUROC; 0.5 excludes
            what is no better than chance.
        max_inflation: a grid is excluded whose median distance of validation images is more than this multiple of that
            of training images, because it fits the training images too closely; .inf excludes none.
    """

    grids: tuple[PositiveInt, ...]
    shrinkage: Share
    edits_per_image: PositiveInt
    min_area: Share
    max_area: Share
    min_edit_auroc: Share
    max_inflation: PositiveFloat
