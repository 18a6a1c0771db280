"""Our few-shot results beside the publications' tables.

    python -m stages.report.published_few_shot inctrl candle=VisA/candle
    python -m stages.report.published_few_shot madclip brain=BrainMRI liver=LiverCT

Each pair names one of our categories and the data set that it is in the publication. Ours is the mean over the draws of
shots with a 95 % interval (Student's t), published numbers stand as printed.
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

from stages.core.console import CONSOLE
from stages.core.errors import UserError
from stages.core.stage import command_entry
from stages.report.page import read_csv
from stages.report.rows import read_json

REFERENCE = Path(__file__).parent / "reference"
CONFIDENCE = 0.95
Line = tuple[str, str, str]  # method, source, AUROC in percent


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=list(READERS))
    parser.add_argument("pairs", nargs="+", metavar="category=data set")
    parser.add_argument("--metrics", type=Path, default=Path("metrics"))
    parser.add_argument("--reference", type=Path, default=REFERENCE)
    given = parser.parse_args(argv)
    table = Table(title="image AUROC in percent")
    for heading in ("data set", "shots", "method", "source", "AUROC"):
        table.add_column(heading, justify="right" if heading == "AUROC" else "left")
    for pair in given.pairs:
        category, _, name = pair.partition("=")
        shots, ours = our_result(given.metrics, given.method, category)
        published = READERS[given.method](given.reference, name, shots)
        if not published:
            raise UserError(f"{name!r} with {shots} shots is in no table of {given.reference}: correct {pair!r}")
        for line in (*published, (given.method, "this repository", ours)):
            table.add_row(name, str(shots), *line)
        table.add_section()
    CONSOLE.print(table)
    return f"{len(given.pairs)} data sets compared"


def our_result(metrics: Path, method: str, category: str) -> tuple[int, str]:
    """(shots, mean and interval over the draws).

    Raises:
        UserError: the category was not evaluated.
    """
    values: Mapping[str, Any] = read_json(metrics / method / f"{category}.json")["branches"]
    shots = int(read_json(metrics / "choices" / category / f"{method}.json")["shots"])
    draws = [100 * value["all"] for name, value in values.items() if name.startswith("draw_")]
    return shots, mean_and_interval(draws)


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
    lines = [("inctrl", "paper", percent(value)) for value in own["paper"].dropna().unique()]
    again = zip(own["rerun_kind"], own["evidence"], own["third_party_rerun"], strict=True)
    return lines + [("inctrl", f"{kind} ({evidence})", percent(value)) for kind, evidence, value in again]


def read_madclip(folder: Path, name: str, shots: int) -> list[Line]:
    """Rows of tables 1 and 2 with that many shots; `name` is a data set of their columns, e.g. BrainMRI."""
    tables = [read_csv(folder / f"madclip_table{number}.csv") for number in (1, 2)]
    column = f"{name}_AC"
    if column not in tables[0]:
        return []
    rows = pd.concat([table[table["shots"] == shots] for table in tables]).dropna(subset=[column])
    return [
        (str(method), "MadCLIP, table" if isinstance(source, float) else str(source), f"{value:.1f}")
        for method, source, value in zip(rows["method"], rows["source"], rows[column], strict=True)
    ]


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


READERS = {"inctrl": read_inctrl, "madclip": read_madclip}

if __name__ == "__main__":
    main()
