"""Score every image by how far its component areas lie from those of normal images."""

from collections.abc import Sequence

from stages.aecsad.histogram.columns import score_histograms, write_histograms
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.histogram.turns import add_turns
from stages.aecsad.model.edited import EDITED, read_edited
from stages.aecsad.model.label_maps import LABEL_MAPS, read_label_maps, read_turns
from stages.aecsad.model.part_numbers import read_part_areas
from stages.core.io.decision import write_choice
from stages.core.io.lineage import read_lineage
from stages.core.io.rotation import VALIDATION_FOLD, rotations
from stages.core.io.tables import MOST_TRAINED, read_images
from stages.core.run.params import load_params
from stages.core.run.stage import parse_paths, stage_entry


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Run the stage and return its closing counts."""
    paths = parse_paths(argv, reads=["inputs", "segmentation"], writes=["output", "choice"], about=__doc__)
    params = load_params(HistogramParams, section="aecsad.histogram")
    images = read_images(paths.inputs, most_training=MOST_TRAINED)
    label_maps, edited = read_label_maps(paths.segmentation / LABEL_MAPS), read_edited(paths.segmentation / EDITED)
    parts = read_part_areas(paths.segmentation, [VALIDATION_FOLD, *rotations(images)])
    result = score_histograms(images, label_maps, edited, parts, params)
    result = add_turns(result, images, read_turns(paths.segmentation, rotations(images)), parts, params)
    write_histograms(paths.output, result, made_from=read_lineage(paths.segmentation / LABEL_MAPS))
    write_choice(paths.choice, result.as_json())
    used = sum(column.weight > 0 for column in result.reliability.values())
    return f"{len(images)} images scored, {used} of {len(result.models)} grids in use"


if __name__ == "__main__":
    main()
