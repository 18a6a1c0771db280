"""Run the publications' settings on all categories of MVTec LOCO AD and print the results next to the published ones.

    python -m benchmarks.recipes.paper                     # profile paper, seeds 0 1 2, all five categories
    python -m benchmarks.recipes.paper --variant thesis --seeds 0 --categories pushpins

A variant is the profile with the values that data/paper.json lists for it; `thesis` is the AeCSAD thesis where it
differs from CSAD's code.

Stops before any work with a list of what to fetch when a file is neither here nor reachable. Works in a clone of the
last commit in work/paper, with this repository's DVC cache, params.yaml and profile, and where that names the proposer
`foundation` with its weights and, for each category, the `prompts` of params.yaml. An interrupted run continues, and
one that was done before with the same code, settings and archive is not done again.
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
from benchmarks.recipes.paper_files import check_files, read_paper_files
from benchmarks.recipes.paper_foundation import foundation_files, prompts_of
from commands.published.loco import show_runs
from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE, PROFILES
from stages.core.run.stage import command_entry
from stages.download.manifest import fetch
from stages.download.source import DOWNLOADS

LOG = logging.getLogger(__name__)
FILES, WORK = Path("data/paper.json"), Path("work/paper")
PROFILE, METHOD = "paper", "aecsad"


@command_entry
def main(argv: Sequence[str]) -> str:
    """Check the files, run every category and seed, print the comparison."""
    given = parse(argv)
    files, manifest = read_paper_files(FILES)
    categories = known(given.categories or list(files.categories), files.categories, "category")
    changes = files.variants[known([given.variant], files.variants, "variant")[0]] if given.variant else {}
    check_files(files, manifest, archive=DOWNLOADS / f"{manifest.sha256[:16]}-{manifest.file}")
    weights = foundation_files(PROFILES / f"{PROFILE}.yaml")
    entries = {category: prompts_of(category) if weights else {} for category in categories}
    archive = fetch(manifest, DOWNLOADS).resolve()
    name = given.variant or PROFILE
    clone, results = prepare_clone(WORK / "repository"), WORK / "results" / name
    shutil.rmtree(results, ignore_errors=True)
    for category, seed in itertools.product(categories, given.seeds):
        LOG.info("%s, %s, seed %d", name, category, seed)
        entry = {category: {"source": "mvtec_loco", "path": str(archive), **entries[category]}}
        params = params_of(entry, {**changes, **files.categories[category]}, seed=seed) | weights
        target = results / f"seed-{seed}" / f"{category}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(evaluated(clone, category, params, data=manifest.sha256), target)
    show_runs(results, method=METHOD)
    return f"{name}: {len(categories)} categories, {len(given.seeds)} seeds"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", help=f"of {FILES}, for example thesis; without it the profile as it is")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--categories", nargs="+", help=f"default: all of {FILES}")
    return parser.parse_args(argv)


def known(names: Sequence[str], entries: Mapping[str, Any], what: str) -> Sequence[str]:
    """The names as they are.

    Raises:
        UserError: the file has no such entry.
    """
    if unknown := sorted(set(names) - set(entries)):
        raise UserError(f"{FILES} has no {what} {', '.join(unknown)}: known are {', '.join(entries)}")
    return names


def params_of(categories: Mapping[str, Any], overrides: Mapping[str, Any], *, seed: int) -> dict[Path, dict[str, Any]]:
    """The params of one run: what params.yaml and the profile's file hold, whole, with the method alone switched on.

    Args:
        categories: takes the place of those in params.yaml.
        overrides: values by dotted key below `aecsad` of the profile.

    Raises:
        UserError: the profile has no such key.
    """
    profile_file = PROFILES / f"{PROFILE}.yaml"
    params: dict[str, Any] = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    settings: dict[str, Any] = yaml.safe_load(profile_file.read_text(encoding="utf-8"))
    params |= {"profile": PROFILE, "seed": seed, "categories": dict(categories)}
    switch_methods(params, {METHOD: {}})
    for key, value in overrides.items():
        *parents, last = key.split(".")
        node: Any = settings["aecsad"]
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if not isinstance(node, dict) or last not in node:
            raise UserError(f"{FILES}: {profile_file} has no aecsad.{key}: correct it")
        node[last] = value
    return {PARAMS_FILE: params, profile_file: settings}


def text_of(file: Path, values: Mapping[str, Any]) -> str:
    """JSON or YAML, by the file's name."""
    if file.suffix == ".json":
        return json.dumps(values, indent=2) + "\n"
    return yaml.safe_dump(dict(values), sort_keys=False)


def evaluated(clone: Path, category: str, params: Mapping[Path, Mapping[str, Any]], *, data: str) -> Path:
    """The metrics of one run, which is done now unless it was before.

    DVC's own cache of runs excludes stages with uncached outputs, as ours have; so the metrics are kept under a
    fingerprint of all that decides them.

    Args:
        clone: of `prepare_clone`.
        category: of `params`.
        params: of `params_of`, and other files of the clone whose content is not that of the commit.
        data: sha256 of the archive.
    """
    texts = {file: text_of(file, values) for file, values in params.items()}
    decisive = [answer("git", "rev-parse", "HEAD:stages"), data, *texts.values()]
    fingerprint = hashlib.sha256(" ".join(decisive).encode()).hexdigest()
    done = WORK / "done" / f"{fingerprint[:32]}.json"
    if done.exists():
        LOG.info("done before: %s", done)
        return done
    for file, text in texts.items():
        (clone / file).write_text(text, encoding="utf-8")
    evaluate(clone, [category])
    with replacing_file(done) as temporary:
        shutil.copy2(clone / f"metrics/evaluation/{category}.json", temporary)
    return done


if __name__ == "__main__":
    main()
