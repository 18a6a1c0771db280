"""Score with a peer: PatchCore as anomalib computes it, on the active profile's encoder and our split.

    pip install anomalib==2.7.0  # the repository does not need it
    dvc get . artifacts/split --rev seed-1 -o /tmp/seed-1/artifacts/split    # for each run that is not checked out
    python -m benchmarks.anomalib_patchcore elpv_mono --runs . /tmp/seed-1

anomalib's `PatchcoreModel` gets the frozen encoder's stages of `patchcore` in the place of its own network, as
another one has no weights here. Patches, distances and the image score are anomalib's, with its defaults (a tenth of
the patches, 9 neighbours); the greedy choice of the coreset is ours, without a projection, as anomalib's loop takes
hours for it on two cores. Prints the image AUROC on test images, for reporting only. It needs the stage split.
"""

import argparse
import importlib
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.table import Table
from torch import Tensor, nn

from benchmarks.fusion_rules import aurocs
from stages.core.encoder.device import pick_device
from stages.core.encoder.encoder import STRIDES, FrozenEncoder, load_stack, to_float
from stages.core.io.tables import image_files, read_images
from stages.core.io.truth import read_truth
from stages.core.neighbours.coreset import choose_coreset
from stages.core.run.console import CONSOLE, progress
from stages.core.run.errors import UserError
from stages.core.run.params import EncoderParams, load_params
from stages.core.run.stage import command_entry
from stages.patchcore.params import PatchcoreParams

LAYERS = ("layer2", "layer3")  # names that anomalib expects of its own network


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+")
    parser.add_argument("--runs", nargs="+", default=["."], metavar="FOLDER", help="each holds artifacts/split")
    parser.add_argument("--ratio", type=float, default=0.1, help="of the patches that are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the coreset")
    given = parser.parse_args(argv)
    for category in given.categories:
        table = Table("category", "run", "seed", "training images", "seconds", "logical", "structural")
        for run, seed in itertools.product(given.runs, given.seeds):
            cells = judged(Path(run, "artifacts/split", category), given.ratio, seed=seed)
            table.add_row(category, Path(run).name or "here", str(seed), *cells)
        CONSOLE.print(table)
    return f"{len(given.categories)} categories, {len(given.runs)} runs"


class Stages(nn.Module):
    """The encoder in the place of anomalib's feature extractor."""

    def __init__(self, params: EncoderParams) -> None:
        super().__init__()
        self.encoder = FrozenEncoder(params.name)
        self.strides = load_params(PatchcoreParams, section="patchcore").strides

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        stages = self.encoder(images)
        return {layer: stages[STRIDES.index(stride)] for layer, stride in zip(LAYERS, self.strides, strict=True)}


def patchcore(params: EncoderParams) -> Any:
    """Build anomalib's model around the encoder.

    Raises:
        UserError: anomalib is not installed.
    """
    try:
        module = importlib.import_module("anomalib.models.image.patchcore.torch_model")
    except ModuleNotFoundError as error:
        raise UserError(f"anomalib is not installed ({error}): `pip install anomalib==2.7.0`") from None
    model = module.PatchcoreModel(layers=list(LAYERS), backbone="resnet18", pre_trained=False)
    model.feature_extractor = Stages(params)
    return model.to(pick_device())


@torch.no_grad()
def judged(folder: Path, ratio: float, *, seed: int) -> list[str]:
    """Cells of the table: training images, seconds, logical and structural AUROC.

    Raises:
        UserError: the split is missing, or anomalib is not installed.
    """
    started, params = time.perf_counter(), load_params(EncoderParams, section="encoder")
    model, images = patchcore(params), read_images(folder / "inputs")
    train, test = (images[images["split"] == split] for split in ("train", "test"))
    for file in progress(list(train["file"]), total=len(train), label="training patches"):
        model.train()(load(folder / "inputs", file, params))
    patches = torch.vstack(model.embedding_store)
    generator = torch.Generator().manual_seed(seed)
    chosen = choose_coreset(patches, ratio=ratio, dimensions=patches.shape[1], generator=generator)
    model.eval().memory_bank = patches[chosen.to(patches.device)]
    files = progress(list(test["file"]), total=len(test), label="distances")
    scores = [float(model(load(folder / "inputs", file, params)).pred_score) for file in files]
    kinds = read_truth(folder / "truth").set_index("image_id")["kind"].loc[test["image_id"]]
    found = aurocs(test["split"].reset_index(drop=True), kinds.reset_index(drop=True), pd.Series(scores))
    cells = [f"{found[kind]:.1f}" if kind in found else "–" for kind in ("logical", "structural")]
    return [str(len(train)), f"{time.perf_counter() - started:.0f}", *cells]


def load(inputs: Path, file: str, params: EncoderParams) -> Tensor:
    """Load one image as the pipeline reads it."""
    return to_float(load_stack(image_files(inputs), [file], size=params.image_size).to(pick_device()))


if __name__ == "__main__":
    main()
