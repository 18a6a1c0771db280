"""Score new images with the trained AeCSAD parts of a category.

Makes the folder DIR, or nothing when it fails or is interrupted:

  scores.csv      path, score, threshold, is_anomalous, display_score (0.5 at the threshold), a column a branch (empty:
                  left out by the pipeline), heatmap, milliseconds (from opening the file to the score)
  heatmaps/       the images under their anomaly maps; blue is normal, red is anomalous
  unreadable.csv  path, error

Folders are searched with all folders below, hidden ones and links to folders left out. Unreadable files do not stop
the run; it fails when no image can be read. Run it from the repository's root, after `dvc repro`.

The arguments of the command.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from commands.predict.inputs import find_images
from commands.predict.model import load_parts, part_files
from commands.predict.results import HEATMAPS, results_folder, score_images, write_tables
from stages.core.encoder.device import pick_device, seed_everything
from stages.core.run.atomic import replacing_folder
from stages.core.run.params import load_value
from stages.core.run.stage import command_entry


@dataclass(frozen=True)
class Arguments:
    """As given by the user.

    Attributes:
        inputs: files and folders, at least one.
        output: folder of the results.
        overwrite: whether results that lie there already may be replaced.
    """

    category: str
    inputs: tuple[Path, ...]
    output: Path
    overwrite: bool


def parse_arguments(argv: Sequence[str], *, about: str | None) -> Arguments:
    """Parse the command line; `--help` and wrong arguments end the process with argparse's messages.

    Args:
        about: the module's docstring.
    """
    parser = argparse.ArgumentParser(
        prog="python -m commands.predict", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IMAGE_OR_FOLDER")
    parser.add_argument("--category", required=True, help="a key of `categories` in params.yaml")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to make for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results of this command in DIR")
    given = parser.parse_intermixed_args(argv)
    return Arguments(given.category, tuple(given.inputs), given.output, given.overwrite)


@command_entry
def main(argv: Sequence[str]) -> str:
    """Paths, parts, score, write."""
    arguments = parse_arguments(argv, about=__doc__)
    files = part_files(arguments.category)
    inputs = find_images(arguments.inputs, output=arguments.output)
    with results_folder(arguments.output, overwrite=arguments.overwrite) as folder:
        seed_everything(load_value("seed"))  # nothing is drawn, but kernels are chosen as in training
        parts = load_parts(files, device=pick_device())
        with replacing_folder(folder / HEATMAPS) as heatmaps:
            outcome = score_images(parts, inputs, heatmaps=heatmaps)
        write_tables(folder, outcome)
    return str(outcome)


if __name__ == "__main__":
    main()
