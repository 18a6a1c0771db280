"""Score new images with the trained AeCSAD parts of a category.

Makes the folder DIR, or nothing when it fails or is interrupted:

  scores.csv      path, score, threshold, is_anomalous, display_score (0.5 at the threshold), a column a branch (empty:
                  left out by the pipeline), heatmap, milliseconds (from opening the file to the score)
  heatmaps/       the images under their anomaly maps; blue is normal, red is anomalous
  unreadable.csv  path, error

Folders are searched with all folders below, hidden ones and links to folders left out. Unreadable files do not stop
the run; it fails when no image can be read. Run it from the repository's root, after `dvc repro`.
"""

from collections.abc import Sequence

from stages.core.device import pick_device
from stages.core.running.atomic import replacing_folder
from stages.core.running.params import load_value
from stages.core.running.stage import command_entry
from stages.core.seeding import seed_everything
from stages.predict.command_line import parse_arguments
from stages.predict.heatmaps import HEATMAPS
from stages.predict.inputs import find_images
from stages.predict.output import results_folder, write_tables
from stages.predict.params import part_files
from stages.predict.parts import load_parts
from stages.predict.run import score_images


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
