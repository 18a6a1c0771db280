"""Run SIR's four settings on medical data sets that lie in one folder, and print the results.

    python -m benchmarks.recipes.medical --folder /data/medical --check    # what is there, what to fetch from where
    python -m benchmarks.recipes.medical --folder /data/medical            # profile paper, all nine data sets
    python -m benchmarks.recipes.medical --folder /data/medical --profile embedded --datasets br35h oct2017

Stops before any work with a list of what to fetch when a data set is not there or not whole; nothing is downloaded.
Fills `categories` and the methods' entries of params.yaml in a clone of the last commit in work/medical, and runs there
what these methods need, with this folder's params.yaml and profile otherwise. An interrupted run continues; its metrics
are in work/medical/repository/metrics. Universal models learn from all data sets that are named, so fewer of them are
another experiment.
"""

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.recipes.clone import command, evaluate, prepare_clone, switch_methods
from benchmarks.recipes.medical_files import (
    MedicalDataset,
    Place,
    entry_of,
    find_dataset,
    missing_datasets,
    read_medical_datasets,
)
from benchmarks.recipes.paper_files import missing_weights, read_paper_files
from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE, PROFILES
from stages.core.run.stage import command_entry

LOG = logging.getLogger(__name__)
FILES, WEIGHTS, WORK = Path("data/medical.json"), Path("data/paper.json"), Path("work/medical")
SIR = ("sir_one_shot_universal", "sir_one_shot_specialised", "sir_full_shot_universal", "sir_full_shot_specialised")


@command_entry
def main(argv: Sequence[str]) -> str:
    """Check the data sets, run the methods on them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the data sets lie, each under its name")
    parser.add_argument("--check", action="store_true", help="only look, and fail where a data set is not ready")
    parser.add_argument("--profile", default="paper", choices=sorted(path.stem for path in PROFILES.glob("*.yaml")))
    parser.add_argument("--datasets", nargs="+", help="default: all of data/medical.json")
    parser.add_argument("--methods", nargs="+", default=SIR, help="default: SIR's four settings")
    given = parser.parse_args(argv)
    known = read_medical_datasets(FILES)
    names = given.datasets or list(known)
    if unknown := sorted(set(names) - set(known)):
        raise UserError(f"{FILES} has no data set {', '.join(unknown)}: known are {', '.join(known)}")
    places = {name: find_dataset(given.folder, known[name]) for name in names}
    check(given.folder, known, places, profile=given.profile)
    if given.check:
        return f"{len(names)} data sets ready"
    categories = {name: entry_of(known[name], place.path) for name, place in places.items() if place.path}
    params = params_of(given.profile, categories, given.methods)
    clone = prepare_clone(WORK / "repository")
    shutil.copy2(PROFILES / f"{given.profile}.yaml", clone / PROFILES)
    (clone / PARAMS_FILE).write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    evaluate(clone, names)
    compare_counts(clone, known, names)
    command(sys.executable, "-m", "commands", "table", "--metrics", "metrics", cwd=clone)
    return f"{given.profile}: {len(given.methods)} methods, {len(names)} data sets"


def check(folder: Path, datasets: Mapping[str, MedicalDataset], places: Mapping[str, Place], *, profile: str) -> None:
    """Log the entry of every data set that is ready.

    Raises:
        UserError: some are not, or the published networks' weights are not available; all of that is listed.
    """
    for name, place in places.items():
        if place.path is not None and not place.lacking:
            LOG.info("%s is ready  %s: %s", name, name, json.dumps(entry_of(datasets[name], place.path)))
    missing = missing_datasets(folder, datasets, places)
    if profile.startswith("paper"):
        missing += missing_weights(read_paper_files(WEIGHTS)[0].weights)
    if missing:
        listed = "".join(f"\n  - {entry}" for entry in missing)
        raise UserError(f"nothing was run, {len(missing)} of what it takes are missing:{listed}")


def params_of(profile: str, categories: Mapping[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    """What params.yaml holds, with the categories in place of its own and these methods alone switched on for them.

    Raises:
        UserError: params.yaml has no such method.
    """
    params: dict[str, Any] = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    params |= {"profile": profile, "categories": dict(categories)}
    entries: dict[str, dict[str, Any]] = {name: {} for name in methods if name not in SIR}
    if chosen := [method for method in methods if method in SIR]:
        entries["sir"] = {
            "universal": [method for method in chosen if method.endswith("universal")],
            "specialised": [method for method in chosen if method.endswith("specialised")],
        }
    switch_methods(params, entries)
    return params


def compare_counts(clone: Path, datasets: Mapping[str, MedicalDataset], names: Sequence[str]) -> None:
    """Warn where the numbers of images are not the publications', and say what may be the reason.

    A correct download can differ: data sets have versions, and not every publication says which it used.
    """
    for name in names:
        counts = json.loads((clone / f"metrics/split/{name}.json").read_text(encoding="utf-8"))
        ours = {
            "train": counts["train"]["normal"] + counts["validation"].get("normal", 0),
            "test": sum(counts["test"].values()),
        }
        for part, published in datasets[name].images.model_dump().items():
            if published not in (None, ours[part]):
                LOG.warning(
                    "%s: %d images of %s (with validation), published are %d: part of it may be missing, or it is "
                    "another version of the data set, whose results do not compare; excluded as equal files: %s",
                    name, ours[part], part, published, counts.get("equal_files", "none"),
                )  # fmt: skip


if __name__ == "__main__":
    main()
