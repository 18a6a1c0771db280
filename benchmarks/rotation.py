"""Does rotating validation keep the rate that it states, on real pictures?

    python -m benchmarks.rotation elpv_mono --draws 100

Draws 12, 20 or 30 good pictures of a product that has many, splits and folds them by the rule, and scores by
patchcore's own functions. A threshold from the validation pictures alone and one from all that were held out then judge
other good pictures and defects. Prints what each threshold states, and the shares of false alarms and of defects found,
with two standard errors over the draws. Needs the stage split. For reporting only: it reads labels.
"""

import argparse
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64
from rich.table import Table
from torch import Tensor

from stages.core.encoder.device import pick_device, seed_everything
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.images.aspect import read_aspect, sides_for
from stages.core.io.rotation import FOLD, NEVER, calibrates
from stages.core.io.tables import image_files
from stages.core.io.thresholds import conformal_threshold
from stages.core.io.truth import read_truth
from stages.core.neighbours.bank import PatchReader, add_rotated, fill_bank, score_images
from stages.core.run.console import CONSOLE, progress
from stages.core.run.params import EncoderParams, load_params, load_value
from stages.core.run.stage import command_entry
from stages.patchcore.params import PatchcoreParams
from stages.split.near_duplicates import NearDuplicates
from stages.split.readers.records import Record
from stages.split.rotation import assign_folds
from stages.split.rule import split_by_rule

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remembered(PatchReader):
    """Reads each picture once."""

    kept: dict[str, Tensor] = field(default_factory=dict)

    def read(self, files: Iterable[str], *, label: str) -> Iterator[Float[Tensor, "h w C"]]:
        """See `PatchReader.read`; no progress bar."""
        for file in files:
            if file not in self.kept:
                (self.kept[file],) = super().read([file], label=label)
            yield self.kept[file]


@command_entry
def main(argv: Sequence[str]) -> str:
    """Draw, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("category")
    parser.add_argument("--pictures", nargs="+", type=int, default=[12, 20, 30], metavar="N")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--judged", type=int, default=100, help="other good pictures, and defects, of each draw")
    parser.add_argument("--split", type=Path, default=Path("artifacts/split"), help="folder of the stage's results")
    given = parser.parse_args(argv)
    encoder, params = load_params(EncoderParams, section="encoder"), load_params(PatchcoreParams, section="patchcore")
    inputs, truth = given.split / given.category / "inputs", read_truth(given.split / given.category / "truth")
    network = FrozenEncoder(encoder.network).to(pick_device())
    reader = Remembered(
        network, image_files(inputs), size=sides_for(read_aspect(inputs), encoder.image_size), strides=params.strides
    )
    table = Table("good pictures", "threshold from", "normals", "states", "false alarms", "defects found")
    for count in given.pictures:
        for row in rows_of(truth, count, reader, params, draws=given.draws, judged=given.judged):
            LOG.info("%d pictures: %s", count, ", ".join(row))
            table.add_row(str(count), *row)
    CONSOLE.print(table)
    return f"{given.draws} draws of each of {len(given.pictures)} numbers of pictures of {given.category}"


def rows_of(
    truth: pd.DataFrame, count: int, reader: PatchReader, params: PatchcoreParams, *, draws: int, judged: int
) -> list[tuple[str, ...]]:
    """Return the cells of a row for each kind of threshold: its name, normals, what it states, what was found."""
    shares: dict[str, list[tuple[float, float]]] = {}
    sizes = {}
    for number in progress(range(draws), total=draws, label=f"{count} pictures"):
        scores = score_draw(draw_pictures(truth, count, seed=number, judged=judged), reader, params, seed=number)
        validation = (scores["split"] == "validation").to_numpy()
        held_out = {"validation alone": validation, "rotating": calibrates(scores["split"])}
        for name, chosen in held_out.items():
            normal = scores["score"][chosen].to_numpy()
            shares.setdefault(name, []).append(shares_above(scores, normal))
            sizes[name] = len(normal)
    rows = []
    for name, size in sizes.items():
        stated = conformal_threshold(np.zeros(size), budget=budget()).attainable_false_alarm_rate
        found = [mean_of([draw[column] for draw in shares[name]]) for column in (0, 1)]
        rows.append((name, str(size), f"{100 * stated:.1f}", *found))
    return rows


def budget() -> float:
    """Return the share of false alarms that is asked for."""
    return float(load_value("evaluation.false_alarm_budget"))


def draw_pictures(truth: pd.DataFrame, count: int, *, seed: int, judged: int) -> pd.DataFrame:
    """Return the image table of a product with `count` good pictures, which are divided and folded by the rule.

    Of the other good pictures and of the defects `judged` each are test.

    Args:
        truth: of all pictures.
        count: of good pictures.
        seed: of the draw and of the split.
        judged: number of each.
    """
    random = np.random.default_rng([seed, count])
    shuffled = truth.iloc[random.permutation(len(truth))].drop_duplicates("sha256")
    anomalous = shuffled["is_anomalous"].astype(bool)
    normal, defects = shuffled[~anomalous], shuffled[anomalous][:judged]
    records = [Record(name, "normal", "good") for name in normal["image_id"][:count]]
    contents = NearDuplicates((), {record.path: record.path for record in records})
    divided = split_by_rule(records, ratios=tuple(load_value("split.ratios")), seed=seed, contents=contents.contents)
    folds = assign_folds(divided, contents, up_to=count, seed=seed)
    split = {record.path: str(record.split) for record in divided}
    chosen = pd.concat([normal[: count + judged], defects])
    table = chosen[["image_id", "file", "is_anomalous"]].assign(
        split=[split.get(name, "test") for name in chosen["image_id"]],
        **{FOLD: [folds.get(name, NEVER) for name in chosen["image_id"]]},
    )
    return table.sort_values("image_id").reset_index(drop=True)


def score_draw(images: pd.DataFrame, reader: PatchReader, params: PatchcoreParams, *, seed: int) -> pd.DataFrame:
    """Return what the stage patchcore would, with the column is_anomalous."""
    fill = partial(
        fill_bank, reader, ratio=params.coreset_ratio, dimensions=params.projection_dimensions,
        neighbours=params.neighbours, generator=seed_everything(seed),
    )  # fmt: skip
    result = score_images(reader, images, fill(images))
    scores = add_rotated(reader, images, result, fill).scores
    return scores.merge(images[["image_id", "is_anomalous"]], on="image_id")


def shares_above(scores: pd.DataFrame, normal: Float64[np.ndarray, " n"]) -> tuple[float, float]:
    """Return the shares of good and of anomalous test pictures above the threshold of some normal scores."""
    test = scores[scores["split"] == "test"]
    above = test["score"] > conformal_threshold(normal, budget=budget()).value
    anomalous = test["is_anomalous"].astype(bool)
    return float(above[~anomalous].mean()), float(above[anomalous].mean())


def mean_of(shares: Sequence[float]) -> str:
    """Return the mean and two standard errors, in %."""
    return f"{100 * np.mean(shares):.1f} ± {200 * np.std(shares) / math.sqrt(len(shares)):.1f}"


if __name__ == "__main__":
    main()
