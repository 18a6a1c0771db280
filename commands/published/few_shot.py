"""Our few-shot results, with the mean over repetitions, next to the publications' tables.

Each pair names one of our categories and the data set that it is in the publication; "trained on/judged on" is a row of
MadCLIP's cross-dataset table. A category alone has our result alone. A published mean of several categories takes as
many of ours, joined by "+": candle+capsules+...=VisA.

Our image AUROC is the mean over the repetitions with a 95 % interval (Student's t), of several categories that of each
repetition's mean; image AUPRC (average precision) and pixel AUROC are those of the first repetition. Published numbers
stand as printed, always with the data they were measured on.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from scipy.stats import t as student

from commands.published.metrics import method_metrics, read_json
from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import counted

REFERENCE = Path(__file__).parent / "reference"
CONFIDENCE = 0.95
IMAGE, PRECISION, PIXEL = "image AUROC", "image AUPRC", "pixel AUROC"
CATEGORIES_OF = {"VisA": 12, "Avg": 6}  # of published means; every other name stands for one category
REPETITION = "repetition_"  # branches of a method are called so by their number
Line = tuple[str, str, str, str]  # method, source, metric, value in percent


def show_pairs(method: str, pairs: Sequence[str], *, metrics: Path, reference: Path = REFERENCE) -> str:
    """Print a table of our results and the published ones.

    Args:
        method: inctrl or madclip.
        pairs: "category[+category...][=data set]".
        metrics: the folder that the pipeline writes to.
        reference: the published tables.

    Raises:
        UserError: the method has no published tables, no pair is named, or a number is missing on either side.
    """
    if method not in READERS:
        what = f"no tables of {method} are here" if method else "no method is named"
        raise UserError(f"{what}: name one of {', '.join(READERS)}, or --runs FOLDER")
    if not pairs:
        raise UserError("no product is named: for example `oddpart published madclip my_part brain=BrainMRI`")
    table = Table(title="in percent")
    for heading in ("data set", "shots", "method", "source", "metric", "value"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for pair in pairs:
        names, _, dataset = pair.partition("=")
        shots, lines = our_result(metrics, method, names.split("+"))
        if dataset:
            published = published_rows(reference, method, pair, shots)
            lines = [*published, *(line for line in lines if line[2] in {metric for _, _, metric, _ in published})]
        for line in lines:
            table.add_row(dataset or names, str(shots), *line)
        table.add_section()
    CONSOLE.print(table)
    return f"{counted(len(pairs), 'result')} shown"


def published_rows(reference: Path, method: str, pair: str, shots: int) -> list[Line]:
    """The published lines for "category=data set".

    Raises:
        UserError: there are none, or the published number stands for more or fewer categories than are named.
    """
    names, _, dataset = pair.partition("=")
    published = READERS[method](reference, dataset, shots)
    if not published:
        raise UserError(
            f"{dataset!r} with {shots} shots is in no table of {reference}: correct {pair!r}, or write {names!r} for "
            "our result alone"
        )
    expected, found = CATEGORIES_OF.get(dataset, 1), len(names.split("+"))
    if found != expected:
        raise UserError(
            f"{pair!r}: the published number for {dataset} stands for {expected} categories, {found} named: join that "
            'many by "+", or name a single category\'s data set'
        )
    return published


def our_result(metrics: Path, method: str, categories: Sequence[str]) -> tuple[int, list[Line]]:
    """(shots, lines for image AUROC over the repetitions, image AUPRC and, where there are masks, pixel AUROC).

    Raises:
        UserError: a category was not evaluated or has no anomaly in test, or the categories differ in shots or
            repetitions.
    """
    own = [method_metrics(metrics / "evaluation" / f"{name}.json", method) for name in categories]
    shots = {int(read_json(metrics / "choices" / name / f"{method}.json")["shots"]) for name in categories}
    repetitions = [repetition_values(one, category=name) for one, name in zip(own, categories, strict=True)]
    if len(shots) > 1 or len({len(values) for values in repetitions}) > 1:
        raise UserError(f"{'+'.join(categories)}: evaluated with different shots or repetitions: run `dvc repro`")
    means = [statistics.mean(values) for values in zip(*repetitions, strict=True)]
    several = f", mean of {len(own)} categories" if len(own) > 1 else ""
    lines = [(method, f"this repository{several}", IMAGE, mean_and_interval(means))]
    for key, metric in (("average_precision", PRECISION), ("pixel_auroc", PIXEL)):
        found = [value for one in own if (value := one.get(key, {}).get("all")) is not None]
        if found:
            several = f", mean of {len(found)} categories" if len(own) > 1 else ""
            value = f"{percent(statistics.mean(found))} (1 repetition)"
            lines.append((method, f"this repository{several}", metric, value))
    return shots.pop(), lines


def repetition_values(own: Mapping[str, Any], *, category: str) -> list[float]:
    """Image AUROC of each repetition in percent, in the order of their numbers.

    Raises:
        UserError: it is undefined, because the category has no anomaly in test.
    """
    values = {name: value["all"] for name, value in own["branches"].items() if name.startswith(REPETITION)}
    if None in values.values():
        raise UserError(f"{category} has no anomaly in test, so that there is no AUROC: exclude it")
    return [100 * values[name] for name in sorted(values, key=lambda name: int(name.removeprefix(REPETITION)))]


def mean_and_interval(values: Sequence[float]) -> str:
    """For example "93.1 ± 0.4 (3 repetitions)": mean and half of its 95 % interval, which one repetition has not."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.1f} (1 repetition)"
    quantile = float(student.ppf(0.5 + CONFIDENCE / 2, len(values) - 1))
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.1f} ± {half:.1f} ({len(values)} repetitions)"


