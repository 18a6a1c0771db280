"""How many training images the finer memory bank of `oddpart` needs, judged without test images.

    python -m benchmarks.fine_bank elpv_mono

Prints the AUROC of synthetic defects (scratch, pasted patch, stain) against the validation images they were made
from, for some banks and the seeds 0 and 1 of their draw. Needs the stage split.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table
from sklearn.metrics import roc_auc_score

from stages.aecsad.hybrid_fusion.neighbours import score_at_high_resolution
from stages.aecsad.hybrid_fusion.params import FineNeighboursParams, HybridFusionParams
from stages.core.io.tables import SYNTHETIC, read_images
from stages.core.run.console import CONSOLE
from stages.core.run.params import EncoderParams, load_params
from stages.core.run.stage import command_entry
from stages.split.synthetic import KINDS

SEEDS = (0, 1)
BANKS = ((160, 784), (320, 784), (1000, 196), (1000, 784))  # training images at most, patches of each


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+")
    parser.add_argument("--split", type=Path, default=Path("artifacts/split"), help="folder of the stage's results")
    given = parser.parse_args(argv)
    params, encoder = (
        load_params(HybridFusionParams, section="aecsad.hybrid_fusion"),
        load_params(EncoderParams, section="encoder"),
    )
    table = Table("category", "images at most", "patches of each", *KINDS, "all", "s")
    for category in given.categories:
        inputs = given.split / category / "inputs"
        images = read_images(inputs).query("split in ['train', 'validation', @SYNTHETIC]")
        for count, cells in BANKS:
            section = params.model_dump()["fine_neighbours"] | {"training_images": count, "cells_per_image": cells}
            bank = FineNeighboursParams.model_validate(section)
            started = time.perf_counter()
            results = [score_at_high_resolution(images, inputs, bank, encoder=encoder.network, seed=n) for n in SEEDS]
            seconds = (time.perf_counter() - started) / len(SEEDS)
            aurocs = [synthetic_aurocs(fine.result.scores) for fine in results if fine is not None]
            means = [f"{statistics.mean(values):.1f}" for values in zip(*aurocs, strict=True)]
            table.add_row(category, str(count), str(cells), *means, f"{seconds:.0f}")
    CONSOLE.print(table)
    return f"{len(given.categories)} categories, seeds {SEEDS}"


def synthetic_aurocs(scores: pd.DataFrame) -> list[float]:
    """In %, of each kind and of all together; the kinds take turns, see `stages.split.synthetic`."""
    ordered = scores.sort_values("image_id")
    normal, synthetic = (
        ordered.loc[ordered["split"] == split, "score"].to_numpy() for split in ("validation", SYNTHETIC)
    )
    kinds = [synthetic[number :: len(KINDS)] for number in range(len(KINDS))]
    return [
        100 * float(roc_auc_score(np.repeat([0, 1], [len(normal), len(some)]), np.concatenate([normal, some])))
        for some in [*kinds, synthetic]
    ]


if __name__ == "__main__":
    main()
