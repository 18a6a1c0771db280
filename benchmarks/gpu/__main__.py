"""Run everything of this repository that needs a GPU to be tried, in one go: `python -m benchmarks.gpu`.

Random weights and generated images: nothing is downloaded, and no accuracy is measured. Every row of the table is one
check with its time and its highest GPU memory; one that fails, runs out of memory or returns a value that is not finite
is a fault, and the command then ends with code 1. Without a GPU, or with `--small`, tiny networks run on what there is.
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.gpu.isolation import run_isolated
from benchmarks.gpu.rows import faults, print_table, report
from stages.core.run.stage import command_entry

TOPICS = (
    "benchmarks.gpu.encoder",
    "benchmarks.gpu.neighbours",
    "benchmarks.gpu.checkpoints",
    "benchmarks.gpu.foundation",
    "benchmarks.gpu.clip",
    "benchmarks.gpu.segmentation",
    "benchmarks.gpu.sir",
    "benchmarks.gpu.patch_students",
    "benchmarks.gpu.predict",
    "benchmarks.gpu.students",
)
ROW_SECONDS, ALL_SECONDS = 150, 570  # more is a fault


@command_entry
def main(argv: Sequence[str]) -> str:
    """Run the checks of all topics, print their table and return its closing counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny networks and few images, also where there is a GPU")
    small = parser.parse_args(argv).small
    run = run_isolated(TOPICS, small=small, row_seconds=ROW_SECONDS, all_seconds=ALL_SECONDS, report=report)
    print_table(run)
    if count := faults(run.rows):
        sys.exit(f"{count} of {len(run.rows)} checks are faulty: see the table")
    return f"{len(run.rows)} checks without a fault"


if __name__ == "__main__":
    main()