def read_inctrl(folder: Path, name: str, shots: int) -> list[Line]:
    """Rows of inctrl_reported.csv; `name` is "data set/category", or the data set alone for its mean."""
    table = pd.read_csv(folder / "inctrl_reported.csv")
    dataset, _, category = name.partition("/")
    own = table[(table["dataset"] == dataset) & (table["category"] == (category or "mean")) & (table["shots"] == shots)]
    lines = []
    for metric, label in (("AUROC", IMAGE), ("AUPRC", PRECISION)):
        rows = own[own["metric"] == metric]
        lines += [("inctrl", "paper", label, percent(value)) for value in rows["paper"].dropna().unique()]
        again = zip(rows["rerun_kind"], rows["evidence"], rows["third_party_rerun"], strict=True)
        lines += [("inctrl", f"{kind} ({evidence})", label, percent(value)) for kind, evidence, value in again]
    return lines


def read_madclip(folder: Path, name: str, shots: int) -> list[Line]:
    """Rows of tables 1 and 2 with that many shots, image and pixel AUROC of a data set of their columns, e.g. BrainMRI.

    "BrainMRI/ADNI" returns table 3, trained on one data set and judged on another, which states no number of shots.
    """
    trained_on, _, judged_on = name.partition("/")
    if judged_on:
        return read_cross_dataset(folder, trained_on, judged_on)
    tables = [pd.read_csv(folder / f"madclip_table{number}.csv") for number in (1, 2)]
    rows = pd.concat([table[table["shots"] == shots] for table in tables])
    lines = []
    for column, metric in ((f"{name}_AC", IMAGE), (f"{name}_AS", PIXEL)):
        if column in rows:
            for row in rows.dropna(subset=[column]).to_dict("records"):
                source = "MadCLIP, table" if pd.isna(row["source"]) else str(row["source"])
                lines.append((str(row["method"]), source, metric, f"{row[column]:.1f}"))
    return lines


def read_cross_dataset(folder: Path, trained_on: str, judged_on: str) -> list[Line]:
    """Rows of madclip_table3.csv."""
    table = pd.read_csv(folder / "madclip_table3.csv")
    rows = table[(table["source"] == trained_on) & (table["target"] == judged_on)]
    pairs = zip(rows["method"], rows["AC_AUC"], strict=True)
    return [(str(method), "MadCLIP, table 3", IMAGE, f"{value:.1f}") for method, value in pairs]


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


READERS = {"inctrl": read_inctrl, "madclip": read_madclip}
