"""Small parts of some training images, for counting them wherever they lie (branch `parts` of oddpart).

Background difference finds parts as wholes, and needs none of them at a place of its own. It need not find all of them
here, nor the same number in every image: a classifier is fitted to them that does not take misses for ground.
"""

from collections.abc import Sequence

import numpy as np

from stages.aecsad.pseudo_label.choice import CLASSICAL, Chosen, Pictures
from stages.aecsad.pseudo_label.classical.background import propose_by_background
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.core.io.components import ComponentMaps

MOST_IMAGES = 80


def find_parts(
    chosen: Chosen, pictures: Pictures, params: PseudoLabelParams, *, image_ids: Sequence[str]
) -> ComponentMaps:
    """Find parts by background difference in MOST_IMAGES training images, evenly spread.

    Args:
        chosen: of `choice.propose`; parts that it has already are not looked for again.
        pictures: the images.
        params: of background difference.
        image_ids: of the training images.
    """
    background = CLASSICAL[0]
    count = min(len(image_ids), MOST_IMAGES)
    rows = np.linspace(0, len(image_ids) - 1, count).round().astype(np.int64).tolist()
    if chosen.choice.proposer == background:
        found = chosen.proposal[rows]
    else:
        settings = params.background_difference.model_dump()
        contrast = chosen.trials[background].contrast
        found = propose_by_background(pictures.train[rows], min_area=params.min_area, contrast=contrast, **settings)
    return ComponentMaps(tuple(image_ids[row] for row in rows), found.values, found.kinds)
