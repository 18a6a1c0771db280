"""Is the stated rate of false alarms kept, however few validation images there are?

    python -m benchmarks.false_alarms --draws 240 --write docs/reading-results.md

Draws scores of normal images and scores them by the pipeline's own functions: `patchcore` (one score as it is),
`aecsad` (scaled branches, summed, the histogram's columns weighed by edits) and `oddpart` (all five branches, weighed
by synthetic defects, too, Fisher's method). Branches are correlated and in different units; normal, lognormal, and of
Student's t with two degrees of freedom in equal numbers.
Each draw takes a threshold from its validation images and counts the new normal images above it. `3+14` are 3
validation images and 14 that were held out in turns, with scores of the same kind: what the fusion makes of them is
tried here, whether a turn's scores are of the same kind in `benchmarks.rotation`. Prints Markdown, or with `--write`
puts it between the markers of a document. No image is read.
"""

import argparse
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.aecsad.histogram.judging import Judged
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.hybrid_fusion import branches as hybrid_fusion
from stages.aecsad.hybrid_fusion.branches import weigh_branches
from stages.aecsad.model.conformal import AUROC
from stages.aecsad.model.edited import KINDS
from stages.aecsad.model.fusion import fuse
from stages.aecsad.model.part_numbers import PARTS
from stages.aecsad.score_fusion import fusing as score_fusion
from stages.core.io.rotation import ROTATED, calibrates
from stages.core.io.tables import SYNTHETIC
from stages.core.io.thresholds import conformal_threshold
from stages.core.run.atomic import replacing_file
from stages.core.run.console import CONSOLE, progress
from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry

START, END = "<!-- false alarms -->\n", "<!-- /false alarms -->\n"
METHODS = ("patchcore", "aecsad", "oddpart")
SHAPES = ("normal", "lognormal", "heavy-tailed")
UNITS = {
    "histogram_1x1": 1.0,
    "histogram_2x2": 5.0,
    PARTS: 2.0,
    "student_teacher": 0.1,
    "neighbours": 10.0,
    "fine_neighbours": 30.0,
}
HISTOGRAM = ("histogram_1x1", "histogram_2x2")
JUDGED = (*HISTOGRAM, PARTS)  # by edited pictures
OFFSET = 5.0  # of these columns' distances, which are about 0 in no image
JUDGING = HistogramParams(grids=(1, 2), shrinkage=0.0, min_edit_auroc=0.6, max_inflation=2.0)
TRAINING = 30  # images that the histograms were fitted on
CORRELATION = 0.3
CHANCE = 0.01  # of the profile `embedded`
MANY = 50  # normal images; with half as many twice as many draws, which vary more and take less time
NEW = 100  # normal images that each draw judges
NORMALS = ((2, 8), (3, 14), (5, 21), (5, 0), (10, 0), (20, 0), (30, 0), (50, 0), (100, 0))  # first 12, 20, 30 pictures
LOG = logging.getLogger(__name__)
Normals = tuple[int, int]  # validation images, and images that were held out in turns
Alarms = dict[tuple[Normals, str, float], "Rate"]


@dataclass(frozen=True)
class Rate:
    """False alarms of one method at one number of validation images and one budget.

    Attributes:
        stated: what the threshold promises on average.
        found: mean share of false alarms of each draw.
        error: two standard errors of the mean of `found`.
    """

    stated: float
    found: float
    error: float


