"""Score every image by its patches' distances to patches of normal images (PatchCore)."""

from collections.abc import Sequence
from functools import partial

from stages.core.encoder.device import pick_device, seed_everything
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.images.aspect import read_aspect, sides_for
from stages.core.images.grey_range import read_grey_range
from stages.core.io.result import BANK, write_result
from stages.core.io.tables import image_files, read_images
from stages.core.neighbours.bank import PatchReader, add_rotated, fill_bank, score_images
from stages.core.neighbours.memory import MemoryBank, write_bank
from stages.core.run.atomic import replacing_folder
from stages.core.run.params import EncoderParams, load_params, load_seed
from stages.core.run.stage import parse_paths, stage_entry
from stages.patchcore.params import PatchcoreParams


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Run the stage and return its closing counts."""
    paths = parse_paths(argv, reads=["inputs"], writes=["scores"], about=__doc__)
    shared = load_params(EncoderParams, section="encoder")
    params = load_params(PatchcoreParams, section="patchcore")
    generator = seed_everything(load_seed())
    encoder = FrozenEncoder(shared.network).to(pick_device())
    images = read_images(paths.inputs)
    size = sides_for(read_aspect(paths.inputs), shared.image_size)
    reader = PatchReader(encoder, image_files(paths.inputs), size=size, strides=params.strides)
    fill = partial(
        fill_bank, reader, ratio=params.coreset_ratio, dimensions=params.projection_dimensions,
        neighbours=params.neighbours, generator=generator,
    )  # fmt: skip
    bank = fill(images)
    result = score_images(reader, images, bank)
    result = add_rotated(reader, images, result, fill)
    memory = MemoryBank(
        bank, shared.network, size, params.strides, mixed=False, grey_range=read_grey_range(paths.inputs)
    )  # fmt: skip
    with replacing_folder(paths.scores) as temporary:
        write_result(temporary, result)
        write_bank(temporary / BANK, memory)
    return f"{len(result.scores)} images scored against {len(bank.views[0].patches)} patches"


if __name__ == "__main__":
    main()
