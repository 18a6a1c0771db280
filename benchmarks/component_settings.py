"""Judge two settings of the component masks by normal training images alone.

    python -m benchmarks.component_settings pin_tray juice_bottle

Where a part's outline lies (`background_difference.edge`): parts of a product are equally large in every image, so the
area that all parts of an image cover should vary little. Halos let in by a low outline vary; the smallest value whose
spread is within one standard error of the smallest spread takes in most of the parts without them (the rule of one
standard error: Breiman et al., Classification and Regression Trees, 1984, section 3.4.3).

Which parts are of one kind (graph merging): by the groups of their colours, or, with kinds left open, by the cluster
room's MeanShift. The more images are labelled, the better the components of different images agree.

The agreement with true components, where the data set brings them, is printed for people: nothing goes by it. Needs the
stages download and split.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16
from rich.table import Table
from torch import Tensor

from stages.aecsad.cluster.label_images import label_images
from stages.aecsad.cluster.params import ClusterParams
from stages.aecsad.label_review.matching import agreement
from stages.aecsad.pseudo_label.background_difference import propose_by_background
from stages.aecsad.pseudo_label.choice import summarise
from stages.aecsad.pseudo_label.graph_merging import propose_by_merging
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.core.artifacts.component_maps import ComponentMaps
from stages.core.artifacts.images import read_images
from stages.core.frozen_encoder.image_tensors import load_stack
from stages.core.running.console import CONSOLE
from stages.core.running.params import EncoderParams, load_params, load_value
from stages.core.running.stage import command_entry

EDGES = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+")
    categories = parser.parse_args(argv).categories
    params = load_params(PseudoLabelParams, section="aecsad.pseudo_label")
    for category in categories:
        CONSOLE.print(outlines(category, params))
        CONSOLE.print(kinds(category, params))
    return f"{len(categories)} categories"


def outlines(category: str, params: PseudoLabelParams) -> Table:
    """One row a value of `edge`; the one that the rule takes is marked."""
    image_ids, images = training_images(category)
    found = {}
    for edge in EDGES:
        settings = {**params.background_difference.model_dump(), "edge": edge}
        found[edge] = propose_by_background(images, min_area=params.min_area, **settings).values
    spreads = {edge: spread_of_area(values) for edge, values in found.items()}
    taken = smallest_within_one_error(spreads, images=len(image_ids))
    table = Table("outline at", "images with the usual number", "spread of the area", "IoU of matched", title=category)
    for edge, values in found.items():
        truth = agreement(Path("artifacts/download") / category, image_ids, values)
        table.add_row(
            f"{edge:g}{' (taken)' if edge == taken else ''}",
            f"{summarise(values).count_agreement:.0%}",
            f"{spreads[edge]:.4f}",
            "" if truth is None else f"{truth.matched_iou:.3f}",
        )
    return table


def spread_of_area(values: UInt16[np.ndarray, "N H W"]) -> float:
    """Standard deviation of the share of an image that parts cover, relative to its mean; infinite without parts."""
    areas = (values > 0).mean(axis=(1, 2))
    return float(areas.std() / areas.mean()) if areas.any() else float("inf")


def smallest_within_one_error(spreads: dict[float, float], *, images: int) -> float:
    """The smallest value whose spread exceeds the least one by at most its standard error, spread / √(2(N-1))."""
    limit = min(spreads.values()) * (1 + 1 / np.sqrt(2 * (images - 1)))
    return min(edge for edge, spread in spreads.items() if spread <= limit)


def kinds(category: str, params: PseudoLabelParams) -> Table:
    """How many images the cluster room labels with the kinds of graph merging, and without."""
    image_ids, images = training_images(category)
    merged = propose_by_merging(images, min_area=params.min_area, **params.graph_merging.model_dump())
    settings = load_params(ClusterParams, section="aecsad.cluster").model_dump()
    encoder, seed = load_params(EncoderParams, section="encoder").name, load_value("seed")
    table = Table("kinds of graph merging's parts", "classes", "images labelled", title=category)
    for name, known in (("by colour", merged.kinds), ("by MeanShift", np.zeros_like(merged.kinds))):
        components = ComponentMaps(tuple(image_ids), merged.values, known)
        labels = label_images(components, images, encoder, seed=seed, **settings)[0]
        table.add_row(name, str(labels.num_classes - 1), f"{labels.labelled.sum()} of {len(image_ids)}")
    return table


def training_images(category: str) -> tuple[list[str], UInt8[Tensor, "N 3 H W"]]:
    """Names and pixels of the category's normal training images."""
    folder, size = Path("artifacts/split") / category, load_params(EncoderParams, section="encoder").image_size
    train = read_images(folder / "images.parquet").query("split == 'train'")
    return train["image_id"].tolist(), load_stack(folder / "images", train["file"], size=size)


if __name__ == "__main__":
    main()
