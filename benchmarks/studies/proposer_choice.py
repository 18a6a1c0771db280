"""Is the proposer that is chosen without labels among the best, on logical anomalies that nobody chose it by?

    python -m benchmarks.studies.proposer_choice --drawn keypad bus --seeds 0 1 2 --output outcomes.csv
    python -m benchmarks.studies.proposer_choice --folders artifacts/download/pin_tray

Every proposer goes through the whole chain for logical anomalies (clusters, decoder, histogram, numbers of parts, with
the active profile's settings), and so does the choice between them by edited pictures. The AUROCs are of true logical
anomalies: the test images of a folder in the layout of MVTec LOCO, or those that `drawn_anomalies` draws. They are
looked at afterwards, by this study only. Without arguments: all drawn products, seed 0.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from rich.table import Table

from benchmarks.studies.drawings import PRODUCTS
from benchmarks.studies.drawn_anomalies import write_product
from benchmarks.studies.proposer_trials import Memory, Outcome, load_settings, prepare, try_proposers
from stages.core.run.console import CONSOLE
from stages.core.run.stage import command_entry

WITHIN = 0.03  # of AUROC, that the choice may be behind the best


@command_entry
def main(argv: Sequence[str]) -> str:
    """Print a row for each product and seed, and write all numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--drawn", nargs="*", choices=PRODUCTS, metavar="product", help="of benchmarks.studies.drawings"
    )
    parser.add_argument("--folders", nargs="*", type=Path, default=[], help="products in the layout of MVTec LOCO")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--output", type=Path, help="CSV of all outcomes; what it holds already is not done again")
    given = parser.parse_args(argv)
    drawn = list(PRODUCTS) if given.drawn is None and not given.folders else given.drawn or []
    outcomes = read_outcomes(given.output)
    done = {(one.product, one.seed) for one in outcomes}
    for found in run(drawn, given.folders, given.seeds, done):
        outcomes += found
        if given.output is not None:
            pd.DataFrame([asdict(one) for one in outcomes]).to_csv(given.output, index=False)
    CONSOLE.print(table_of(outcomes))
    behind = [loss for loss in losses(outcomes, "logical").values() if loss > WITHIN]
    return f"{len(losses(outcomes, 'logical'))} choices, {len(behind)} more than {WITHIN:.0%} behind the best proposer"


def read_outcomes(path: Path | None) -> list[Outcome]:
    """Return what an earlier run wrote; nothing where there is none."""
    if path is None or not path.exists():
        return []
    return [
        Outcome(**{str(name): value for name, value in row.items()}) for row in pd.read_csv(path).to_dict("records")
    ]


def run(
    drawn: Sequence[str], folders: Sequence[Path], seeds: Sequence[int], done: set[tuple[str, int]]
) -> Iterator[list[Outcome]]:
    """Yield the outcomes of each product and seed that is not done; a seed's drawings are photographs of its own."""
    settings = load_settings()
    size = settings.encoder.image_size
    given: list[Path | str] = [*folders, *drawn]
    for name in given:
        memory, product = Memory(), name.name if isinstance(name, Path) else f"drawn {name}"
        for seed in seeds:
            if (product, seed) in done:
                continue
            with tempfile.TemporaryDirectory() as scratch:
                dataset, images = Path(scratch) / "dataset", Path(scratch) / "images"
                images.mkdir()
                if not isinstance(name, Path):
                    write_product(dataset, PRODUCTS[name], seed=seed)
                prepared = prepare(name if isinstance(name, Path) else dataset, images, size=size, seed=seed)
                yield try_proposers(product, prepared, settings, memory, seed=seed)


def losses(outcomes: Sequence[Outcome], column: str) -> dict[tuple[str, int], float]:
    """Return how far the chosen proposer is behind the best one, by product and seed."""
    found: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        found[one.product, one.seed].append(one)
    return {
        key: max(getattr(one, column) for one in rows) - next(getattr(one, column) for one in rows if one.taken)
        for key, rows in found.items()
    }


def table_of(outcomes: Sequence[Outcome]) -> Table:
    """Return a row for each product, seed and proposer; the chosen one is marked."""
    heads = ("judge", "decoder", "histogram", "logical", "parts")
    table = Table("product", "seed", "proposer", *(f"{head}, %" for head in heads), "behind")
    behind = losses(outcomes, "logical")
    for one in outcomes:
        cells = [one.judged, one.decoder, one.histogram, one.logical, one.parts]
        loss = f"{behind[one.product, one.seed] * 100:.1f}" if one.taken else ""
        marked = f"{one.proposer}{' (taken)' if one.taken else ''}"
        table.add_row(one.product, str(one.seed), marked, *(f"{cell * 100:.1f}" for cell in cells), loss)
    return table


if __name__ == "__main__":
    main()
