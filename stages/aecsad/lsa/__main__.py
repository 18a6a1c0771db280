"""Logical synthetic anomalies: paste components a second time into training images, for the global student."""

from collections.abc import Sequence

from stages.aecsad.lsa.params import LsaParams
from stages.aecsad.lsa.versions import paste_versions
from stages.core.artifacts.images import read_images
from stages.core.artifacts.label_maps import read_label_maps
from stages.core.artifacts.pasted_images import write_pasted_images
from stages.core.running.params import load_params, load_value
from stages.core.running.stage import parse_paths, stage_entry


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Paths, params, read, paste, write."""
    paths = parse_paths(argv, reads=["images", "image_files", "labels"], writes=["pasted"], about=__doc__)
    params = load_params(LsaParams, section="aecsad.lsa")
    images, label_maps = read_images(paths.images), read_label_maps(paths.labels)
    pasted = paste_versions(images, paths.image_files, label_maps, seed=load_value("seed"), **params.model_dump())
    write_pasted_images(paths.pasted, pasted)
    return f"{len(pasted)} images pasted"


if __name__ == "__main__":
    main()
