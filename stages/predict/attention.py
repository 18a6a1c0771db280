"""Save where the global student's self-attention blocks look in one image: `python -m stages.predict.attention`.

Makes the folder DIR:

  attention.npz   one array a block, e.g. encoder_16x16 of shape 16 x 16 x 16 x 16: what the cell of the first two
                  indices (row, column) takes from the cell of the last two; each cell's weights sum to 1
  attention.png   a row a block: the image with the cell that is asked, what that cell takes, what all take together

Asked is the cell with the highest anomaly, or the one at --at. Run it from the repository's root, after `dvc repro`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.core.artifacts.arrays import write_arrays
from stages.core.device import pick_device
from stages.core.frozen_encoder.image_tensors import stack_images, to_float
from stages.core.image_files.reading import read_image
from stages.core.running.atomic import replacing_folder
from stages.core.running.errors import UserError
from stages.core.running.params import load_value
from stages.core.running.stage import command_entry
from stages.core.seeding import seed_everything
from stages.predict.attention_maps import attention_of
from stages.predict.attention_picture import write_attention_picture
from stages.predict.params import part_files
from stages.predict.parts import load_parts
from stages.predict.scoring import predict

PICTURE, ARRAYS = "attention.png", "attention.npz"


@command_entry
def main(argv: Sequence[str]) -> str:
    """Arguments, parts, attend, write."""
    given = parse_arguments(argv)
    files = part_files(given.category)
    if given.output.exists():
        raise UserError(f"{given.output} (--output) is there already: name a new folder")
    picture = read_image(given.image)
    seed_everything(load_value("seed"))  # nothing is drawn, but kernels are chosen as in training
    parts = load_parts(files, device=pick_device())
    image = to_float(stack_images([picture], size=parts.image_size)).to(parts.encoder.mean.device)
    blocks = attention_of(parts.student_teacher.global_student, parts.encoder, image)
    place = tuple(given.at) if given.at else highest(predict(parts, picture).anomaly_map)
    with replacing_folder(given.output) as folder:
        write_arrays(folder / ARRAYS, **{block.name: block.weights for block in blocks})
        write_attention_picture(folder / PICTURE, picture, blocks, place=(place[0], place[1]))
    return f"{len(blocks)} blocks at ({place[0]:.2f}, {place[1]:.2f}) of width and height"


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line.

    Raises:
        UserError: the place is outside the image.
    """
    parser = argparse.ArgumentParser(
        prog="python -m stages.predict.attention", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("image", type=Path)
    parser.add_argument("--category", required=True, help="a key of `categories` in params.yaml")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--at", type=float, nargs=2, metavar=("X", "Y"), help="the cell to ask, as shares of width and height"
    )
    given = parser.parse_args(argv)
    if given.at and not all(0 <= share < 1 for share in given.at):
        raise UserError(f"--at {given.at[0]} {given.at[1]}: needed are two shares from 0 to below 1")
    return given


def highest(anomaly_map: np.ndarray) -> tuple[float, float]:
    """(x, y) of the middle of the highest cell, as shares of width and height."""
    row, column = np.unravel_index(int(anomaly_map.argmax()), anomaly_map.shape)
    height, width = anomaly_map.shape
    return float((column + 0.5) / width), float((row + 0.5) / height)


if __name__ == "__main__":
    main()
