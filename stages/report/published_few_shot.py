"""Our few-shot results beside the publications' tables.

    python -m stages.report.published_few_shot inctrl candle=VisA/candle
    python -m stages.report.published_few_shot madclip brain=BrainMRI liver=LiverCT adni=BrainMRI/ADNI

Each pair names one of our categories and the data set that it is in the publication; "trained on/judged on" is a row of
MadCLIP's cross-dataset table. Our image AUROC is the mean over the draws of shots with a 95 % interval (Student's t),
our pixel AUROC that of the first draw, which makes the maps. Published numbers stand as printed.
"""

import argparse
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from scipy.stats import t as student

from stages.core.running.console import CONSOLE
from stages.core.running.errors import UserError
from stages.core.running.stage import command_entry
from stages.report.plot_data import read_csv
from stages.report.rows import read_json

REFERENCE = Path(__file__).parent / "reference"
CONFIDENCE = 0.95
IMAGE, PIXEL = "image AUROC", "pixel AUROC"
Line = tuple[str, str, str, str]  # method, source, metric, value in percent


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=list(READERS))
    parser.add_argument("pairs", nargs="+", metavar="category=data set")
    parser.add_argument("--metrics", type=Path, default=Path("metrics"))
    parser.add_argument("--reference", type=Path, default=REFERENCE)
    given = parser.parse_args(argv)
    table = Table(title="in percent")
    for heading in ("data set", "shots", "method", "source", "metric", "value"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for pair in given.pairs:
        category, _, name = pair.partition("=")
        shots, ours = our_result(given.metrics, given.method, category)
        published = READERS[given.method](given.reference, name, shots)
        if not published:
            raise UserError(f"{name!r} with {shots} shots is in no table of {given.reference}: correct {pair!r}")
        for line in (*published, *ours):
            if line[2] in {metric for _, _, metric, _ in published}:
                table.add_row(name, str(shots), *line)
        table.add_section()
    CONSOLE.print(table)
    return f"{len(given.pairs)} data sets compared"


def our_result(metrics: Path, method: str, category: str) -> tuple[int, list[Line]]:
    """(shots, image AUROC over the draws and, where there are masks, pixel AUROC).

    Raises:
        UserError: the category was not evaluated.
    """
    own: Mapping[str, Any] = read_json(metrics / method / f"{category}.json")
    shots = int(read_json(metrics / "choices" / category / f"{method}.json")["shots"])
    draws = [100 * value["all"] for name, value in own["branches"].items() if name.startswith("draw_")]
    lines = [(method, "this repository", IMAGE, mean_and_interval(draws))]
    pixels = own.get("pixel_auroc", {}).get("all")
    if pixels is not None:
        lines.append((method, "this repository", PIXEL, f"{percent(pixels)} (1 draw)"))
    return shots, lines


def mean_and_interval(values: Sequence[float]) -> str:
    """For example "93.1 ± 0.4 (3 draws)": mean, and half of the 95 % interval of the mean; one draw has none."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.1f} (1 draw)"
    quantile = float(student.ppf(0.5 + CONFIDENCE / 2, len(values) - 1))
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.1f} ± {half:.1f} ({len(values)} draws)"


def read_inctrl(folder: Path, name: str, shots: int) -> list[Line]:
    """Rows of inctrl_reported.csv; `name` is "data set/category", or the data set alone for its mean."""
    table = read_csv(folder / "inctrl_reported.csv")
    dataset, _, category = name.partition("/")
    own = table[(table["dataset"] == dataset) & (table["category"] == (category or "mean"))]
    own = own[(own["shots"] == shots) & (own["metric"] == "AUROC")]
    lines = [("inctrl", "paper", IMAGE, percent(value)) for value in own["paper"].dropna().unique()]
    again = zip(own["rerun_kind"], own["evidence"], own["third_party_rerun"], strict=True)
    return lines + [("inctrl", f"{kind} ({evidence})", IMAGE, percent(value)) for kind, evidence, value in again]


def read_madclip(folder: Path, name: str, shots: int) -> list[Line]:
    """Rows of tables 1 and 2 with that many shots, image and pixel AUROC of a data set of their columns, e.g. BrainMRI.

    "BrainMRI/ADNI" gives table 3, trained on one data set and judged on another, which states no number of shots.
    """
    trained_on, _, judged_on = name.partition("/")
    if judged_on:
        return read_cross_dataset(folder, trained_on, judged_on)
    tables = [read_csv(folder / f"madclip_table{number}.csv") for number in (1, 2)]
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
    table = read_csv(folder / "madclip_table3.csv")
    rows = table[(table["source"] == trained_on) & (table["target"] == judged_on)]
    pairs = zip(rows["method"], rows["AC_AUC"], strict=True)
    return [(str(method), "MadCLIP, table 3", IMAGE, f"{value:.1f}") for method, value in pairs]


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


READERS = {"inctrl": read_inctrl, "madclip": read_madclip}

if __name__ == "__main__":
    main()
