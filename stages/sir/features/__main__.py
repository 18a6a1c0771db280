"""Keep a frozen teacher's features of a category's normal training images (SIR)."""

from collections.abc import Sequence

from stages.core.io.tables import image_files, read_images
from stages.core.run.params import load_params, load_seed
from stages.core.run.stage import parse_paths, stage_entry
from stages.sir.features.caching import cache_features
from stages.sir.features.params import TeacherParams


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["inputs"], writes=["features"], values=["category"], about=__doc__)
    params, seed = load_params(TeacherParams, section="sir.teacher"), load_seed()
    images = read_images(paths.inputs)
    kept = cache_features(paths.features, images, image_files(paths.inputs), params, category=paths.category, seed=seed)
    return f"features of {kept} training images in {len(params.views)} views"


if __name__ == "__main__":
    main()
