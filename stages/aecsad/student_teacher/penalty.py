"""Natural images on which the local student shall not imitate the teacher."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from stages.core.image_files.reading import IMAGE_SUFFIXES, read_image, resize_image
from stages.core.running.errors import UserError

LOG = logging.getLogger(__name__)
ENLARGED = 2  # the crop is taken from the image resized to that many times the crop's size, as in CSAD
GREY_SHARE = 0.3
LUMA = (0.299, 0.587, 0.114)  # of R, G and B


def find_penalty_images(folder: str | None) -> list[Path]:
    """The images in a folder and below, sorted; none, and a line in the log, where no folder is given.

    Raises:
        UserError: the folder is missing or holds no image.
    """
    if folder is None:
        LOG.info("training.penalty_images is null: the local student is not penalised on natural images")
        return []
    if not Path(folder).is_dir():
        raise UserError(f"{folder} (student_teacher.training.penalty_images) is not a folder: correct it or write null")
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise UserError(f"{folder} (student_teacher.training.penalty_images) holds no image: fill it or write null")
    LOG.info("%d natural images in %s for the penalty", len(found), folder)
    return found


def load_penalty_image(path: Path, *, size: int, grey: bool) -> UInt8[Tensor, "1 3 S S"]:
    """The middle of an image resized to twice `size` x `size`, in colour or grey."""
    enlarged = torch.from_numpy(resize_image(read_image(path), ENLARGED * size)).permute(2, 0, 1)
    start = (ENLARGED - 1) * size // 2
    crop = enlarged[None, :, start : start + size, start : start + size].contiguous()
    if not grey:
        return crop
    luma = (crop.float() * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return luma.round().to(torch.uint8).expand(-1, 3, -1, -1)


def total_bytes(paths: Sequence[Path]) -> int:
    """Bytes of all files, by which a checkpoint notices that the folder has changed."""
    return sum(path.stat().st_size for path in paths)
