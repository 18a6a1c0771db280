"""Component masks of drawn products that no setting was chosen on.

    python -m benchmarks.unseen_products

Drawn with their true components: see `drawn_products`, `touching_products`, `further_products` and
`deciding_products`, which say what they led to. The settings of params.yaml are used as they are.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
from rich.table import Table

from benchmarks import deciding_products, drawn_products, further_products, touching_products
from benchmarks.auto_choice import choose
from benchmarks.drawing import IMAGES, Product, photographs
from stages.aecsad.label_review.matching import FOLDER, agreement
from stages.core.running.console import CONSOLE
from stages.core.running.stage import command_entry

ROUNDS = (drawn_products, touching_products, further_products, deciding_products)
PRODUCTS = {name: product for module in ROUNDS for name, product in module.PRODUCTS.items()}


@command_entry
def main(argv: Sequence[str]) -> str:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    table = Table("product", "proposer", "parts", "IoU of matched", "found with IoU 0.5", "error of the count")
    for name, product in PRODUCTS.items():
        with tempfile.TemporaryDirectory() as folder:
            rows(table, name, product, Path(folder))
    CONSOLE.print(table)
    return f"{len(PRODUCTS)} products"


def rows(table: Table, name: str, product: Product, folder: Path) -> None:
    """One row a proposer; the one that `auto` takes is marked."""
    images, true_classes = photographs(product)
    image_ids = [f"{number:03d}" for number in range(IMAGES)]
    (folder / FOLDER).mkdir()
    for image_id, classes in zip(image_ids, true_classes, strict=True):
        cv2.imwrite(str(folder / FOLDER / f"{image_id}.png"), classes)
    chosen = choose(images)
    for proposer, trial in chosen.trials.items():
        truth = agreement(folder, image_ids, trial.values)
        assert truth is not None
        table.add_row(
            name,
            f"{proposer}{' (taken)' if proposer == chosen.choice.proposer else ''}",
            f"{chosen.choice.summaries[proposer].count_median:g}",
            f"{truth.matched_iou:.3f}",
            f"{truth.found:.1%}",
            f"{truth.count_error:.1f}",
        )


if __name__ == "__main__":
    main()
