"""Nearest neighbours with the bank on the GPU: distances, scores and coreset equal the CPU's."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.gpu.inputs import section_of, write_images
from benchmarks.gpu.measure import Check, Fault, Outcome, Setting, agree, median_of, synchronise
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.encoder.lite0_weights import LITE0
from stages.core.neighbours.bank import PatchReader, fill_bank, image_score, patch_distances, score_images
from stages.core.neighbours.coreset import choose_coreset
from stages.patchcore.params import PatchcoreParams

EXACT = 1e-3  # tolerance of distances, as a share of the largest: one matrix product in float32 on both sides
SCORED = 2e-2  # of scores from files: the encoder's convolutions run in TF32 on a GPU
RADIUS = 1.02  # a coreset may differ where two rows are nearly as far, but not leave larger gaps
SHAPES = {  # patches an image, channels, patches in the bank
    "EfficientNet-Lite0, 256 px": (32, 152, 1640),
    "WideResNet-50-2, 256 px, a tenth of 300 images": (32, 1536, 30720),
}
TINY_SHAPES = {"tiny": (8, 24, 60)}


def checks(setting: Setting) -> list[Check]:
    """List the checks: distances at two sizes, the coreset, and the stage from files to scores."""
    shapes = TINY_SHAPES if setting.small else SHAPES
    found = [
        Check(f"neighbours, {name}: GPU = CPU", partial(compare_distances, shape=shape))
        for name, shape in shapes.items()
    ]
    return [
        *found,
        Check("neighbours: coreset on the GPU covers as the CPU's", compare_coresets),
        Check("patchcore from files: scores on the GPU = CPU", compare_scores),
    ]


def compare_distances(setting: Setting, *, shape: tuple[int, int, int]) -> Outcome:
    """Compare the map of one image and its score, and time both."""
    side, channels, rows = shape
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(side, side, channels, generator=generator)
    bank = torch.randn(rows, channels, generator=generator)
    there = (patches.to(setting.device), bank.to(setting.device))

    def score() -> tuple[Tensor, float]:
        distances = patch_distances(*there)
        return distances, image_score(there[0], distances, there[1], neighbours=9)

    distances, found = score()
    expected = patch_distances(patches, bank)
    wanted = image_score(patches, expected, bank, neighbours=9)
    note = agree(distances, expected, tolerance=EXACT)
    agree(torch.tensor([found]), torch.tensor([wanted]), tolerance=10 * EXACT)
    return Outcome([distances], median_of(score, setting, repeats=50), "image", note)


def compare_coresets(setting: Setting) -> Outcome:
    """Compare how far the farthest row is from both choices; time the one on the device."""
    count, channels = (600, 16) if setting.small else (100_000, 160)
    points = torch.randn(count, channels, generator=torch.Generator().manual_seed(0))
    there = points.to(setting.device)

    def choose(rows: Tensor) -> Tensor:
        return choose_coreset(rows, ratio=0.01, dimensions=128, generator=torch.Generator().manual_seed(1))

    seconds = median_of(lambda: choose(there), setting, repeats=3)
    ours, theirs = choose(there), choose(points)
    synchronise(setting.device)
    if len(set(ours.tolist())) != len(theirs):
        raise Fault(f"{len(set(ours.tolist()))} different rows instead of {len(theirs)}")
    radii = [torch.cdist(there, there[rows.to(there.device)]).amin(dim=1).max() for rows in (ours, theirs)]
    shared = len(set(ours.tolist()) & set(theirs.tolist())) / len(theirs)
    if not float(radii[0]) <= RADIUS * float(radii[1]):
        raise Fault(f"the farthest row is at {float(radii[0]):.4g}, with the CPU's choice at {float(radii[1]):.4g}")
    return Outcome(radii, seconds, f"choice of {len(theirs)}", f"{shared:.0%} of the rows are the CPU's")


def compare_scores(setting: Setting) -> Outcome:
    """Fill a bank and score images as the stage patchcore does, on the device and on the CPU."""
    splits = ["train"] * (4 if setting.small else 40) + ["validation"] * (2 if setting.small else 10)
    folder = Path("patchcore")
    images = write_images(folder, splits)
    params = section_of(PatchcoreParams, "patchcore", profile="embedded")
    found = []
    for device in (setting.device, torch.device("cpu")):
        reader = PatchReader(FrozenEncoder(LITE0).to(device), folder, size=(256, 256), strides=params.strides)
        bank = fill_bank(
            reader, images, ratio=params.coreset_ratio, dimensions=params.projection_dimensions,
            neighbours=params.neighbours, generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        scored = score_images(reader, images, bank)
        found.append(torch.from_numpy(scored.scores["score"].to_numpy(copy=True)))
    return Outcome(found[:1], note=agree(*found, tolerance=SCORED))
