"""Does it help to weigh branches by synthetic defects? Every branch of oddpart alone and fused by several rules.

    python -m benchmarks.fusion_rules --runs HEAD seed-1 seed-2

Each run is a commit, branch, tag or DVC experiment, or a folder that holds its artifacts/ and metrics/. Prints, as
Markdown and in %, mean ± half the range over the runs: the AUROC of every branch of oddpart alone, of their sum as
they are (plain sum), of their scaled sum with equal weights and with those of the stage `hybrid_fusion` (weighted sum),
of these weights by kind (rule: the default of that stage), of Fisher's method with equal ones (Fisher, equal), and how
much a branch of random numbers changes the rule and equal weights. Rows: test images of each kind, and against
validation images those with synthetic defects and those with an edited part; `--own-anomalies` excludes test
images. It describes; nothing in the pipeline reads it.
"""

import argparse
import io
import json
import logging
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dvc.api
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.edited_pictures import EDITED, edited_rows
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.hybrid_fusion.branches import weigh_branches
from stages.aecsad.hybrid_fusion.params import HybridFusionParams
from stages.aecsad.model.edited import EDITED as PICTURES
from stages.aecsad.model.edited import read_edited as read_pictures
from stages.aecsad.model.fusion import KEYS, columns_of_branches, fuse
from stages.aecsad.model.label_maps import read_label_maps
from stages.core.io.tables import IMAGE_TABLE
from stages.core.io.truth import TRUTH_TABLE
from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.run.params import load_params, load_value
from stages.core.run.stage import command_entry
from stages.core.runtime.fusion import Combination

KINDS = ("logical", "structural", "synthetic", EDITED)
FUSING = (weigh_branches.__module__, fuse.__module__)  # they log the reasons of every weight, once per random branch
Aurocs = dict[str, dict[str, float]]  # column -> kind -> AUROC in %, or a difference of two


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", default=["."], metavar="REVISION_OR_FOLDER")
    parser.add_argument("--categories", nargs="+", help="default: all of params.yaml")
    parser.add_argument("--draws", type=int, default=20, help="of the random branch")
    parser.add_argument("--own-anomalies", action="store_true", help="no test images: to decide by")
    given = parser.parse_args(argv)
    chance = load_params(HybridFusionParams, section="aecsad.hybrid_fusion").chance
    for name in FUSING:
        logging.getLogger(name).setLevel(logging.WARNING)
    kinds = KINDS[2:] if given.own_anomalies else KINDS
    lines: list[str] = []
    for category in given.categories or list(load_value("categories")):
        tables = []
        for run in given.runs:
            scores, histogram = read_run(run, category)
            scores = pd.concat([scores, read_edited(run, category, scores)], ignore_index=True)
            tables.append(compare_rules(scores, histogram, chance=chance, draws=given.draws))
        if not lines:
            lines = [f"| category | kind | {' | '.join(tables[0])} |", f"|---|---|{'---:|' * len(tables[0])}"]
        for kind in (kind for kind in kinds if kind in tables[0]["rule"]):
            cells = [mean_and_spread([table[column][kind] for table in tables]) for column in tables[0]]
            lines.append(f"| {category} | {kind} | {' | '.join(cells)} |")
    CONSOLE.print("\n".join(lines), soft_wrap=True, markup=False)
    return f"{len(given.runs)} runs, {given.draws} random branches each, AUROC in %"


