"""Settle whether kinds of graph merging's parts go by colour or are left to MeanShift, without labels.

    python -m benchmarks.component_kinds pin_tray juice_bottle elpv_mono

Every image is taken twice (see `component_settings`), and both shots go through proposer and cluster room by
themselves. Kinds are good that are the same in both: the agreement of their label maps is the adjusted Rand index
(Hubert and Arabie, "Comparing partitions", Journal of Classification 1985) over all pixels that have a class in either,
which is 0 for what chance would give: without that, the fewer classes the better (Lange et al., "Stability-Based
Validation of Clustering Solutions", Neural Computation 2004, section 3.2).

The rule: of both ways that with the larger mean agreement is taken, where every product counts once on which `auto`
takes graph merging: the categories named, and those of `further_products`. The older drawings do not count: kinds of
`drawn_products` had been looked at when this rule was written. It was first run with `touching_products`, took
MeanShift (0.760 to 0.738) and showed why colours failed: they changed with the light. They are evened since then, which
those products had led to; hence the further ones. The agreement with the true classes, where a drawing brings them, is
printed for people: nothing goes by it. Needs the stages download and split.
"""

import argparse
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8
from rich.table import Table
from torch import Tensor

from benchmarks.auto_choice import choose
from benchmarks.component_settings import training_images
from benchmarks.drawing import photographs
from benchmarks.further_products import PRODUCTS
from benchmarks.second_shots import SecondShots, same_classes, take_again
from stages.aecsad.cluster.label_images import label_images
from stages.aecsad.cluster.params import ClusterParams
from stages.aecsad.pseudo_label.graph_merging import propose_by_merging
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.core.artifacts.component_maps import ComponentMaps
from stages.core.artifacts.label_maps import LabelMaps
from stages.core.running.console import CONSOLE
from stages.core.running.params import EncoderParams, load_params, load_value
from stages.core.running.stage import command_entry

MERGING = "graph_merging"
WAYS = {"by colour": True, "by MeanShift": False}  # what `colour_kinds` says


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+")
    table = Table("product", "kinds", "agreement", "classes", "images labelled", "with true classes")
    agreements: dict[str, list[float]] = {way: [] for way in WAYS}
    for name, images, true_classes in products(parser.parse_args(argv).categories):
        if (taken := choose(images).choice.proposer) != MERGING:
            table.add_row(name, f"does not count: {taken}")
            continue
        for way, agreement in compare(table, name, images, true_classes).items():
            agreements[way].append(agreement)
    for way, values in agreements.items():
        table.add_row(f"mean of {len(values)}", way, f"{np.mean(values):.3f}")
    CONSOLE.print(table)
    return f"taken: kinds {max(agreements, key=lambda way: np.mean(agreements[way]))}"


def products(
    categories: Sequence[str],
) -> Iterable[tuple[str, UInt8[Tensor, "N 3 H W"], UInt8[np.ndarray, "N H W"] | None]]:
    """Name, images and true classes of all products that may count."""
    for category in categories:
        yield category, training_images(category)[1], None
    for name, product in PRODUCTS.items():
        yield name, *photographs(product)


def compare(
    table: Table, name: str, images: UInt8[Tensor, "N 3 H W"], true_classes: UInt8[np.ndarray, "N H W"] | None
) -> dict[str, float]:
    """Add one row for each way; the agreement of both shots by way."""
    shots, agreements = take_again(images, seed=0), {}
    still = np.zeros_like(shots.shifts)
    for way, both in both_labelled(shots).items():
        first, second = both
        agreements[way] = same_classes(first.values, second.values, shots.shifts)
        classes, labelled = ([number(one) for one in both] for number in (number_of_classes, number_labelled))
        known = "" if true_classes is None else f"{same_classes(first.values, true_classes, still):.3f}"
        table.add_row(name, way, f"{agreements[way]:.3f}", str(classes)[1:-1], str(labelled)[1:-1], known)
    return agreements


def both_labelled(shots: SecondShots) -> dict[str, tuple[LabelMaps, LabelMaps]]:
    """The cluster room's label maps of both shots, by way."""
    params = load_params(PseudoLabelParams, section="aecsad.pseudo_label")
    settings = {**params.graph_merging.model_dump(), "colour_kinds": True}
    encoder, seed = load_params(EncoderParams, section="encoder").name, load_value("seed")
    clustering = load_params(ClusterParams, section="aecsad.cluster").model_dump()
    image_ids = tuple(str(row) for row in range(len(shots.first)))

    def labelled(images: UInt8[Tensor, "N 3 H W"]) -> dict[str, LabelMaps]:
        parts = propose_by_merging(images, min_area=params.min_area, **settings)
        kinds = {way: parts.kinds if known else np.zeros_like(parts.kinds) for way, known in WAYS.items()}
        maps = {way: ComponentMaps(image_ids, parts.values, values) for way, values in kinds.items()}
        return {way: label_images(parts, images, encoder, seed=seed, **clustering)[0] for way, parts in maps.items()}

    first, second = labelled(shots.first), labelled(shots.second)
    return {way: (first[way], second[way]) for way in WAYS}


def number_of_classes(labels: LabelMaps) -> int:
    return labels.num_classes - 1


def number_labelled(labels: LabelMaps) -> int:
    return int(labels.labelled.sum())


if __name__ == "__main__":
    main()
