"""Settle how component masks are made, by normal training images alone and one criterion: what a second shot changes.

    python -m benchmarks.studies.component_settings pin_tray juice_bottle

Every image is taken twice: as it is, and again by a simulated camera that stands a little elsewhere, under other light
and with noise of its own. Parts are parts of the product, so a good setting finds the same ones in both; that is model
selection by stability (Lange et al., "Stability-Based Validation of Clustering Solutions", Neural Computation 2004).
Taken is the setting with the largest mean panoptic quality of the parts of the second shot against those of the first:

    quality = 2 sum of IoU over matched parts / (parts of the first + parts of the second)

of Kirillov et al. ("Panoptic Segmentation", CVPR 2019, eq. 1), here with every pair of the best one-to-one matching
that overlaps. Settled are `edge` of background difference (where an outline lies) and `superpixels` and `lightness` of
graph merging; the kinds of its parts are settled by `component_kinds`.

Tables of a proposer count where `auto` takes it. A default stays while it is within one standard error of the best
(Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3): equals are not swapped after every change.
The agreement with true components, where the data set brings them, is printed after the choice, for information
only. Needs the stage split.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from rich.table import Table
from torch import Tensor

from benchmarks.studies.second_shots import SecondShots, panoptic_quality, take_again
from stages.aecsad.pseudo_label.choice import trial_rows
from stages.aecsad.pseudo_label.classical.background import propose_by_background
from stages.aecsad.pseudo_label.classical.merging import propose_by_merging
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.aecsad.pseudo_label.proposal import Proposal
from stages.core.encoder.encoder import load_stack
from stages.core.io.tables import image_files, read_images
from stages.core.io.truth import component_files
from stages.core.run.console import CONSOLE
from stages.core.run.params import EncoderParams, load_params
from stages.core.run.stage import command_entry
from stages.evaluation.components import agreement

SPLIT = Path("artifacts/split")
EDGES = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
SUPERPIXELS = (150, 300, 600, 1200, 2400)
LIGHTNESS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+")
    categories = parser.parse_args(argv).categories
    params = load_params(PseudoLabelParams, section="aecsad.pseudo_label")
    for category in categories:
        image_ids, images = training_images(category)
        shots = take_again(images, seed=0)
        for title, settings, propose in searches(params):
            CONSOLE.print(settled(f"{category}: {title}", settings, propose, shots, category, image_ids))
    return f"{len(categories)} categories"


def searches(
    params: PseudoLabelParams,
) -> Iterable[tuple[str, list[dict[str, float]], Callable[..., Proposal]]]:
    """Of each proposer: its name, the settings to compare, and the function that proposes with them."""
    background, merging = params.background_difference.model_dump(), params.graph_merging.model_dump()

    def by_background(images: UInt8[Tensor, "N 3 H W"], **setting: float) -> Proposal:
        return propose_by_background(images, min_area=params.min_area, **{**background, **setting})

    def by_merging(images: UInt8[Tensor, "N 3 H W"], **setting: float) -> Proposal:
        return propose_by_merging(images, min_area=params.min_area, **{**merging, **setting})

    yield "background difference", [{"edge": edge} for edge in EDGES], by_background
    grid = [{"superpixels": number, "lightness": weight} for number in SUPERPIXELS for weight in LIGHTNESS]
    yield "graph merging", grid, by_merging


def settled(
    title: str,
    settings: Sequence[dict[str, float]],
    propose: Callable[..., Proposal],
    shots: SecondShots,
    category: str,
    image_ids: Sequence[str],
) -> Table:
    """One row a setting; the one that changes least in the second shots is marked."""
    first = [propose(shots.first, **setting).values for setting in settings]
    qualities = np.stack(
        [
            panoptic_quality(values, propose(shots.second, **setting).values, shots.shifts)
            for setting, values in zip(settings, first, strict=True)
        ]
    )
    taken = int(qualities.mean(axis=1).argmax())
    table = Table(*settings[0], "quality of the second shot", "behind the best", "IoU with true parts", title=title)
    components = component_files(SPLIT / category / "truth")
    for row, (setting, values) in enumerate(zip(settings, first, strict=True)):
        truth = agreement(components, image_ids, values)
        table.add_row(
            *(f"{value:g}" for value in setting.values()),
            f"{qualities[row].mean():.4f}{' (taken)' if row == taken else ''}",
            difference(qualities[taken] - qualities[row]),
            "" if truth is None else f"{truth.matched_iou:.3f}",
        )
    return table


def difference(values: Float64[np.ndarray, " N"]) -> str:
    """Mean of the images' differences and its standard error."""
    return f"{values.mean():.4f} ± {values.std(ddof=1) / np.sqrt(len(values)):.4f}"


def training_images(category: str) -> tuple[list[str], UInt8[Tensor, "N 3 H W"]]:
    """Names and pixels of the normal training images that proposers are tried on."""
    inputs, size = SPLIT / category / "inputs", load_params(EncoderParams, section="encoder").image_size
    train = read_images(inputs).query("split == 'train'")
    train = train.iloc[list(trial_rows(len(train)))]
    return train["image_id"].tolist(), load_stack(image_files(inputs), train["file"], size=size)


if __name__ == "__main__":
    main()
