"""Show what the component labels of the training images look like, and warn where they cannot be right."""

from collections.abc import Sequence

from stages.aecsad.label_review.review import read_pictures, read_trials, review, write_sheets
from stages.core.artifacts.choices import read_choice, write_choice
from stages.core.artifacts.component_maps import read_component_maps
from stages.core.artifacts.images import read_images
from stages.core.artifacts.label_maps import read_label_maps
from stages.core.running.stage import parse_paths, stage_entry

READS = ("images", "image_files", "dataset", "component_maps", "trials", "labels", "proposal", "verdict")


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=READS, writes=["sheets", "numbers"], about=__doc__)
    components, labels = read_component_maps(paths.component_maps), read_label_maps(paths.labels)
    files = read_images(paths.images).set_index("image_id")["file"][list(components.image_ids)]
    images = read_pictures(paths.image_files, files, size=components.values.shape[-1])
    choices = read_choice(paths.proposal), read_choice(paths.verdict)
    numbers = review(components, labels, read_trials(paths.trials), *choices, paths.dataset)
    write_sheets(paths.sheets, images, components, labels)
    write_choice(paths.numbers, numbers)
    return f"{len(images)} images, {numbers['classes']} classes, {len(numbers['warnings'])} warnings"


if __name__ == "__main__":
    main()
