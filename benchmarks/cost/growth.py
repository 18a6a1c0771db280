"""How the default pipeline grows with the number of pictures of one fixed camera, nearly all of them alike.

    python -m benchmarks.cost.growth 1000 5000 --keep DIR

Draws a product, runs every stage of the default methods on it with the settings of the tests' profile (training is not
the point) in a clone of HEAD, and prints processor seconds and memory of each stage. With several numbers it says for
each stage how its time grew: 1 is as the number of pictures did, less is slower than that.
"""

import argparse
import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import yaml
from jaxtyping import UInt8
from rich.table import Table

from benchmarks.cost.default_run import Costs, Usage, clone, read_costs, run
from stages.core.run.console import CONSOLE, progress
from stages.core.run.stage import command_entry

PRODUCT = "camera"
SIZE = 256  # pixels
DEFECTS = 20
NOISE, SHIFT = 4.0, 1  # grey levels, pixels: what changes between two pictures of a fixed camera
PROFILE = Path("tests/profiles/smoke.yaml")


@command_entry
def main(argv: Sequence[str]) -> str:
    """Run the pipeline on products of the given sizes and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=int, nargs="+", help="numbers of normal pictures")
    parser.add_argument("--keep", type=Path, help="folder for pictures and clones; it must not exist")
    given = parser.parse_args(argv)
    found: dict[int, tuple[Costs, dict[str, Usage]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch) / "growth"
        for count in sorted(given.counts):
            found[count] = run_product(folder / str(count), count)
    print_growth({count: costs for count, (costs, _) in found.items()})
    print_commands({count: runs for count, (_, runs) in found.items()})
    return f"{len(found)} sizes"


def run_product(folder: Path, count: int) -> tuple[Costs, dict[str, Usage]]:
    """Draw a product of so many normal pictures and run all of its stages; return their costs and those of DVC."""
    draw_product(folder / PRODUCT, count)
    with clone(folder / "clone") as root:
        set_params(root, folder / PRODUCT)
        runs = {name: run(root, command) for name, command in
                (("dvc repro", "repro"), ("nothing to do", "repro"), ("dvc status", "status"))}  # fmt: skip
        return {key: cost for key, cost in read_costs(root / "metrics/cost").items() if key[1] == PRODUCT}, runs


def draw_product(folder: Path, count: int) -> None:
    """Write pictures of one scene with noise and a shift of a pixel, and some with a dark line, as a plain folder."""
    random = np.random.default_rng(0)
    scene = draw_scene(random)
    for kind, number in (("good", count), ("defect", DEFECTS)):
        target = folder / "images" / kind
        target.mkdir(parents=True)
        for index in progress(range(number), total=number, label=f"{number} {kind}"):
            image = shoot(scene, random)
            if kind == "defect":
                start, end = random.integers(SIZE // 4, 3 * SIZE // 4, size=(2, 2))
                cv2.line(image, start.tolist(), end.tolist(), (20, 20, 20), 3)
            cv2.imwrite(str(target / f"{index:05d}.jpg"), image)


def draw_scene(random: np.random.Generator) -> UInt8[np.ndarray, "S S 3"]:
    """Draw discs of some colours on a plain ground."""
    scene = np.full((SIZE, SIZE, 3), 170, dtype=np.uint8)
    for row in range(3):
        for column in range(3):
            colour = random.integers(30, 230, size=3).tolist()
            cv2.circle(scene, (50 + 78 * column, 50 + 78 * row), 22, colour, -1)
    return scene


def shoot(scene: UInt8[np.ndarray, "S S 3"], random: np.random.Generator) -> UInt8[np.ndarray, "S S 3"]:
    """Take a picture of the scene."""
    moved = np.roll(scene, random.integers(-SHIFT, SHIFT + 1, size=2).tolist(), axis=(0, 1))
    noisy = moved + random.normal(0, NOISE, moved.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def set_params(root: Path, pictures: Path) -> None:
    """Let a clone run on this product alone, with the settings of the tests."""
    shutil.copy(root / PROFILE, root / "profiles" / PROFILE.name)
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["profile"] = PROFILE.stem
    params["categories"] = {PRODUCT: {"source": "folder", "path": str(pictures.absolute())}}
    for entry in params["methods"].values():
        entry["categories"] = params["categories"] if entry["categories"] else {}
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def print_growth(found: dict[int, Costs]) -> None:
    """Print processor seconds and memory by stage and number of pictures, and the exponent of the seconds' growth."""
    counts = sorted(found)
    table = Table("stage", *(f"{count:,}: processor s, MB" for count in counts), "exponent")
    for stage, product in found[counts[-1]]:
        costs = [found[count][stage, product] for count in counts]
        cells = [f"{cost['processor_seconds']:.1f}, {cost['peak_mb']:.0f}" for cost in costs]
        table.add_row(stage, *cells, exponent(counts, [cost["processor_seconds"] for cost in costs]))
    CONSOLE.print(table)


def exponent(counts: Sequence[int], seconds: Sequence[float]) -> str:
    """Return p of seconds ~ pictures^p between the smallest and the largest number; - for a single one."""
    if len(counts) < 2 or min(seconds) <= 0:
        return "-"
    return f"{math.log(seconds[-1] / seconds[0]) / math.log(counts[-1] / counts[0]):.2f}"


def print_commands(found: dict[int, dict[str, Usage]]) -> None:
    """Print what DVC's commands took as a whole."""
    table = Table("pictures", "command", "processor s", "wall s")
    for count, runs in found.items():
        for name, usage in runs.items():
            table.add_row(f"{count:,}", name, f"{usage.processor:.1f}", f"{usage.wall:.1f}")
    CONSOLE.print(table)


if __name__ == "__main__":
    main()
