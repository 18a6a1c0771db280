"""The table of peers next to our own methods."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.peers.own import OWN

RESULTS = Path("benchmarks/peers/results")
OWN_COSTS = "own.json"
METRICS = Path("metrics")
HEADINGS = (
    "product", "method", "AUROC logical", "structural", "all", "AUPRO", "sPRO 0.05", "false alarms",
    "images seen", "fit s", "ms/image", "MB RAM", "MB kept",
)  # fmt: skip


def comparison(results: Path) -> Table:
    """Return the table: our committed metrics, then a row for each JSON of a peer."""
    table = Table(*HEADINGS, title="Percent; fit, time and memory on the machine of each run")
    costs = json.loads((results / OWN_COSTS).read_text(encoding="utf-8")) if (results / OWN_COSTS).exists() else {}
    products = sorted({path.stem for path in results.glob("*/*.json")})
    for product in products:
        own = json.loads((METRICS / "evaluation" / f"{product}.json").read_text(encoding="utf-8"))
        for method in OWN:
            table.add_row(product, method, *cells(own[method] | costs.get(product, {}).get(method, {})))
        for path in sorted(results.glob(f"*/{product}.json")):
            row = json.loads(path.read_text(encoding="utf-8"))
            table.add_row(product, f"anomalib {path.parent.name}", *cells(row))
        table.add_section()
    return table


def cells(row: dict[str, Any]) -> list[str]:
    """Return a row's cells; a dash where a number is undefined or was not measured."""
    aupro, spro = row.get("aupro") or {}, (row.get("au_spro") or {}).get("at_0.05") or {}
    shares = [row["image_auroc"].get(kind) for kind in ("logical", "structural", "all")]
    shares += [aupro.get("all"), spro.get("all"), row["at_threshold"]["false_alarm_rate"]]
    costs = [row.get(key) for key in ("images_seen", "fit_seconds", "milliseconds_an_image", "peak_mb", "stored_mb")]
    return [
        *("–" if share is None else f"{100 * share:.1f}" for share in shares),
        *("–" if cost is None else f"{cost:.0f}" for cost in costs),
    ]
