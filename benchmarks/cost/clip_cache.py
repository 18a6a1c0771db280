"""What the feature cache saves: seconds of a training step on new and on cached features, with full-sized random CLIPs.

`python -m benchmarks.cost.clip_cache` prints a table; on two cores it takes some minutes and 6 GB of memory.
"""

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.table import Table

from stages.clip.inctrl.network import InContextHeads
from stages.clip.inctrl.network import loss_terms as inctrl_terms
from stages.clip.madclip.losses import loss_terms as madclip_terms
from stages.clip.madclip.network import MadClip
from stages.clip.model.encoder import ClipEncoder, ImageFeatures
from stages.clip.model.features import CachedFeatures, stack_features
from stages.clip.model.params import ClipParams
from stages.clip.model.weights import build_clip
from stages.core.encoder.device import mixed_precision, pick_device
from stages.core.run.console import CONSOLE

FOLDER = Path("work/clip_benchmark")
SHOTS = 2
Step = Callable[[list[ImageFeatures]], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4, help="images in a step (the publications: 16)")
    batch = parser.parse_args().batch
    torch.manual_seed(0)
    table = Table(title=f"seconds of one training step, {batch} images, {torch.get_num_threads()} threads")
    for heading in ("method", "images", "features computed", "features cached", "step alone", "speed-up"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for name, architecture, blocks, images, make in (
        ("InCTRL, ViT-B/16+", "ViT-B-16-plus-240", (7, 9, 11), batch * (1 + SHOTS), inctrl_step),
        ("MadCLIP, ViT-L/14", "ViT-L-14-336", (6, 12, 18, 24), batch, madclip_step),
    ):
        table.add_row(name, str(images), *measure(architecture, blocks, images, make, batch))
    CONSOLE.print(table)
    shutil.rmtree(FOLDER, ignore_errors=True)


def measure(
    architecture: str, blocks: tuple[int, ...], images: int, make: Callable[[ClipEncoder, int], Step], batch: int
) -> list[str]:
    """A row of the table: a step on features that must be computed, then the same step on cached ones."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    params = ClipParams.model_validate(
        {"architecture": architecture, "image_size": 240, "quick_gelu": False, "weights": {"random_seed": 0},
         "cache_gigabytes": 5}
    )  # fmt: skip
    encoder = ClipEncoder(build_clip(params)).to(pick_device())
    cached = CachedFeatures(encoder, blocks=blocks, gigabytes=5, folder=FOLDER)
    pictures = list(torch.rand(images, 3, 240, 240))
    step = make(encoder, batch)
    cached.compute(pictures[0])
    seconds = []
    for _ in range(3):  # the second is the first that reads; the third is its repetition
        start = time.perf_counter()
        features = [cached.of_image(picture) for picture in pictures]
        ready = time.perf_counter()
        step(features)
        seconds.append((time.perf_counter() - start, time.perf_counter() - ready))
    new, old, alone = seconds[0][0], min(seconds[1][0], seconds[2][0]), min(s[1] for s in seconds)
    return [f"{new:.1f}", f"{old:.2f}", f"{alone:.2f}", f"{new / old:.1f}"]


def inctrl_step(encoder: ClipEncoder, batch: int) -> Step:
    """Forward, backward and update of InCTRL's heads."""
    heads = InContextHeads(embed_dim=encoder.embed_dim, patches=encoder.grid**2).to(encoder.device)
    optimizer = torch.optim.AdamW([p for p in heads.parameters() if p.requires_grad], lr=1e-3)
    labels = torch.arange(batch, device=encoder.device).remainder(2).float()

    def step(features: list[ImageFeatures]) -> None:
        stacked = stack_features(features, encoder.device)
        patches = stacked.tokens[:, :, 1:]
        prompts = ImageFeatures(
            patches[batch:].unflatten(0, (batch, SHOTS)), stacked.embedding[batch:].unflatten(0, (batch, SHOTS))
        )
        found = heads(ImageFeatures(patches[:batch], stacked.embedding[:batch]), prompts, 0.5 * torch.ones_like(labels))
        optimizer.zero_grad()
        torch.stack(list(inctrl_terms(found, labels, double_sigmoid=True).values())).sum().backward()
        optimizer.step()

    return step


def madclip_step(encoder: ClipEncoder, batch: int) -> Step:
    """Forward, backward and update of MadCLIP's adapters and texts, the text encoder included."""
    network = MadClip(encoder, name="brain", variant="as_code", learned="both").to(encoder.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    labels = torch.arange(batch, device=encoder.device).remainder(2).float()
    masks = torch.zeros(batch, 240, 240, device=encoder.device)

    def step(features: list[ImageFeatures]) -> None:
        tokens = stack_features(features, encoder.device).tokens
        with mixed_precision(encoder.device):
            found = network(tokens, encoder)
        terms = madclip_terms(found, labels, masks, torch.ones(batch, dtype=torch.bool, device=encoder.device))
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
