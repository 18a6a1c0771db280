"""Score a category's images by how far a decoder misses a frozen teacher's features (SIR)."""

from collections.abc import Sequence

from stages.core.images.grey_range import read_grey_range
from stages.core.io.result import write_result
from stages.core.io.tables import image_files, read_images
from stages.core.run.atomic import replacing_folder
from stages.core.run.params import load_params
from stages.core.run.stage import parse_paths, stage_entry
from stages.sir.model.model import read_models
from stages.sir.scores.graph import write_graph_of
from stages.sir.scores.scoring import MapsParams, fit_mapper, score_images


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["inputs", "model"], writes=["scores"], values=["category"], about=__doc__)
    params = load_params(MapsParams, section="sir.maps")
    images, folder, trained = read_images(paths.inputs), image_files(paths.inputs), read_models(paths.model)
    mapper = fit_mapper(trained, images, folder, params, category=paths.category)
    result = score_images(mapper, images, folder)
    with replacing_folder(paths.scores) as temporary:
        write_result(temporary, result)
        write_graph_of(temporary, mapper, trained.teacher, grey_range=read_grey_range(paths.inputs))
    return f"{len(result.scores)} images scored by {len(trained.models)} decoders"


if __name__ == "__main__":
    main()
