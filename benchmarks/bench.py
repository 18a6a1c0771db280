"""Run the pipeline several times as DVC experiments and print what the runs say together.

    python -m benchmarks.bench seeds        # seeds 1 and 2 next to HEAD: mean and spread of all three
    python -m benchmarks.bench ablation     # four global students, three seeds each: every branch alone and fused

Every run is an experiment named after its settings; one of the same name is replaced. A run takes as long as
`dvc repro` from the first stage that its settings change.
"""

import argparse
import itertools
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.recipes.clone import command, environment
from stages.core.run.errors import UserError
from stages.core.run.params import load_value
from stages.core.run.stage import command_entry

LOG = logging.getLogger(__name__)
SEEDS = (1, 2)  # next to that of HEAD
ABLATION_SEEDS = (0, 1, 2)
ABLATION_CATEGORIES = ("pin_tray", "juice_bottle")
GLOBAL_STUDENT = "profiles/embedded.yaml:aecsad.student_teacher.global_student"
STUDENTS = {  # name: its settings
    "aecsad": {"attention": True, "bottleneck": False},
    "bottleneck_attention": {"attention": True, "bottleneck": True},
    "latent_only": {"attention": False, "bottleneck": False},
    "csad": {"attention": False, "bottleneck": True},
}


@command_entry
def main(argv: Sequence[str]) -> str:
    """Run the experiments of one comparison, then print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", choices=list(COMPARISONS))
    return COMPARISONS[parser.parse_args(argv).comparison]()


def compare_seeds() -> str:
    """Other seeds next to HEAD."""
    names = [f"seed-{seed}" for seed in SEEDS]
    for name, seed in zip(names, SEEDS, strict=True):
        run_experiment(name, {"seed": seed})
    command(*python("commands"), "seeds", "HEAD", *names)
    return f"{len(names)} experiments next to HEAD"


def compare_students() -> str:
    """The global students on the sample products, by AeCSAD's branches."""
    targets = [f"score_fusion@{category}" for category in ABLATION_CATEGORIES]
    for seed, (name, settings) in itertools.product(ABLATION_SEEDS, STUDENTS.items()):
        changes = {f"{GLOBAL_STUDENT}.{key}": str(value).lower() for key, value in settings.items()}
        run_experiment(f"{name}-{seed}", {"seed": seed, **changes}, targets)
    variants = [f"{name}=" + ",".join(f"{name}-{seed}" for seed in ABLATION_SEEDS) for name in STUDENTS]
    command(*python("benchmarks.ablation"), *variants)
    return f"{len(variants)} students, {len(ABLATION_SEEDS)} seeds"


def run_experiment(name: str, changes: dict[str, object], targets: Sequence[str] = ()) -> None:
    """Run the pipeline, or what the targets need, with changed params in a temporary folder, as an experiment.

    Raises:
        UserError: DVC failed, or the data would not be there.
    """
    refuse_untracked_data()
    LOG.info("experiment %s", name)
    remove = [*python("dvc"), "exp", "remove", "--quiet", name]
    subprocess.run(remove, env=environment(), check=False, capture_output=True)  # it fails where there is none
    settings = [word for key, value in changes.items() for word in ("--set-param", f"{key}={value}")]
    command(*python("dvc"), "exp", "run", "--temp", "--name", name, *settings, *targets)


def refuse_untracked_data() -> None:
    """Pass if the temporary folder of an experiment will have the products' data: it holds what git or DVC tracks.

    Raises:
        UserError: a path leads to something else and is not absolute.
    """
    for name, entry in load_value("categories").items():
        path = Path(entry["path"])
        listed = subprocess.run(["git", "ls-files", "--", path], capture_output=True, text=True, check=False).stdout
        if not path.is_absolute() and not listed and not path.with_name(f"{path.name}.dvc").exists():
            raise UserError(
                f"{path} of the product {name} is tracked neither by git nor by DVC, so an experiment in a temporary "
                "folder does not see it: write its absolute path into params.yaml"
            )


def python(module: str) -> tuple[str, str, str]:
    """The words that run a module with this interpreter."""
    return (sys.executable, "-m", module)


COMPARISONS = {"seeds": compare_seeds, "ablation": compare_students}


if __name__ == "__main__":
    main()
