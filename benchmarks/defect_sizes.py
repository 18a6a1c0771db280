"""How small may a defect be? Synthetic defects of known size in normal validation images, by what is trained.

    python -m benchmarks.defect_sizes pin_tray juice_bottle elpv_mono

Prints as Markdown, for each method and size, the AUROC in % against the images that the defects were drawn into, and
the share that is called anomalous at the method's threshold. A size is the longest extent, in pixels of a picture whose
shorter side has 256; scratches, pasted patches and stains take turns. No test image is looked at. It needs a whole run
of the pipeline.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from sklearn.metrics import roc_auc_score

from commands.predict.parts import trained_files
from stages.core.encoder.device import pick_device
from stages.core.io.tables import image_files, read_images
from stages.core.run.console import CONSOLE, progress
from stages.core.run.stage import command_entry
from stages.core.runtime.reading import read_image
from stages.export.parts import Parts, load_parts, predict
from stages.split.synthetic import CENTRES, KINDS, SCRATCH_OPACITY, STAIN_OPACITY

METHODS = ("oddpart", "aecsad", "patchcore")
SIZES = (4, 8, 16, 32)
SIDE = 256  # of the picture that sizes are counted in
Picture = UInt8[np.ndarray, "H W 3"]


@command_entry
def main(argv: Sequence[str]) -> str:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+")
    parser.add_argument("--split", type=Path, default=Path("artifacts/split"), help="folder of the stage's results")
    given = parser.parse_args(argv)
    heads = " | ".join(f"{size} px" for size in SIZES)
    lines = [f"| category | method | {heads} |", "|---|---|" + "---:|" * len(SIZES)]
    for category in given.categories:
        inputs = given.split / category / "inputs"
        images = read_images(inputs)
        files = images.loc[images["split"] == "validation", "file"].sort_values()
        pictures = [read_image(image_files(inputs) / file) for file in files]
        for method in METHODS:
            parts = load_parts(trained_files(category, method), device=pick_device())
            cells = [f"{auroc:.1f}; {found:.0f} %" for auroc, found in judge_sizes(parts, pictures)]
            lines.append(f"| {category} | {method} | {' | '.join(cells)} |")
    CONSOLE.print("\n".join(lines), soft_wrap=True, markup=False)
    return f"{len(given.categories)} products, AUROC in %; found at the threshold"


def judge_sizes(parts: Parts, pictures: Sequence[Picture]) -> list[tuple[float, float]]:
    """Return AUROC and share found, in %, for each of SIZES; every picture gets one defect of each size."""
    random = np.random.default_rng(0)
    normal, defects = [], []
    for number, picture in enumerate(progress(pictures, total=len(pictures), label="pictures")):
        normal.append(predict(parts, picture).score)
        copies = [sized_defect(picture, KINDS[number % len(KINDS)], size, random) for size in SIZES]
        defects.append([predict(parts, copy).score for copy in copies])
    truth = np.repeat([0, 1], len(pictures))
    return [
        (
            100 * float(roc_auc_score(truth, [*normal, *scores])),
            100 * float(np.mean([parts.calibration.calls(one) for one in scores])),
        )
        for scores in zip(*defects, strict=True)
    ]


def sized_defect(picture: Picture, kind: str, size: int, random: np.random.Generator) -> Picture:
    """Return a copy with a defect whose longest extent is `size`, anywhere; drawn as the split draws its own.

    Args:
        picture: stays as it is.
        kind: one of KINDS.
        size: in pixels of a picture whose shorter side has SIDE.
        random: decides place, direction and colour.
    """
    drawn, (height, width) = picture.copy(), picture.shape[:2]
    length = max(1, round(size * min(height, width) / SIDE))
    y, x = (
        int(random.integers(int(CENTRES[0] * side), int(CENTRES[1] * side) - length + 1)) for side in (height, width)
    )
    if kind == "pasted patch":
        row, column = (int(random.integers(0, side - length + 1)) for side in (height, width))
        drawn[y : y + length, x : x + length] = picture[row : row + length, column : column + length]
        return drawn
    share = np.zeros((length, length), dtype=np.float32)
    middle, angle = (length - 1) / 2, random.uniform(0, np.pi)
    if kind == "scratch":
        reach = middle * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(int(one) for one in np.rint(middle + sign * reach)) for sign in (-1, 1)]
        cv2.line(share, ends[0], ends[1], SCRATCH_OPACITY, 1)
    else:
        axes = (int(middle), int(middle * random.uniform(0.6, 1.0)))
        cv2.ellipse(share, (int(middle), int(middle)), axes, np.degrees(angle), 0, 360, STAIN_OPACITY, -1)
    grey = bool((picture == picture[..., :1]).all())
    colour = random.integers(0, 255, 1 if grey else 3)
    place = drawn[y : y + length, x : x + length]
    place[:] = (1 - share[..., None]) * place + share[..., None] * colour
    return drawn


if __name__ == "__main__":
    main()
