"""Learn to segment a product's components from pseudo-labels, and segment every image and every edited picture."""

from collections.abc import Sequence

from stages.aecsad.model.edited import EDITED, read_edited
from stages.aecsad.model.label_maps import read_label_maps
from stages.aecsad.model.part_kinds import PART_MAPS
from stages.aecsad.segmentation.fitting import fit_segmentation, segment_edited, segment_images, write_segmentation
from stages.aecsad.segmentation.params import SegmentationParams
from stages.aecsad.segmentation.parts import measure_parts
from stages.aecsad.segmentation.turns import segment_turns
from stages.core.io.components import read_component_maps
from stages.core.io.tables import MOST_TRAINED, image_files, read_images
from stages.core.run.params import EncoderParams, load_params, load_seed
from stages.core.run.stage import parse_paths, stage_entry
from stages.core.training.curve import write_training_curve


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Run the stage and return its closing counts."""
    paths = parse_paths(argv, reads=["inputs", "labels", "proposal"], writes=["output", "curve"], about=__doc__)
    params = load_params(SegmentationParams, section="aecsad.segmentation")
    encoder = load_params(EncoderParams, section="encoder")
    images, files = read_images(paths.inputs, most_training=MOST_TRAINED), image_files(paths.inputs)
    labels, seed = read_label_maps(paths.labels), load_seed()
    pictures, found = read_edited(paths.proposal / EDITED), read_component_maps(paths.proposal / PART_MAPS)
    fitted = fit_segmentation(images, files, labels, params, encoder, seed=seed)
    label_maps, edited = segment_images(fitted, images, files), segment_edited(fitted, pictures)
    turns = segment_turns(fitted, images, files, labels, params, encoder, seed=seed)
    parts = measure_parts(fitted, images, files, found, label_maps, pictures, turns, kinds=params.part_kinds, seed=seed)
    write_segmentation(paths.output, fitted, label_maps, edited, turns, parts)
    write_training_curve(paths.curve, fitted.curve)
    return f"{len(images)} images segmented into {label_maps.num_classes - 1} component classes"


if __name__ == "__main__":
    main()
