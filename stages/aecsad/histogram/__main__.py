"""Score every image by how far its component areas lie from those of normal images."""

from collections.abc import Sequence

from stages.aecsad.histogram.columns import score_histograms
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.label_maps import read_label_maps
from stages.aecsad.model.patch_histogram import write_histogram_models
from stages.core.io.decision import write_choice
from stages.core.io.tables import read_images, write_table
from stages.core.run.params import load_params, load_value
from stages.core.run.stage import parse_paths, stage_entry


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Paths, params, read, score, write."""
    paths = parse_paths(argv, reads=["inputs", "label_maps"], writes=["scores", "model", "choice"], about=__doc__)
    params = load_params(HistogramParams, section="aecsad.histogram")
    images, label_maps = read_images(paths.inputs), read_label_maps(paths.label_maps)
    result = score_histograms(images, label_maps, seed=load_value("seed"), **params.model_dump())
    write_table(paths.scores, result.table, columns=["image_id", "split"])
    write_histogram_models(paths.model, result.models)
    write_choice(paths.choice, result.as_json())
    used = sum(verdict.weight > 0 for verdict in result.reliability.values())
    return f"{len(images)} images scored, {used} of {len(result.models)} grids in use"


if __name__ == "__main__":
    main()
