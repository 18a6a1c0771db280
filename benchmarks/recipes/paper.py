"""Run a profile on all categories of MVTec LOCO AD and print the results next to the published ones.

    python -m benchmarks.recipes.paper                     # profile paper, seeds 0 1 2, all five categories
    python -m benchmarks.recipes.paper --variant thesis --seeds 0 --categories pushpins
    python -m benchmarks.recipes.paper --profile modern

A variant is the profile with the values that data/<profile>.json lists for it; `thesis` is the AeCSAD thesis where it
differs from CSAD's code.

Stops before any work with a list of what to fetch when a file is neither here nor reachable. Works in a clone of the
last commit in work/paper, with this repository's DVC cache, params.yaml and profile, and where that names the proposer
`foundation` with its weights and, for each category, the `prompts` of params.yaml. An interrupted run continues, and
one that was done before with the same code, settings and archive is not done again. The results hold the metrics and
the score of every test image: `oddpart verify work/paper/results/<profile>` computes the former from the latter.
MVTec LOCO AD is licensed CC BY-NC-SA 4.0: not for commercial use.
"""

import argparse
import hashlib
import itertools
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.recipes.clone import answer, evaluate, prepare_clone, switch_methods
from benchmarks.recipes.paper_files import PaperFiles, check_files, read_paper_files, with_absolute_paths
from benchmarks.recipes.paper_foundation import foundation_files, missing_foundation, prompts_of
from commands.published.loco import show_runs
from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE, PROFILES
from stages.core.run.stage import command_entry
from stages.download.manifest import fetch
from stages.download.source import DOWNLOADS

LOG = logging.getLogger(__name__)
WORK = Path("work/paper")
PROFILE = "paper"  # the default
METRICS, SCORES = "metrics.json", "scores.csv"  # of one run, in the folder of those that are done


@command_entry
def main(argv: Sequence[str]) -> str:
    """Check the files, run every category and seed, print the comparison."""
    given = parse(argv)
    source, profile = list_of(given.profile), PROFILES / f"{given.profile}.yaml"
    files, manifest = read_paper_files(source)
    categories = known(given.categories or list(files.categories), files.categories, "category", source=source)
    variants = known([given.variant] if given.variant else [], files.variants, "variant", source=source)
    changes = files.variants[variants[0]] if variants else {}
    check_files(files, manifest, archive=DOWNLOADS / f"{manifest.sha256[:16]}-{manifest.file}",
                settings=settings_of(given.profile), further=missing_foundation(profile))  # fmt: skip
    weights = foundation_files(profile)
    entries = {category: prompts_of(category) if weights else {} for category in categories}
    archive = fetch(manifest, DOWNLOADS).resolve()
    name = given.variant or given.profile
    clone, results = prepare_clone(WORK / "repository"), WORK / "results" / name
    shutil.rmtree(results, ignore_errors=True)
    for category, seed in itertools.product(categories, given.seeds):
        LOG.info("%s, %s, seed %d", name, category, seed)
        entry = {category: {"source": "mvtec_loco", "path": str(archive), **entries[category]}}
        overrides = {**changes, **files.categories[category]}
        params = params_of(entry, overrides, profile=given.profile, files=files, seed=seed) | weights
        keep(evaluated(clone, category, params, data=manifest.sha256), results / f"seed-{seed}", category)
    show_runs(results, method=files.method)
    return f"{name}: {len(categories)} categories, {len(given.seeds)} seeds; `oddpart verify {results}` recomputes them"


