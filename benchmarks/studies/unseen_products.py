"""Judge component masks of drawn products against their true components.

    python -m benchmarks.studies.unseen_products
    python -m benchmarks.studies.unseen_products --products keypad wall_section

The products are drawn with their true components: see `drawings`, which says what each round led to. The settings of
the active profile are used as they are. The quality is the panoptic quality of `component_settings`, here against the
true parts; its means follow the table.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.table import Table

from benchmarks.studies.auto_choice import choose
from benchmarks.studies.canvas import IMAGES, Product, photographs
from benchmarks.studies.drawings import PRODUCTS
from benchmarks.studies.second_shots import panoptic_quality
from stages.core.run.console import CONSOLE
from stages.core.run.stage import command_entry
from stages.evaluation.components import agreement, true_instances


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", nargs="+", choices=PRODUCTS, default=list(PRODUCTS), metavar="product")
    names = parser.parse_args(argv).products
    table = Table("product", "proposer", "parts", "quality", "IoU of matched", "found (IoU 0.5)", "error of the count")
    qualities = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            qualities.append(rows(table, name, PRODUCTS[name], Path(folder)))
    CONSOLE.print(table)
    means = {proposer: np.mean([quality[proposer] for quality in qualities]) for proposer in qualities[0]}
    return f"{len(names)} products; " + ", ".join(f"{proposer} {mean:.3f}" for proposer, mean in means.items())


def rows(table: Table, name: str, product: Product, folder: Path) -> dict[str, float]:
    """One row a proposer; the one that `auto` takes is marked. Returns the mean quality of each."""
    images, true_classes = photographs(product)
    image_ids = [f"{number:03d}" for number in range(IMAGES)]
    for image_id, classes in zip(image_ids, true_classes, strict=True):
        cv2.imwrite(str(folder / f"{image_id}.png"), classes)
    chosen = choose(product, images)
    truths = np.stack([true_instances(classes, size=images.shape[-1]) for classes in true_classes])
    still, qualities = np.zeros((IMAGES, 2), dtype=np.int64), {}
    for proposer, trial in chosen.trials.items():
        truth = agreement(folder, image_ids, trial.values)
        assert truth is not None
        qualities[proposer] = float(panoptic_quality(truths, trial.values, still).mean())
        table.add_row(
            name,
            f"{proposer}{' (taken)' if proposer == chosen.choice.proposer else ''}",
            f"{chosen.choice.summaries[proposer].count_median:g}",
            f"{qualities[proposer]:.3f}",
            f"{truth.matched_iou:.3f}",
            f"{truth.found:.1%}",
            f"{truth.count_error:.1f}",
        )
    return qualities


if __name__ == "__main__":
    main()
