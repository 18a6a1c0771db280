"""Say in an image's explanations of which part there are too many or too few."""

from dataclasses import replace

from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.part_numbers import Findings, PartModel
from stages.core.io.explanations import Explanations
from stages.core.runtime.counting import explain_numbers


def add_numbers(found: Explanations, numbers: Findings, model: PartModel | None, label_maps: LabelMaps) -> Explanations:
    """Add what the branch `parts` found to AeCSAD's explanations.

    Args:
        found: AeCSAD's, of the images that are explained.
        numbers: of the histogram stage.
        model: of the same stage, which finds them in new images; None where no parts are counted.
        label_maps: of all images.
    """
    row = {image_id: number for number, image_id in enumerate(label_maps.image_ids)}
    images = {
        image_id: [*findings, *explain_numbers(numbers.get(image_id, ()), label_maps.values[row[image_id]])]
        for image_id, findings in found.images.items()
    }
    explainer = (
        None if found.explainer is None else found.explainer.extended((), None if model is None else model.numbers)
    )
    return replace(found, images=images, explainer=explainer)