def keep(done: Path, folder: Path, category: str) -> None:
    """Copy the metrics and scores of a run into the results."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, suffix in ((METRICS, ".json"), (SCORES, ".csv")):
        shutil.copy2(done / name, folder / f"{category}{suffix}")


def list_of(profile: str) -> Path:
    """Return the list of what a profile needs on MVTec LOCO AD.

    Raises:
        UserError: there is none.
    """
    path = Path(f"data/{profile}.json")
    if not (path.is_file() and (PROFILES / f"{profile}.yaml").is_file()):
        raise UserError(f"profile {profile}: {path} or {PROFILES / profile}.yaml is missing: take paper or modern")
    return path


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default=PROFILE, help="paper (default) or modern")
    parser.add_argument("--variant", help="of data/<profile>.json, e.g. thesis; without it the profile as it is")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--categories", nargs="+", help="default: all of data/<profile>.json")
    return parser.parse_args(argv)


def known(names: Sequence[str], entries: Mapping[str, Any], what: str, *, source: Path) -> Sequence[str]:
    """The names as they are.

    Raises:
        UserError: the file has no such entry.
    """
    if unknown := sorted(set(names) - set(entries)):
        raise UserError(f"{source} has no {what} {', '.join(unknown)}: known are {', '.join(entries)}")
    return names


def settings_of(profile: str) -> dict[str, Any]:
    """Return what a profile's file holds."""
    settings: dict[str, Any] = yaml.safe_load((PROFILES / f"{profile}.yaml").read_text(encoding="utf-8"))
    return settings


def params_of(
    categories: Mapping[str, Any], overrides: Mapping[str, Any], *, profile: str, files: PaperFiles, seed: int
) -> dict[Path, dict[str, Any]]:
    """The params of one run: what params.yaml and the profile's file hold, whole, with its methods alone switched on.

    Args:
        categories: takes the place of those in params.yaml.
        overrides: values by dotted key below `aecsad` of the profile.
        profile: name of the file.
        files: which methods.
        seed: of the run.

    Raises:
        UserError: the profile has no such key.
    """
    params: dict[str, Any] = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    settings = settings_of(profile)
    with_absolute_paths(settings)
    params |= {"profile": profile, "seed": seed, "categories": dict(categories)}
    switch_methods(params, {method: {} for method in (files.method, *files.needs)})
    for key, value in overrides.items():
        *parents, last = key.split(".")
        node: Any = settings["aecsad"]
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if not isinstance(node, dict) or last not in node:
            raise UserError(f"data/{profile}.json: {PROFILES / profile}.yaml has no aecsad.{key}: correct it")
        node[last] = value
    return {PARAMS_FILE: params, PROFILES / f"{profile}.yaml": settings}


def text_of(file: Path, values: Mapping[str, Any]) -> str:
    """JSON or YAML, by the file's name."""
    if file.suffix == ".json":
        return json.dumps(values, indent=2) + "\n"
    return yaml.safe_dump(dict(values), sort_keys=False)


def evaluated(clone: Path, category: str, params: Mapping[Path, Mapping[str, Any]], *, data: str) -> Path:
    """A folder with the metrics and scores of one run, which is done now unless it was before.

    DVC's own cache of runs excludes stages with uncached outputs, as ours have; so they are kept under a fingerprint of
    all that decides them.

    Args:
        clone: of `prepare_clone`.
        category: of `params`.
        params: of `params_of`, and other files of the clone whose content is not that of the commit.
        data: sha256 of the archive.
    """
    texts = {file: text_of(file, values) for file, values in params.items()}
    decisive = [answer("git", "rev-parse", "HEAD:stages"), data, *texts.values()]
    fingerprint = hashlib.sha256(" ".join(decisive).encode()).hexdigest()
    done = WORK / "done" / fingerprint[:32]
    if done.exists():
        LOG.info("done before: %s", done)
        return done
    for file, text in texts.items():
        (clone / file).write_text(text, encoding="utf-8")
    evaluate(clone, [category])
    with replacing_folder(done) as temporary:
        shutil.copy2(clone / f"metrics/evaluation/{category}.json", temporary / METRICS)
        shutil.copy2(clone / f"metrics/scores/{category}.csv", temporary / SCORES)
    return done


if __name__ == "__main__":
    main()
