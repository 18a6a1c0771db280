"""What memory banks from few and from many pictures find of synthetic defects at the threshold."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64
from PIL import Image
from torch import Tensor

from commands.enough.pictures import HeldOut, Normals
from stages.core.encoder.device import pick_device
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.images.aspect import sides_for
from stages.core.neighbours.bank import PatchReader, choose_patches, image_score, patch_distances
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.run.params import EncoderParams
from stages.core.runtime.reading import read_like_training
from stages.patchcore.params import PatchcoreParams
from stages.split.synthetic import KINDS, add_defect

SMALLEST = 5  # pictures of the first bank; each next one has twice as many
NEXT_TO_ALL = 1.5  # all pictures are this many times as many as those of the bank before, at least
DRAWS = 5  # of the pictures of a bank, where those held out are always the same
COPIES = 200  # synthetic defects in all, at least
MOST_COPIES = 6  # of one picture

Patches = Float[Tensor, "h w C"]


@dataclass(frozen=True)
class Repetition:
    """Scores of one draw of pictures to learn from.

    Attributes:
        normal: of each picture that was held out.
        defect: of the copies of each with a synthetic defect.
    """

    normal: Float64[np.ndarray, " H"]
    defect: Float64[np.ndarray, "H D"]


Curve = dict[int, list[Repetition]]  # by number of pictures to learn from, ascending


@dataclass(frozen=True)
class Features:
    """Patches of each normal picture, and of the copies with a defect of those to judge, by number."""

    normal: dict[int, Patches]
    defect: dict[int, list[Patches]]


def learning_curve(normals: Normals, encoder: EncoderParams, params: PatchcoreParams, *, seed: int) -> Curve:
    """Score pictures that were held out by memory banks from 5, 10, 20 ... and all of the others.

    Args:
        normals: pictures and how they are divided.
        encoder, params: the nearest neighbours' of the active profile.
        seed: of defects, draws and coresets.

    Raises:
        UserError: a picture cannot be read, or the encoder's weights are not available.
    """
    with tempfile.TemporaryDirectory(prefix="oddpart-enough-") as folder:
        network = FrozenEncoder(encoder.network).to(pick_device())
        sides = sides_for(normals.aspect, encoder.image_size)
        reader = PatchReader(network, Path(folder), size=sides, strides=params.strides)
        features = read_features(reader, normals, seed=seed)
    sizes = bank_sizes(normals.most_learned)
    plan = [(size, number) for size in sizes for number in range(repetitions_of(size, normals))]
    curve: Curve = {size: [] for size in sizes}
    generator, random = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    for size, number in progress(plan, total=len(plan), label="memory banks"):
        rotation = normals.rotations[number % len(normals.rotations)]
        scored = [judge(part, size, features, params, generator=generator, random=random) for part in rotation]
        order = np.argsort(np.concatenate([part.held_out for part in rotation]), kind="stable")
        normal, defect = (np.concatenate(parts)[order] for parts in zip(*scored, strict=True))
        curve[size].append(Repetition(normal, defect))
    return curve


def bank_sizes(most: int) -> list[int]:
    """Return 5, 10, 20 ..., then all."""
    sizes = []
    size = SMALLEST
    while size * NEXT_TO_ALL <= most:
        sizes.append(size)
        size *= 2
    return [*sizes, most]


def repetitions_of(size: int, normals: Normals) -> int:
    """Return how often a bank of this size is made, each time of other pictures where there are any."""
    if normals.rotated:
        return len(normals.rotations)
    return 1 if size == normals.most_learned else DRAWS


def judge(
    part: HeldOut,
    size: int,
    features: Features,
    params: PatchcoreParams,
    *,
    generator: torch.Generator,
    random: np.random.Generator,
) -> tuple[Float64[np.ndarray, " H"], Float64[np.ndarray, "H D"]]:
    """Fill a bank from `size` of the pictures to learn from, and score those held out and their copies by it.

    Raises:
        UserError: the coreset keeps too few patches.
    """
    drawn = random.permutation(part.learned)[:size]
    bank = choose_patches(
        (features.normal[int(number)] for number in drawn), len(drawn),
        ratio=params.coreset_ratio, dimensions=params.projection_dimensions, generator=generator,
    )  # fmt: skip
    if params.neighbours and len(bank) < 2:
        raise UserError(f"patchcore.coreset_ratio {params.coreset_ratio} keeps one patch of {size} pictures: raise it")

    def score(picture: Patches) -> float:
        return image_score(picture, patch_distances(picture, bank), bank, neighbours=params.neighbours)

    held_out = [int(number) for number in part.held_out]
    normal = np.array([score(features.normal[number]) for number in held_out])
    return normal, np.array([[score(copy) for copy in features.defect[number]] for number in held_out])


def read_features(reader: PatchReader, normals: Normals, *, seed: int) -> Features:
    """Read all pictures, and draw and read the copies of those to judge.

    Args:
        reader: its folder takes the copies.
        normals: pictures and how they are divided.
        seed: of the defects.
    """
    judged = normals.judged
    copies = min(MOST_COPIES, -(-COPIES // len(judged)))
    names = [str(path.resolve()) for path in normals.files]
    if normals.grey_range is not None:
        names = list(save_shallow(reader.folder, normals))
    normal = dict(enumerate(reader.read(names, label="pictures")))
    drawn = list(draw_copies(reader.folder, normals, judged, copies=copies, seed=seed))
    patches = iter(reader.read(drawn, label="synthetic defects"))
    return Features(normal, {number: [next(patches) for _ in range(copies)] for number in judged})


def save_shallow(folder: Path, normals: Normals) -> Iterator[str]:
    """Write each picture as 8 bits and yield the file's name."""
    for number, path in enumerate(normals.files):
        Image.fromarray(read_like_training(path, normals.grey_range)).save(folder / f"{number}.png", compress_level=1)
        yield f"{number}.png"


def draw_copies(folder: Path, normals: Normals, judged: Sequence[int], *, copies: int, seed: int) -> Iterator[str]:
    """Write copies of pictures with a synthetic defect each, as the split makes them, and yield the files' names."""
    random = np.random.default_rng(seed)
    for place, number in enumerate(progress(judged, total=len(judged), label="draw synthetic defects")):
        picture = read_like_training(normals.files[number], normals.grey_range)
        for copy in range(copies):
            name = f"{number}-{copy}.png"
            defect = add_defect(picture, KINDS[(place + copy) % len(KINDS)], random)
            Image.fromarray(defect).save(folder / name, compress_level=1)
            yield name
