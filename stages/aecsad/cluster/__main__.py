"""Sort the proposed components into classes, show them for review, and paste components into training images."""

from collections.abc import Sequence

from stages.aecsad.cluster.classes import label_images
from stages.aecsad.cluster.files import load_training_images, write_clusters
from stages.aecsad.cluster.params import ClusterParams
from stages.aecsad.cluster.paste import paste_versions
from stages.aecsad.cluster.review import review
from stages.core.io.components import COMPONENT_MAPS, read_component_maps, read_trials
from stages.core.io.decision import write_choice
from stages.core.run.params import EncoderParams, load_params, load_value
from stages.core.run.stage import parse_paths, stage_entry


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Run the stage and return its closing counts."""
    reads, writes = ["inputs", "components"], ["output", "choice", "labels"]
    paths = parse_paths(argv, reads=reads, writes=writes, about=__doc__)
    params = load_params(ClusterParams, section="aecsad.cluster")
    encoder, seed = load_params(EncoderParams, section="encoder"), load_value("seed")
    components = read_component_maps(paths.components / COMPONENT_MAPS)
    images = load_training_images(paths.inputs, components)
    labels, verdict = label_images(components, images, encoder.network, params, seed=seed)
    pasted = paste_versions(images, labels, params.pasted_components, seed=seed)
    numbers = review(components, labels, read_trials(paths.components), verdict.reasons)
    write_clusters(paths.output, paths.components, images, labels, pasted, numbers)
    write_choice(paths.choice, verdict.as_json())
    write_choice(paths.labels, numbers)
    return f"{len(images)} images, {labels.num_classes - 1} classes, {labels.labelled.sum()} images labelled"


if __name__ == "__main__":
    main()
