"""Speed and memory of Uninformed Students, with untrained networks: neither depends on the weights.

    python -m benchmarks.cost.uninformed_students dense            # a dense pass against one pass a patch
    python -m benchmarks.cost.uninformed_students steps            # training steps of the profile `embedded`
    python -m benchmarks.cost.uninformed_students train 128        # one step and
    python -m benchmarks.cost.uninformed_students score 128        # one image in the published size, in tiles of 128 px

Each prints the highest resident memory of its process. Images are 256 x 256 px.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from rich.table import Table
from torch import nn

from stages.core.encoder.device import mixed_precision, pick_device
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.run.console import CONSOLE
from stages.core.training.adam import build_optimizer
from stages.uninformed_students.augmentation import Augmentation
from stages.uninformed_students.params import UninformedStudentsParams
from stages.uninformed_students.patch_network import PATCH_SIZES, PatchNetwork
from stages.uninformed_students.scoring import Ensemble, map_image
from stages.uninformed_students.stage_ensemble import StageEnsemble, map_stages, stage_terms
from stages.uninformed_students.stage_network import StageStudent, StageTeacher
from stages.uninformed_students.students import imitation_terms

SIDE = 256
CUT_OUT = 512  # patches that stand for all 65,536 of an image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["dense", "steps", "train", "score"])
    parser.add_argument("tile", nargs="?", type=int, default=128)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    pick_device()
    makers = {"dense": dense_table, "steps": steps_table}
    table = makers[arguments.what]() if arguments.what in makers else published_table(arguments.what, arguments.tile)
    CONSOLE.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    CONSOLE.print(f"{torch.get_num_threads()} threads, highest resident memory {peak:.2f} GB")


def seconds(step: Callable[[], object], *, times: int = 1) -> float:
    """The shortest of some calls: other work on the machine only ever adds."""
    measured = []
    for _ in range(times):
        started = time.perf_counter()
        step()
        measured.append(time.perf_counter() - started)
    return min(measured)


@torch.no_grad()
def dense_table() -> Table:
    """Images a second of the published networks, one descriptor a pixel, in float32."""
    columns = ["patch", "dense", "patch by patch", "ratio"]
    table = Table(*columns, title=f"images/s; patch by patch from {CUT_OUT} patches in batches of 64")
    image = torch.rand(1, 3, SIDE, SIDE)
    for patch_size in PATCH_SIZES:
        network = PatchNetwork(patch_size, dim=512).eval()
        rows = CUT_OUT // SIDE
        strip = network.pad(image)[..., : rows + patch_size - 1, :]

        def dense(network: PatchNetwork = network) -> None:
            network.dense(image)

        def sliding(network: PatchNetwork = network, strip: torch.Tensor = strip, p: int = patch_size) -> None:
            patches = F.unfold(strip, p).transpose(1, 2).reshape(-1, 3, p, p)
            for batch in patches.split(64):
                network(batch)

        whole, part = seconds(dense, times=2), seconds(sliding, times=2) * SIDE * SIDE / CUT_OUT
        table.add_row(f"{patch_size} px", f"{1 / whole:.3f}", f"{1 / part:.5f}", f"{part / whole:.0f}")
    return table


def steps_table() -> Table:
    """Steps a second of the students of `embedded`, and images a second when scoring."""
    profile = yaml.safe_load(Path("profiles/embedded.yaml").read_text(encoding="utf-8"))
    params = UninformedStudentsParams.model_validate(profile["uninformed_students"])
    torch.set_num_threads(params.cpu_threads or torch.get_num_threads())
    teacher = StageTeacher(FrozenEncoder(params.backbone.name, stages=params.backbone.stages))
    students = [
        StageStudent(params.backbone.stages, teacher.encoder.channels, width=params.width).to(
            memory_format=torch.channels_last
        )
        for _ in range(params.students.count)
    ]
    images = torch.randint(0, 256, (params.students.training.batch_size, 3, SIDE, SIDE), dtype=torch.uint8)
    optimizer = build_optimizer("adamw", nn.ModuleList(students).parameters(), learning_rate=1e-4, weight_decay=0.0)
    inference = Augmentation(params.inference)
    ensemble = StageEnsemble(teacher, students, inference)

    def students_step() -> None:
        terms = stage_terms(students, teacher(images, kept=True), inference.normalise(images))
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()

    def score() -> None:
        map_stages(ensemble, images[:1], stride=params.stride)

    table = Table("what", "a second", title="profile embedded")
    for name, step in (("students steps", students_step), ("images scored", score)):
        table.add_row(name, f"{1 / seconds(step, times=6):.2f}")
    return table


def published_table(what: str, tile: int) -> Table:
    """One step of three students, or one scored image, with the published widths, 33 px, a descriptor a pixel."""
    networks = [untrained(33, 512, 1.0) for _ in range(4)]
    teacher, students = networks[0].requires_grad_(False), networks[1:]
    image = torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8)
    path = Path("profiles/paper.yaml")
    section = yaml.safe_load(path.read_text(encoding="utf-8"))["uninformed_students"]
    inference = Augmentation(UninformedStudentsParams.model_validate(section).inference, patch_size=33)

    def train() -> None:
        terms = imitation_terms(students, teacher, inference.normalise(image), stride=1, tile=tile)
        torch.stack(list(terms.values())).sum().backward()

    def score() -> None:
        map_image(Ensemble(teacher, students), image, inference, stride=1, tile=tile)

    took = seconds(train if what == "train" else score)
    with mixed_precision(torch.device("cpu")):
        kind = "bfloat16" if torch.is_autocast_enabled("cpu") else "float32"
    table = Table("what", "tile", "seconds", title=f"published size, {kind}")
    table.add_row(what, str(tile), f"{took:.1f}")
    return table


def untrained(patch_size: int, dim: int, width: float) -> PatchNetwork:
    """An untrained network in the memory format of the stage."""
    return PatchNetwork(patch_size, dim=dim, width=width).to(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
