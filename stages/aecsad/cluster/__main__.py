"""Sort the proposed components into classes, and the training images into typical and others."""

from collections.abc import Sequence

from stages.aecsad.cluster.classes import label_images
from stages.aecsad.cluster.params import ClusterParams
from stages.aecsad.model.label_maps import write_label_maps
from stages.core.encoder.device import seed_everything
from stages.core.encoder.encoder import load_stack
from stages.core.io.components import read_component_maps
from stages.core.io.decision import write_choice
from stages.core.io.tables import image_files, read_images
from stages.core.run.params import EncoderParams, load_params, load_value
from stages.core.run.stage import parse_paths, stage_entry


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["inputs", "component_maps"], writes=["labels", "choice"], about=__doc__)
    params = load_params(ClusterParams, section="aecsad.cluster")
    encoder = load_params(EncoderParams, section="encoder")
    seed_everything(seed := load_value("seed"))
    components = read_component_maps(paths.component_maps)
    files = read_images(paths.inputs).set_index("image_id")["file"][list(components.image_ids)]
    images = load_stack(image_files(paths.inputs), files, size=components.values.shape[-1])
    labels, verdict = label_images(components, images, encoder.name, seed=seed, **params.model_dump())
    write_label_maps(paths.labels, labels)
    write_choice(paths.choice, verdict.as_json())
    return f"{len(images)} images, {labels.num_classes - 1} classes, {labels.labelled.sum()} images labelled"


if __name__ == "__main__":
    main()