@command_entry
def main(argv: Sequence[str]) -> str:
    """Simulate and print, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--normals", nargs="+", type=normals_of, default=NORMALS, metavar="N[+TURNS]")
    parser.add_argument("--budgets", nargs="+", type=float, default=[0.05, 0.01])
    parser.add_argument("--draws", type=int, default=60, help="of MANY normal images or more; of fewer more draws")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    given = parser.parse_args(argv)
    for module in (weigh_branches.__module__, fuse.__module__):
        logging.getLogger(module).setLevel(logging.WARNING)  # reasons of weights, at each draw
    alarms: Alarms = {}
    for normals in progress(given.normals, total=len(given.normals), label="numbers of validation images"):
        alarms |= simulate(normals, given.budgets, draws=given.draws, seed=given.seed)
    table = markdown(alarms, given.normals, given.budgets)
    if given.write:
        write_table(given.write, table)
    else:
        CONSOLE.print(table, soft_wrap=True, markup=False)
    return f"{given.draws} draws or more of {NEW} new normal images for each of {len(given.normals)} numbers"


def normals_of(text: str) -> Normals:
    """Read "3" or "3+14".

    Raises:
        ValueError: it is something else.
    """
    validation, _, rotated = text.partition("+")
    return int(validation), int(rotated or 0)


def simulate(normals: Normals, budgets: Sequence[float], *, draws: int, seed: int) -> Alarms:
    """Return the rates of all methods with so many normal images; the log has them as they come."""
    count = sum(normals)
    draws *= max(1, MANY // count)
    random = np.random.default_rng([seed, *(normals if normals[1] else normals[:1])])
    found: dict[tuple[str, float], list[float]] = {(method, budget): [] for method in METHODS for budget in budgets}
    for number in range(draws):
        scores = draw_scores(random, normals, SHAPES[number % len(SHAPES)])
        choice, jackknife = judge_histogram(scores, draw_judged(random, scores))
        for method in METHODS:
            fused = fuse_as(method, scores, choice, jackknife)
            for budget in budgets:
                found[method, budget].append(share_of_alarms(fused, budget=budget))
    rates = {}
    for (method, budget), shares in found.items():
        stated = conformal_threshold(np.zeros(count), budget=budget).attainable_false_alarm_rate
        error = 2 * float(np.std(shares)) / math.sqrt(draws)
        rates[normals, method, budget] = rate = Rate(stated, float(np.mean(shares)), error)
        LOG.info("%s normal images, %s at %g, %d draws: %s", normals, method, budget, draws, rate)
    return rates


def draw_scores(random: np.random.Generator, normals: Normals, shape: str) -> pd.DataFrame:
    """Draw a table of branch scores: normals, copies of validation images with a defect, and NEW normal test images.

    Each branch sees the defects to another, random degree; one in three on average not at all.
    """
    validation, rotated = normals
    count = validation + rotated
    common, own = math.sqrt(CORRELATION), math.sqrt(1 - CORRELATION)
    values = common * random.normal(size=(count + NEW, 1)) + own * random.normal(size=(count + NEW, len(UNITS)))
    if shape == "heavy-tailed":
        values /= np.sqrt(random.chisquare(2, size=(count + NEW, 1)) / 2)
    elif shape == "lognormal":
        values = np.exp(values)
    strengths = np.maximum(random.uniform(-1, 2, size=len(UNITS)), 0)
    defects = values[:validation] + strengths * random.exponential(size=(validation, len(UNITS)))
    splits = ["validation"] * validation + [ROTATED] * rotated + ["test"] * NEW + [SYNTHETIC] * validation
    table = pd.DataFrame(np.vstack([values, defects]), columns=list(UNITS))
    table[list(JUDGED)] += OFFSET
    table *= list(UNITS.values())
    names = [f"{number:04}" for number in range(count + NEW)]
    table.insert(0, "image_id", names + [f"{name}#{SYNTHETIC}" for name in names[:validation]])
    table.insert(1, "split", splits)
    return table


def draw_judged(random: np.random.Generator, scores: pd.DataFrame) -> dict[str, Judged]:
    """Draw what each column of the histogram stage is judged by; each sees edits to another, random degree."""
    validation = scores[scores["split"] == "validation"]
    kinds = list(KINDS) * len(validation)
    rows = np.repeat(np.arange(len(validation)), len(KINDS))
    judged = {}
    for name in JUDGED:
        normal = validation[name].to_numpy()
        edited = normal[rows] + random.uniform(0, 2) * UNITS[name] * random.exponential(size=len(rows))
        train = UNITS[name] * (OFFSET + random.normal(size=TRAINING))
        judged[name] = Judged(train, normal, edited, rows, kinds, JUDGING.min_edit_auroc)
    return judged


def judge_histogram(scores: pd.DataFrame, judged: Mapping[str, Judged]) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the histogram stage's choice, and what `read_jackknife` reads of it."""
    verdicts = {name: one.verdict(JUDGING) for name, one in judged.items()}
    choice = {
        "weights": {name: verdicts[name].weight for name in HISTOGRAM},
        "columns": {name: verdicts[name].as_json() for name in HISTOGRAM},
        PARTS: verdicts[PARTS].as_json(),
    }
    rotated = scores["image_id"][scores["split"] == ROTATED].to_list()  # these chose no weight
    columns = {name: one.without_each(JUDGING) + [verdicts[name]] * len(rotated) for name, one in judged.items()}
    weights = {name: [one.weight for one in column] for name, column in columns.items()}
    seen = {name + AUROC: [one.edit_auroc for one in column] for name, column in columns.items()}
    image_ids = scores["image_id"][scores["split"] == "validation"].to_list()
    return choice, pd.DataFrame(weights | seen, index=[*image_ids, *rotated])


