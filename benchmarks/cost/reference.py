"""Make what the report compares a run with: the cost of the default run on this machine, from metrics/cost.

dvc repro --force                                   # with nothing else to do for the machine
python -m benchmarks.cost.reference                 # prints it
python -m benchmarks.cost.reference --write         # into stages/report/reference_cost.json
"""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from stages.core.io.decision import read_choice
from stages.core.run.atomic import replacing_file
from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.run.methods import load_methods
from stages.core.run.params import load_value
from stages.core.run.stage import command_entry
from stages.report.rows import read_costs
from stages.report.run_cost import REFERENCE, Cost, Reference, cost_of

PRODUCTS = ("pin_tray", "juice_bottle", "elpv_mono")  # of the default run


@command_entry
def main(argv: Sequence[str]) -> str:
    """Collect the costs, and print or write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"into {REFERENCE.name} of the report")
    write = parser.parse_args(argv).write
    text = json.dumps(asdict(reference_of(Path("metrics"), machine=machine())), indent=1) + "\n"
    if not write:
        CONSOLE.print(text)
        return "nothing written"
    with replacing_file(REFERENCE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return f"{REFERENCE.name} written"


def reference_of(metrics: Path, *, machine: str) -> Reference:
    """Collect the stages of the products.

    Raises:
        UserError: a product is not in this run, or none of its stages has a known cost.
    """
    costs = read_costs(metrics / "cost")
    products = load_methods().categories
    found: dict[str, Cost] = {}
    for product in PRODUCTS:
        own = {key: cost_of(cost) for key, cost in costs.items() if key.startswith(f"{product}/")}
        if product not in products or not own:
            raise UserError(f"{product} has no cost in {metrics}/cost: run `dvc repro` with it in params.yaml")
        found |= own
    images = {product: int(read_choice(metrics / "data_health" / f"{product}.json")["images"]) for product in PRODUCTS}
    return TypeAdapter(Reference).validate_python(
        {"machine": machine, "profile": load_value("profile"), "images": images, "costs": found}
    )


def machine() -> str:
    """Describe this machine: cores, kind of processor, memory."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({processor()}), {gigabytes:.0f} GB of memory"


def processor() -> str:
    """Return the processor's name, or its architecture where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
