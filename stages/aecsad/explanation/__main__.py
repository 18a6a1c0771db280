"""Say what is unusual in each image: which component, where, in which direction and by how much."""

from collections.abc import Sequence

from stages.aecsad.explanation.class_pictures import class_pictures
from stages.aecsad.explanation.explaining import explain_images, rows_of
from stages.aecsad.explanation.params import ExplanationParams
from stages.core.artifacts.anomaly_maps import read_anomaly_maps
from stages.core.artifacts.explanations import write_explanations
from stages.core.artifacts.images import read_images
from stages.core.artifacts.label_maps import read_label_maps
from stages.core.running.params import load_params, load_value
from stages.core.running.stage import parse_paths, stage_entry

READS = ("images", "image_files", "label_maps", "maps")


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Paths, params, read, explain, write."""
    paths = parse_paths(argv, reads=READS, writes=["explanations"], about=__doc__)
    params = load_params(ExplanationParams, section="aecsad.explanation")
    images, label_maps = read_images(paths.images), read_label_maps(paths.label_maps)
    maps, fitting = read_anomaly_maps(paths.maps), params.model_dump(exclude={"examples"})
    explained = explain_images(images, label_maps, maps, seed=load_value("seed"), **fitting)
    train = rows_of(images, label_maps, maps).query("split == 'train'")
    values, sizes = label_maps.values[train["label_row"].to_numpy()], {"min_area": params.min_area}
    pictures = class_pictures(
        train, paths.image_files, values, num_classes=label_maps.num_classes, examples=params.examples, **sizes
    )
    write_explanations(paths.explanations, explained, pictures)
    return f"{len(explained)} images explained, {len(pictures)} classes of components"


if __name__ == "__main__":
    main()