def fuse_as(method: str, scores: pd.DataFrame, choice: Mapping[str, Any], jackknife: pd.DataFrame) -> pd.DataFrame:
    """Return split and score of a draw as the method's stages make them."""
    columns = choice["weights"]
    if method == "patchcore":
        return scores[["split"]].assign(score=scores["neighbours"])
    if method == "aecsad":
        pair = scores.drop(columns=[PARTS, "neighbours", "fine_neighbours"])
        branches = {"histogram": 1.0, "student_teacher": 1.0}
        return fuse(pair, columns, branches, without=score_fusion.weights_without_each(jackknife, columns, branches))[0]
    weights = {name: branch.weight for name, branch in weigh_branches(scores, choice, chance=CHANCE).items()}
    without = hybrid_fusion.weights_without_each(scores, choice, jackknife, chance=CHANCE)
    return fuse(scores, columns, weights, combination="by_kind", without=without)[0]


def share_of_alarms(scores: pd.DataFrame, *, budget: float) -> float:
    """Return the share of new normal images above the threshold of those that were held out."""
    normal, new = (scores.loc[rows, "score"] for rows in (calibrates(scores["split"]), scores["split"] == "test"))
    return float((new > conformal_threshold(normal.to_numpy(), budget=budget).value).mean())


def markdown(alarms: Alarms, all_normals: Sequence[Normals], budgets: Sequence[float]) -> str:
    """Lay out a row for each number of images and budget, in %; two standard errors after each measured rate."""
    lines = [
        f"| normal images | asked for | stated | {' | '.join(METHODS)} |",
        f"|---:|---:|---:|{'---:|' * 3}",
    ]
    for normals in all_normals:
        validation, rotated = normals
        words = f"{validation} and {rotated} in turns" if rotated else f"{validation}"
        for budget in budgets:
            rates = [alarms[normals, method, budget] for method in METHODS]
            cells = [f"{100 * rate.found:.1f} ± {100 * rate.error:.1f}" for rate in rates]
            stated = f"{100 * rates[0].stated:.1f}"
            lines.append(f"| {words} | {100 * budget:g} | {stated} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_table(document: Path, table: str) -> None:
    """Put the table between the markers of a document.

    Raises:
        UserError: the markers are not there, or more than once.
    """
    between = re.compile(f"(?<={re.escape(START)}).*?(?={re.escape(END)})", re.DOTALL)
    text, count = between.subn(lambda _: table, document.read_text(encoding="utf-8"))
    if count != 1:
        raise UserError(f"{document}: {count} places between {START.strip()} and {END.strip()}, needed is one")
    with replacing_file(document) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
