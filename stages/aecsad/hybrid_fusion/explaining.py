"""Say in an image's explanations of which part there are too many or too few."""

import numpy as np
from jaxtyping import UInt8

from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.part_numbers import PARTS, Findings
from stages.core.io.explanations import Box, Explanation, Explanations

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def explain_numbers(found: Explanations, numbers: Findings, label_maps: LabelMaps) -> Explanations:
    """Add what the branch `parts` found to AeCSAD's explanations.

    Args:
        found: AeCSAD's, of the images that are explained.
        numbers: of the histogram stage.
        label_maps: of all images.
    """
    row = {image_id: number for number, image_id in enumerate(label_maps.image_ids)}
    images = {
        image_id: [
            *findings,
            *(
                Explanation(
                    PARTS, one.component or None, "number", box_of(label_maps.values[row[image_id]], one.component),
                    one.number, 0.0, one.deviation,
                )
                for one in numbers.get(image_id, ())
            ),
        ]
        for image_id, findings in found.images.items()
    }  # fmt: skip
    return Explanations(images, found.pictures)


def box_of(label_map: UInt8[np.ndarray, "H W"], component: int) -> Box:
    """Return where the class is in an image, all of it: of parts that lie anywhere, nobody knows which is one too many.

    The whole image where the class is the background or is not there.
    """
    rows, columns = np.nonzero(label_map == component) if component else (np.zeros(0), np.zeros(0))
    if not len(rows):
        return WHOLE
    height, width = label_map.shape
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    return (float(top / height), float(left / width), float(bottom / height), float(right / width))
