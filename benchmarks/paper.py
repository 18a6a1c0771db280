"""Run the publications' settings on all categories of MVTec LOCO AD and print the results beside the published ones.

    python -m benchmarks.paper                            # profile paper, seeds 0 1 2, all five categories
    python -m benchmarks.paper --profile paper_thesis --seeds 0 --categories pushpins

Stops before any work with a list of what to fetch when a file is neither here nor reachable. Works in a clone of the
last commit in work/paper, with this repository's DVC cache: what was broken off or done before is not done again.
MVTec LOCO AD is licensed CC BY-NC-SA 4.0: not for commercial use.
"""

import argparse
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.paper_files import check_files, read_paper_files
from stages.core.errors import UserError
from stages.core.stage import command_entry
from stages.download.fetch import fetch
from stages.download.source import DOWNLOADS
from stages.report.published import main as print_comparison

LOG = logging.getLogger(__name__)
FILES, WORK = Path("data/paper.json"), Path("work/paper")


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="paper", choices=["paper", "paper_thesis"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--categories", nargs="+", help="default: all of data/paper.json")
    given = parser.parse_args(argv)
    files, manifest = read_paper_files(FILES)
    categories = given.categories or list(files.categories)
    if unknown := set(categories) - set(files.categories):
        raise UserError(
            f"{FILES} has no category {', '.join(sorted(unknown))}: known are {', '.join(files.categories)}"
        )
    check_files(files, manifest, archive=DOWNLOADS / f"{manifest.sha256[:16]}-{manifest.file}")
    archive = fetch(manifest, DOWNLOADS).resolve()
    clone, results = prepare_clone(WORK / "repository"), WORK / "results" / given.profile
    shutil.rmtree(results, ignore_errors=True)
    for category in categories:
        for seed in given.seeds:
            LOG.info("%s, %s, seed %d", given.profile, category, seed)
            settings = {"source": "mvtec_loco", "path": str(archive)}
            run(clone, given.profile, category, settings, files.categories[category], seed=seed)
            target = results / f"seed-{seed}" / f"{category}.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(clone / f"metrics/aecsad/{category}.json", target)
    print_comparison(["--runs", str(results)])
    return f"{given.profile}: {len(categories)} categories, {len(given.seeds)} seeds"


def prepare_clone(folder: Path) -> Path:
    """A clone of this repository at its last commit that shares its DVC cache; outputs of earlier runs stay."""
    if not folder.exists():
        command("git", "clone", "--quiet", "--no-checkout", ".", str(folder))
    commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    command("git", "fetch", "--quiet", "origin", cwd=folder)
    command("git", "checkout", "--quiet", "--force", "--detach", commit, cwd=folder)
    command(sys.executable, "-m", "dvc", "cache", "dir", "--local", str(Path(".dvc/cache").resolve()), cwd=folder)
    return folder


def run(
    clone: Path,
    profile: str,
    category: str,
    source: Mapping[str, Any],
    overrides: Mapping[str, Any],
    *,
    seed: int,
) -> None:
    """Reproduce one category's evaluation in the clone.

    Args:
        source: the category's entry in params.yaml.
        overrides: values by dotted key below `profiles.<profile>.aecsad`.
    """
    path = clone / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    published = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["profiles"][profile]
    params |= {"profile": profile, "seed": seed, "categories": {category: dict(source)}}
    params["profiles"][profile] = published
    for key, value in overrides.items():
        *parents, last = key.split(".")
        node = published["aecsad"]
        for parent in parents:
            node = node[parent]
        node[last] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    command(sys.executable, "-m", "dvc", "repro", f"evaluation@aecsad-{category}", cwd=clone)


def command(*words: str, cwd: Path | None = None) -> None:
    """Run a command whose output is for the user.

    Raises:
        UserError: it failed; what it printed says why.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # DVC calls `python`
    done = subprocess.run(words, cwd=cwd, env={**os.environ, "PATH": path}, check=False)
    if done.returncode:
        raise UserError(f"`{' '.join(words)}` failed with code {done.returncode}, see above")


if __name__ == "__main__":
    main()
