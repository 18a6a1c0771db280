"""Score every image by its patches' distances to patches of normal images (PatchCore)."""

from collections.abc import Sequence

from stages.core.encoder.device import pick_device, seed_everything
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.io.tables import image_files, read_images
from stages.core.neighbours.bank import fill_bank, score_images
from stages.core.run.params import EncoderParams, load_params, load_value
from stages.core.run.stage import parse_paths, stage_entry
from stages.patchcore.params import PatchcoreParams
from stages.patchcore.writing import write_result


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["inputs"], writes=["scores"], about=__doc__)
    shared = load_params(EncoderParams, section="encoder")
    params = load_params(PatchcoreParams, section="patchcore")
    generator = seed_everything(load_value("seed"))
    encoder = FrozenEncoder(shared.name).to(pick_device())
    images = read_images(paths.inputs)
    bank = fill_bank(
        encoder, images, image_files(paths.inputs), size=shared.image_size, strides=params.strides,
        ratio=params.coreset_ratio, dimensions=params.projection_dimensions, generator=generator,
    )  # fmt: skip
    result = score_images(
        encoder, images, image_files(paths.inputs), bank,
        size=shared.image_size, strides=params.strides, neighbours=params.neighbours,
    )  # fmt: skip
    write_result(paths.scores, result)
    return f"{len(result.scores)} images scored against {len(bank)} patches"


if __name__ == "__main__":
    main()