def read_run(run: str, category: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The branches' scores of one run (image_id, split, columns, kind), and the histogram stage's choice.

    Raises:
        UserError: a file is not there.
    """
    branches = pd.read_parquet(io.BytesIO(read(run, f"artifacts/scores/{category}/oddpart/branches.parquet")))
    truth = pd.read_parquet(io.BytesIO(read(run, f"artifacts/split/{category}/truth/{TRUTH_TABLE}")))
    scores = branches.merge(truth[["image_id", "kind"]], on="image_id", how="left")
    return scores, json.loads(read(run, f"metrics/choices/{category}/histogram.json"))


def read_edited(run: str, category: str, scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of edited pictures, see `edited_rows`, to stand below those of `read_run`.

    Raises:
        UserError: a file is not there.
    """
    images = pd.read_parquet(io.BytesIO(read(run, f"artifacts/split/{category}/inputs/{IMAGE_TABLE}")))
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        file.write(read(run, f"artifacts/aecsad/segmentation/{category}/label_maps.npz"))
        file.flush()
        label_maps = read_label_maps(Path(file.name))
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        file.write(read(run, f"artifacts/aecsad/segmentation/{category}/{PICTURES}"))
        file.flush()
        edited = read_pictures(Path(file.name))
    return edited_rows(scores, images, label_maps, edited, load_params(HistogramParams, section="aecsad.histogram"))


def read(run: str, path: str) -> bytes:
    """A file of a run.

    Raises:
        UserError: the revision, the folder or the file is not there, or not in the cache.
    """
    try:
        found = Path(run, path).read_bytes() if Path(run).is_dir() else dvc.api.read(path, rev=run, mode="rb")
    except Exception as error:  # DVC and its git backend raise many kinds
        raise UserError(f"{path} at {run!r} cannot be read ({type(error).__name__}: {error})") from None
    return bytes(found)


def compare_rules(scores: pd.DataFrame, histogram: Mapping[str, Any], *, chance: float, draws: int) -> Aurocs:
    """The columns of the printed table for one run.

    Args:
        scores: of `read_run`.
        chance: see `stages.aecsad.hybrid_fusion.branches.weigh_branch`.
        draws: number of random branches tried, one at a time.
    """
    branches, kinds = scores.drop(columns="kind"), scores["kind"]
    values = branches.drop(columns=KEYS)
    judged = {
        "plain sum": values.sum(axis=1),
        "equal weights": fused_equally(branches, histogram),
        "weighted sum": fused_by_rule(branches, histogram, chance=chance, combination="sum"),
        "Fisher, equal": fused_equally(branches, histogram, combination="fisher"),
        "rule": fused_by_rule(branches, histogram, chance=chance),
    }
    table = {
        name: aurocs(scores["split"], kinds, one) for name, one in {**alone(branches, histogram), **judged}.items()
    }
    table["rule - equal"] = differences(table["rule"], table["equal weights"])
    noisy: dict[str, list[dict[str, float]]] = {"rule": [], "equal weights": []}
    for draw in range(draws):
        more = branches.assign(noise=np.random.default_rng(draw).normal(size=len(branches)))
        after = {"rule": fused_by_rule(more, histogram, chance=chance), "equal weights": fused_equally(more, histogram)}
        for name, one in after.items():
            noisy[name].append(differences(aurocs(scores["split"], kinds, one), table[name]))
    for name, changes in noisy.items():
        table[f"noise, {name}: mean"] = {kind: statistics.mean(one[kind] for one in changes) for kind in changes[0]}
        table[f"noise, {name}: worst"] = {kind: max((one[kind] for one in changes), key=abs) for kind in changes[0]}
    return table


def alone(branches: pd.DataFrame, histogram: Mapping[str, Any]) -> dict[str, pd.Series]:
    """Every branch by itself; that of the histograms is their weighted sum, zeros where none is in use."""
    parts = columns_of_branches(branches, histogram["weights"])
    kept = {name: names for name, names in parts.items() if branches[names].nunique().max() > 1}
    single = {}
    for name in kept:
        only = {part: float(part == name) for part in parts}
        single[name] = fuse(branches, histogram["weights"], only, combination="sum")[0]["score"]
    return {name: single.get(name, pd.Series(np.zeros(len(branches)))) for name in parts}


def fused_by_rule(
    branches: pd.DataFrame, histogram: Mapping[str, Any], *, chance: float, combination: Combination = "by_kind"
) -> pd.Series:
    """Fused with the weights of the stage `hybrid_fusion`, by kind or as a sum."""
    weights = {name: one.weight for name, one in weigh_branches(branches, histogram, chance=chance).items()}
    return fuse(branches, histogram["weights"], weights, combination=combination)[0]["score"]


def fused_equally(
    branches: pd.DataFrame, histogram: Mapping[str, Any], *, combination: Combination = "sum"
) -> pd.Series:
    """Every branch, and every histogram column within its branch, with weight 1."""
    columns = dict.fromkeys(histogram["weights"], 1.0)
    weights = dict.fromkeys(columns_of_branches(branches, columns), 1.0)
    return fuse(branches, columns, weights, combination=combination)[0]["score"]


def aurocs(split: pd.Series, kinds: pd.Series, scores: pd.Series) -> dict[str, float]:
    """AUROC in % of each kind of test images against normal ones, and of our own against validation images."""
    test = split == "test"
    groups = {kind: (test & (kinds == "normal"), test & (kinds == kind)) for kind in KINDS[:2]}
    groups |= {kind: (split == "validation", split == kind) for kind in KINDS[2:]}
    found = {}
    for kind, (normal, defect) in groups.items():
        if normal.any() and defect.any():
            rows = normal | defect
            found[kind] = 100 * float(roc_auc_score(defect[rows], scores[rows]))
    return found


def differences(new: Mapping[str, float], old: Mapping[str, float]) -> dict[str, float]:
    return {kind: new[kind] - old[kind] for kind in old}


def mean_and_spread(values: Sequence[float]) -> str:
    """For example "93.1 ± 0.4"; the mean alone for one run."""
    half = (max(values) - min(values)) / 2
    return f"{statistics.mean(values):z.1f}" + (f" ± {half:.1f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
