"""A memory bank that sees patches in two ways: as they are, and whitened.

Both are right about other defects: whitened distances see what changes quiet channels, plain ones what changes loud
ones, and what is unusual in one way only by chance is not in the other. Their mean, each in units of its own spread
among normal images, varies less than either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from stages.aecsad.hybrid_fusion.discriminating import Halves, examples_of, fit_discriminator
from stages.core.neighbours.bank import Bank, PatchReader, View, draw_cells, training_files
from stages.core.neighbours.coreset import choose_coreset
from stages.core.neighbours.whitening import Whitening, fit_whitening, usual_distances

SHOWN_IMAGES = 64  # training images at most that show how distances vary and what is usual at a place
LEAST_SPREAD = 1e-3  # of the patches' own: where normal images are equal, distances are rounding errors


@dataclass(frozen=True)
class Drawn:
    """Patches of training images to choose from.

    Attributes:
        patches: of all these images.
        sources: number of the image that each one is of.
        shown: number and all patches of some of the images.
    """

    patches: Float[Tensor, "P C"]
    sources: Int[Tensor, " P"]
    shown: Sequence[tuple[int, Float[Tensor, "h w C"]]]


def fill_viewed_bank(
    reader: PatchReader,
    images: pd.DataFrame,
    *,
    count: int,
    cells_per_image: int,
    dimensions: int,
    generator: torch.Generator,
    broken: Sequence[tuple[int, Float[Tensor, "p C"]]] = (),
) -> Bank:
    """Choose patches of the training images for each view, and see what distances are usual among these images.

    Args:
        images: the image table; only its rows of split "train" are read.
        count: patches to keep in each view; all where fewer are drawn.
        cells_per_image: so many patches of each image, drawn at random, are chosen from.
        dimensions, generator: see `choose_coreset`.
        broken: patches for a discriminator, of `read_damaged`; none of them: no discriminator.

    Raises:
        UserError: the table has no training image.
    """
    drawn = draw_patches(reader, images, cells_per_image=cells_per_image, generator=generator)
    views, found = [], []
    whitening = fit_whitening(drawn.patches)
    for whitened in (None, whitening):
        view, maps = choose_view(drawn, whitened, count=count, dimensions=dimensions, generator=generator)
        views.append(view)
        found.append(maps)
    common = [(number, patches) for number, patches in drawn.shown if all(number in maps for maps in found)]
    means = [torch.stack([maps[number] for maps in found]).mean(dim=0) for number, _ in common]
    halves = teach(drawn, broken, whitening, common, means, generator)
    if halves is None:
        return Bank(tuple(views), neighbours=0, usual=usual_distances(means))
    raised = [one + halves.held_out(number, patches) for one, (number, patches) in zip(means, common, strict=True)]
    return Bank(tuple(views), neighbours=0, usual=usual_distances(raised), discriminator=halves.together)


def teach(
    drawn: Drawn,
    broken: Sequence[tuple[int, Float[Tensor, "p C"]]],
    whitening: Whitening,
    shown: Sequence[tuple[int, Float[Tensor, "h w C"]]],
    distances: Sequence[Float[Tensor, "h w"]],
    generator: torch.Generator,
) -> Halves | None:
    """Fit the discriminator; None without damaged patches or normal distances to add it to.

    Args:
        drawn: normal patches.
        broken: see `fill_viewed_bank`.
        shown: number and patches of training images.
        distances: of the same.
    """
    if not broken or not distances:
        return None
    spread = float(torch.stack(list(distances)).double().std(unbiased=False))
    examples = examples_of(drawn.patches, drawn.sources, broken)
    return fit_discriminator(examples, whitening, shown, spread=spread, generator=generator)


def draw_patches(
    reader: PatchReader, images: pd.DataFrame, *, cells_per_image: int, generator: torch.Generator
) -> Drawn:
    """Draw patches of each training image; see `fill_viewed_bank`."""
    files = training_files(images)
    drawn, shown = [], []
    for number, image in enumerate(reader.read(files, label="training patches")):
        drawn.append(draw_cells(image.flatten(0, 1), cells_per_image, generator))
        if number % -(-len(files) // SHOWN_IMAGES) == 0:
            shown.append((number, image))
    sources = torch.cat([torch.full((len(one),), number) for number, one in enumerate(drawn)])
    return Drawn(torch.cat(drawn), sources, shown)


def choose_view(
    drawn: Drawn, whitening: Whitening | None, *, count: int, dimensions: int, generator: torch.Generator
) -> tuple[View, dict[int, Float[Tensor, "h w"]]]:
    """Return a view, and the maps of training images in it by number; see `distances_to_others`."""
    whole = View(drawn.patches, whitening)
    patches = whole.seen(drawn.patches)
    ratio = min(1.0, count / len(patches))
    chosen = choose_coreset(patches, ratio=ratio, dimensions=dimensions, generator=generator)
    view = replace(whole, patches=patches[chosen.to(patches.device)])
    maps = distances_to_others(drawn.shown, view, drawn.sources[chosen])
    spread = spread_of(maps, patches)
    return replace(view, spread=spread), {number: one / spread for number, one in maps.items()}


def distances_to_others(
    images: Sequence[tuple[int, Float[Tensor, "h w C"]]], view: View, sources: Int[Tensor, " k"]
) -> dict[int, Float[Tensor, "h w"]]:
    """Map the distances of training images to the view's patches of other images, for each that has some.

    Args:
        images: number and patches of each.
        sources: number of the image that each patch of the view is of.
    """
    others = [(number, image, (sources != number).to(view.patches.device)) for number, image in images]
    return {
        number: replace(view, patches=view.patches[kept])(image) for number, image, kept in others if bool(kept.any())
    }


def spread_of(maps: Mapping[int, Float[Tensor, "h w"]], patches: Float[Tensor, "P C"]) -> float:
    """Return the standard deviation of the distances, not less than LEAST_SPREAD of that of the patches.

    Without a map, of a single training image, it is that of the patches: the root of their total variance. 1 where they
    do not vary.
    """
    own = float(patches.double().var(dim=0, unbiased=False).sum().sqrt())
    cells = [one.flatten().double() for one in maps.values()]
    found = float(torch.cat(cells).std(unbiased=False)) if cells else own
    return max(found, LEAST_SPREAD * own) or 1.0
