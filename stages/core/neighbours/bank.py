"""Score images by the distances of their patches to a memory bank of patches of normal images (PatchCore).

A patch is what surrounds a cell of the image, from several encoder stages. `fill_bank` chooses patches of the training
images; `score_images` maps how far each patch of another image is from the nearest of them.

Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from stages.core.encoder.device import mixed_precision
from stages.core.encoder.encoder import STRIDES, FrozenEncoder, read_ahead, to_float
from stages.core.io.maps import AnomalyMaps
from stages.core.io.result import MethodResult, rows_to_score
from stages.core.io.rotation import rotations, with_rotated
from stages.core.neighbours.coreset import choose_coreset
from stages.core.neighbours.discriminator import Discriminator
from stages.core.neighbours.whitening import Whitening
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.run.parallel import on_all_cores
from stages.core.runtime.maps import to_half

CPU_BLOCK = 256  # patches whose distances to some thousand others stay in a processor's cache: half of the time
MOST_PATCHES = 100_000  # that a bank is chosen from, but for MOST_CHOSEN; time of the choice grows with their square
MOST_CHOSEN = 5_000  # of a bank that keeps a smaller share: it is chosen from as many patches as give so many
NEIGHBOURHOOD = 3  # cells; "patchsize" p = 3 of the paper
Grid = Literal["finest", "coarsest"]
Result = TypeVar("Result")


def squared_distances(a: Float[Tensor, "A C"], b: Float[Tensor, "B C"]) -> Float[Tensor, "A B"]:
    """Return all squared distances by one matrix product; rounding never makes one negative."""
    squares = a.square().sum(dim=1, keepdim=True) + b.square().sum(dim=1)
    return torch.addmm(squares, a, b.T, alpha=-2.0).clamp_(min=0.0)


@dataclass(frozen=True)
class PatchReader:
    """How image files become patch features.

    Attributes:
        folder: holds the image files.
        size: height and width in pixels to which images are resized.
        strides: encoder stages to join, the finest first.
        mixed: whether torch runs the encoder in bfloat16 where that is faster; ONNX Runtime computes in float32.
        grid: of which stage there is a patch for each cell.
        cached: whether features are kept on disk for other stages.
    """

    encoder: FrozenEncoder
    folder: Path
    size: tuple[int, int]
    strides: Sequence[int]
    mixed: bool = False
    grid: Grid = "finest"
    cached: bool = True

    def read(self, files: Iterable[str], *, label: str) -> Iterator[Float[Tensor, "h w C"]]:
        """Yield the patch features of one image after the other; see `each`."""
        return self.each(files, lambda patches: patches, label=label)

    def each(
        self, files: Iterable[str], function: Callable[[Float[Tensor, "h w C"]], Result], *, label: str
    ) -> Iterator[Result]:
        """Yield a function of each image's patch features and move a progress bar that reads `label`.

        Each image by itself, so that no result depends on which images come together and only a few are in memory.

        Args:
            files: in the folder.
            function: may be called by several threads at once.
            label: of the progress bar.

        Raises:
            UserError: an image file cannot be read.
        """
        names = list(files)
        images = read_ahead(self.folder, names, size=self.size)
        results = on_all_cores(lambda image: function(self.patches(image)), images)
        return progress(results, total=len(names), label=label)

    def patches(self, image: UInt8[Tensor, "1 3 H W"]) -> Float[Tensor, "h w C"]:
        """Return the patch features of an image."""
        device = self.encoder.mean.device
        encode = self.encoder.recall if self.cached else self.encoder
        with mixed_precision(device) if self.mixed else nullcontext():
            features = encode(to_float(image.to(device)))
        return patches_of(features, self.strides, grid=self.grid)


def patches_of(
    features: Sequence[Float[Tensor, "1 _C _h _w"]], strides: Sequence[int], *, grid: Grid = "finest"
) -> Float[Tensor, "h w C"]:
    """Return the patches of an image.

    Args:
        features: of the encoder, at STRIDES.
        strides: of those that are joined, the finest first.
        grid: see `PatchReader`.
    """
    stages = [features[STRIDES.index(stride)].float() for stride in strides]
    return join_stages(stages, grid=grid)[0].permute(1, 2, 0)


def join_stages(
    stages: Sequence[Float[Tensor, "B _C _h _w"]],
    *,
    grid: Grid = "finest",
    shrink: Callable[[Tensor, tuple[int, int]], Tensor] = functional.adaptive_avg_pool2d,
) -> Float[Tensor, "B C h w"]:
    """Average each stage over 3x3 cells, enlarge to the first stage's resolution and concatenate.

    On the coarsest grid finer stages are averaged over each of its cells instead: a quarter of the patches for strides
    8 and 16, and what is small is still seen, since images come enlarged.

    Roth et al., section 3.1. As in anomalib's implementation, channels are joined as they are: the paper first pools
    them to a fixed number, which matters for the 1,536 channels of WideResNet and not for some hundred.

    Args:
        stages: the finest first.
        grid: see `PatchReader`.
        shrink: averages over the cells of a coarser grid.
    """
    pooled = [functional.avg_pool2d(s, NEIGHBOURHOOD, stride=1, padding=NEIGHBOURHOOD // 2) for s in stages]
    if grid == "coarsest":
        height, width = pooled[-1].shape[-2:]
        return torch.cat([shrink(one, (height, width)) for one in pooled], dim=1)
    size = pooled[0].shape[-2:]
    enlarged = [functional.interpolate(p, size=size, mode="bilinear", align_corners=False) for p in pooled[1:]]
    return torch.cat([pooled[0], *enlarged], dim=1)


@dataclass(frozen=True)
class View:
    """Patches of normal images, seen in one way.

    Attributes:
        patches: of the bank, whitened where there is a whitening.
        whitening: of the patches that are compared with them; None for patches as they are.
        spread: of distances of normal images: the unit of those that are returned.
    """

    patches: Float[Tensor, "k C"]
    whitening: Whitening | None = None
    spread: float = 1.0

    def seen(self, patches: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """Return patches as this view sees them."""
        return patches if self.whitening is None else self.whitening(patches)

    def __call__(self, patches: Float[Tensor, "h w C"]) -> Float[Tensor, "h w"]:
        """Return the distance of each patch to the nearest one of the bank."""
        return patch_distances(self.seen(patches), self.patches) / self.spread

    def to(self, device: torch.device) -> "View":
        """Return it on a device."""
        whitening = None if self.whitening is None else self.whitening.to(device)
        return View(self.patches.to(device), whitening, self.spread)


@dataclass(frozen=True)
class Bank:
    """What judges the patches of an image.

    Attributes:
        views: their distances are averaged.
        neighbours: see `image_score`; 0 with more than one view.
        usual: subtracted from the distances before the score is taken, see `usual_distances`; None for nothing. The map
            keeps the distances: it shows where a defect is, and one at an unsteady place is a defect all the same.
        discriminator: added to the distances before the score is taken; None for nothing.
    """

    views: tuple[View, ...]
    neighbours: int
    usual: Float[Tensor, "h w"] | None = None
    discriminator: Discriminator | None = None

    def judge(self, patches: Float[Tensor, "h w C"]) -> tuple[float, Float[Tensor, "h w"]]:
        """Return score and anomaly map of an image."""
        largest, weight, distances = self.weigh(patches)
        return (1.0 - float(weight)) * float(largest), distances

    def weigh(
        self, patches: Float[Tensor, "h w C"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, "h w"]]:
        """Return what `worst_patch` does, and the map. A bundle computes the same."""
        distances = torch.stack([view(patches) for view in self.views]).mean(dim=0)
        raised = distances if self.discriminator is None else distances + self.discriminator(patches)
        unusual = raised if self.usual is None else raised - self.usual
        first = self.views[0]
        return *worst_patch(first.seen(patches), unusual, first.patches, neighbours=self.neighbours), distances

    def to(self, device: torch.device) -> "Bank":
        """Return it on a device."""
        usual = None if self.usual is None else self.usual.to(device)
        discriminator = None if self.discriminator is None else self.discriminator.to(device)
        return Bank(tuple(view.to(device) for view in self.views), self.neighbours, usual, discriminator)


def fill_bank(
    reader: PatchReader,
    images: pd.DataFrame,
    *,
    ratio: float,
    dimensions: int,
    neighbours: int,
    generator: torch.Generator,
) -> Bank:
    """Choose the patches that stand for all patches of the training images.

    Args:
        images: the image table; only its rows of split "train" are read.
        ratio, dimensions, generator: see `choose_patches`.
        neighbours: see `image_score`.

    Raises:
        UserError: the table has no training image.
    """
    files = training_files(images)
    per_image = reader.read(files, label="training patches")
    chosen = choose_patches(per_image, len(files), ratio=ratio, dimensions=dimensions, generator=generator)
    return Bank((View(chosen),), neighbours)


def choose_patches(
    images: Iterable[Float[Tensor, "_h _w C"]],
    count: int,
    *,
    ratio: float,
    dimensions: int,
    generator: torch.Generator,
) -> Float[Tensor, "k C"]:
    """Choose patches that stand for all of some images; of many from some drawn at random, as many of each.

    These are MOST_PATCHES, or more where a small share of them is kept: as many as give a bank of MOST_CHOSEN.

    Args:
        images: the patches of each.
        count: of the images, at least one.
        ratio: share of the patches to choose from, see `choose_coreset`.
        dimensions, generator: see `choose_coreset`.
    """
    cells = max(max(MOST_PATCHES, round(MOST_CHOSEN / ratio)) // count, 1)
    patches = torch.cat([draw_cells(one.flatten(0, 1), cells, generator) for one in images])
    chosen = choose_coreset(patches, ratio=ratio, dimensions=dimensions, generator=generator)
    return patches[chosen.to(patches.device)]


def training_files(images: pd.DataFrame) -> list[str]:
    """Return the files of the rows of split "train".

    Raises:
        UserError: there are none.
    """
    files: list[str] = images.loc[images["split"] == "train", "file"].to_list()
    if not files:
        raise UserError("the image table has no training image: a memory bank needs normal images")
    return files


def draw_cells(patches: Float[Tensor, "P C"], count: int, generator: torch.Generator) -> Float[Tensor, "p C"]:
    """Draw `count` different patches at random; all where there are no more."""
    if count >= len(patches):
        return patches
    return patches[torch.randperm(len(patches), generator=generator)[:count].to(patches.device)]


def score_images(reader: PatchReader, images: pd.DataFrame, bank: Bank) -> MethodResult:
    """Score every image that is not for training, one by one: no score depends on the other images.

    Args:
        images: the image table.
    """
    rows = rows_to_score(images)
    scores, maps = [], []
    for score, distances in reader.each(rows["file"], bank.judge, label="distances"):
        scores.append(score)
        maps.append(to_half(distances.cpu().numpy()))
    return MethodResult(
        rows.drop(columns="file").assign(score=scores), AnomalyMaps(tuple(rows["image_id"]), np.stack(maps))
    )


def add_rotated(
    reader: PatchReader,
    images: pd.DataFrame,
    result: MethodResult,
    fill: Callable[[pd.DataFrame], Bank],
) -> MethodResult:
    """Add the scores of training images that were held out in turns, each by a bank without them.

    Args:
        images: the image table; where validation does not rotate, the result stays as it is.
        result: of `score_images`.
        fill: fills a bank from an image table, as the one of `result` was.
    """
    turns = {fold: score_images(reader, turned, fill(turned)).scores for fold, turned in rotations(images).items()}
    return replace(result, scores=with_rotated(result.scores, turns))


def patch_distances(patches: Float[Tensor, "h w C"], bank: Float[Tensor, "k C"]) -> Float[Tensor, "h w"]:
    """Return the exact Euclidean distance of each patch to the nearest one of the bank: the anomaly map."""
    rows = patches.flatten(0, 1)
    blocks = [rows] if rows.is_cuda else rows.split(CPU_BLOCK)
    squares = bank.square().sum(dim=1)
    return torch.cat([nearest_squares(block, bank, squares) for block in blocks]).sqrt().view(patches.shape[:2])


def nearest_squares(
    a: Float[Tensor, "A C"], b: Float[Tensor, "B C"], squares: Float[Tensor, " B"]
) -> Float[Tensor, " A"]:
    """Return the squared distance of each row of `a` to the nearest row of `b`, whose squared norms are `squares`."""
    products = torch.addmm(squares, a, b.T, alpha=-2.0)  # all but ||a||², the same for every b
    return (products.amin(dim=1) + a.square().sum(dim=1)).clamp_(min=0.0)


def image_score(
    patches: Float[Tensor, "h w C"], distances: Float[Tensor, "h w"], bank: Float[Tensor, "k C"], *, neighbours: int
) -> float:
    """Return the largest patch distance s*, lowered where the bank itself is sparse.

        s = (1 - exp |p* - m*| / sum_{m in N_b(m*)} exp |p* - m|) s*

    Roth et al., equations 6 and 7: p* is the patch with the largest distance, m* its nearest patch in the bank,
    N_b(m*) the b patches of the bank nearest to m*, m* among them.

    Args:
        neighbours: b; 0 returns s* itself. At 1, or with a bank of one patch, the score would always be 0.

    Raises:
        ValueError: there are not two patches to compare for the reweighting.
    """
    largest, weight = worst_patch(patches, distances, bank, neighbours=neighbours)
    return (1.0 - float(weight)) * float(largest)


def worst_patch(
    patches: Float[Tensor, "h w C"], distances: Float[Tensor, "h w"], bank: Float[Tensor, "k C"], *, neighbours: int
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return s* and the share that lowers it, see `image_score`; no value decides what is computed.

    Raises:
        ValueError: there are not two patches to compare for the reweighting.
    """
    worst = distances.flatten().argmax(keepdim=True)
    largest = distances.flatten()[worst][0]
    if neighbours == 0:
        return largest, torch.zeros_like(largest)
    if min(neighbours, len(bank)) < 2:
        raise ValueError(f"{neighbours} neighbours in a bank of {len(bank)} patches: reweighting needs two")
    patch = patches.flatten(0, 1)[worst]
    nearest = squared_distances(patch, bank)[0].argmin(keepdim=True)
    around = squared_distances(bank[nearest], bank)[0]
    around[nearest] = -1.0  # first in the list even where a duplicate is as near
    support = around.topk(min(neighbours, len(bank)), largest=False).indices
    return largest, squared_distances(patch, bank[support])[0].sqrt().softmax(dim=0)[0]
