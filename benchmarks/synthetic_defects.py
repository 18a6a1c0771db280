"""Judge settings of the student-teacher branch without test images, by synthetic defects in validation normals.

    python -m benchmarks.synthetic_defects pin_tray                                   # the profile as it is
    python -m benchmarks.synthetic_defects pin_tray training.hard_quantile=0.999   # below student_teacher

Prints the AUROC of each map and of their sum between normal validation images and the same images with one scratch,
one patch pasted from elsewhere, or one stain, and the students' mean error on the normal ones. Needs the split stage.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.table import Table
from sklearn.metrics import roc_auc_score

from stages.aecsad.model.student_teacher import Maps
from stages.aecsad.student_teacher.fitting import Fitted, fit_student_teacher
from stages.aecsad.student_teacher.params import StudentTeacherParams
from stages.aecsad.student_teacher.scoring import calibrate
from stages.core.encoder.encoder import load_stack, to_float
from stages.core.io.tables import image_files, read_images
from stages.core.run.console import CONSOLE
from stages.core.run.params import EncoderParams, load_params, load_seed, load_value, profile_file, validate
from stages.core.run.stage import command_entry
from stages.split.synthetic import KINDS, add_defect

SECTION = "aecsad.student_teacher"


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("category")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    arguments = parser.parse_args(argv)
    params = changed_params(arguments.settings)
    encoder, seed = load_params(EncoderParams, section="encoder"), load_seed()
    inputs = Path("artifacts/split") / arguments.category / "inputs"
    images = read_images(inputs)
    started = time.perf_counter()
    fitted = fit_student_teacher(images, image_files(inputs), params, encoder, seed=seed)
    seconds = time.perf_counter() - started
    normal = load_stack(
        image_files(inputs), images.loc[images["split"] == "validation", "file"], size=encoder.image_size
    )
    random = np.random.default_rng(seed)
    pictures = normal.permute(0, 2, 3, 1).numpy()
    synthetic = [[add_defect(picture, kind, random) for kind in KINDS] for picture in pictures]
    maps = [raw_maps(fitted, picture) for picture in pictures]
    calibrate(fitted.module, maps, quantiles=params.maps.quantiles)
    synthetic_maps = [[raw_maps(fitted, picture) for picture in defects] for defects in synthetic]
    CONSOLE.print(table_of(fitted, maps, synthetic_maps))
    changes = " ".join(arguments.settings) or "as in the profile"
    return f"{arguments.category}, {changes}: {len(normal)} validation normals, fitted in {seconds:.0f} s"


def changed_params(settings: Sequence[str]) -> StudentTeacherParams:
    """The active profile's section with some values replaced."""
    file = profile_file()
    section: dict[str, Any] = load_value(SECTION, file=file)
    for setting in settings:
        key, _, value = setting.partition("=")
        *parents, last = key.split(".")
        node = section
        for parent in parents:
            node = node[parent]
        node[last] = yaml.safe_load(value)
    return validate(StudentTeacherParams, section, where=SECTION, file=file)


def raw_maps(fitted: Fitted, picture: np.ndarray) -> Maps:
    """The maps of one picture before calibration."""
    image = to_float(torch.from_numpy(picture).permute(2, 0, 1)[None]).to(fitted.encoder.mean.device)
    return fitted.module.raw_maps(fitted.encoder.normalise(image), fitted.encoder(image))


def table_of(fitted: Fitted, normal: Sequence[Maps], synthetic: Sequence[Sequence[Maps]]) -> Table:
    """One row a map and one for their sum."""
    table = Table(*["map", *KINDS, "mean", "error on normals"], title="AUROC of synthetic defects, in %")
    for name in ("sum", *fitted.module.maps):
        scores = [score(fitted, maps, name) for maps in normal]
        defects = [[score(fitted, maps, name) for maps in kind] for kind in zip(*synthetic, strict=True)]
        truth = [0] * len(scores) + [1] * len(scores)
        auroc = [100 * float(roc_auc_score(truth, scores + kind)) for kind in defects]
        error = "" if name == "sum" else f"{float(torch.cat([maps[name] for maps in normal]).mean()):.3f}"
        table.add_row(name, *(f"{value:.1f}" for value in [*auroc, float(np.mean(auroc))]), error)
    return table


def score(fitted: Fitted, maps: Maps, name: str) -> float:
    """The image score of one map or of the sum."""
    return float(fitted.module.pool(fitted.module.combine(maps) if name == "sum" else maps[name]))


if __name__ == "__main__":
    main()
