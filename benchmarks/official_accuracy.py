"""Give the official students ten times our training time, and compare the AUROC.

    python -m benchmarks.official_accuracy pin_tray juice_bottle

Both learn from the active profile's encoder, as the official one has no weights here. First the profile's students are
trained as the pipeline does and timed, loading and the teacher's features included. Then CSAD's students (full widths,
512 x 64 x 64 features, batch 2, changed colours, its optimiser; no natural images) get `--times` as much, in our
implementation: a step of it is quicker than one of the straightforward loop of `official_loop`, so that one would have
taken fewer steps. Printed is the image AUROC of the student-teacher branch, for reporting only. Needs the stage split
and an otherwise idle machine; about 25 minutes a category and seed on two cores.
"""

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from benchmarks.fusion_rules import aurocs
from stages.aecsad.student_teacher.fitting import Fitted, fit_student_teacher
from stages.aecsad.student_teacher.params import GlobalStudentParams, StudentTeacherParams
from stages.aecsad.student_teacher.scoring import score_images
from stages.core.io.tables import image_files, read_images
from stages.core.io.truth import read_truth
from stages.core.run.console import CONSOLE
from stages.core.run.params import PROFILES, EncoderParams, load_params, load_value, validate
from stages.core.run.stage import command_entry

SECTION = "aecsad.student_teacher"
TRIED_STEPS = (2, 8)  # the difference of their times says how many steps there is time for
CSAD = GlobalStudentParams(
    width=64, decoder_steps=(3, 8, 15, 32, 63, 127), attended_steps=(), attention=False, bottleneck=True,
    batch_norm=False, dropout=0.2,
)  # fmt: skip


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the training; the split stays")
    parser.add_argument("--times", type=float, default=10.0, help="as much training time as ours")
    given = parser.parse_args(argv)
    ours = load_params(StudentTeacherParams, section=SECTION)
    for category, seed in itertools.product(given.categories, given.seeds):
        table = Table("category", "seed", "students", "steps", "seconds", "times ours", "logical", "structural")
        seconds = add_row(table, category, "of the profile", ours, seed=seed)
        steps = steps_in(category, given.times * seconds, seed=seed)
        add_row(table, category, "official", with_steps(official(), steps), seed=seed, ours=seconds)
        CONSOLE.print(table)
    return f"{len(given.categories)} categories, {len(given.seeds)} seeds"


def official() -> StudentTeacherParams:
    """CSAD's students, from the profile `paper` but for the global one."""
    file = PROFILES / "paper.yaml"
    params = validate(StudentTeacherParams, load_value(SECTION, file=file), where=SECTION, file=file)
    return params.model_copy(update={"global_student": CSAD})


def with_steps(params: StudentTeacherParams, steps: int) -> StudentTeacherParams:
    """The same with another number of training steps."""
    return params.model_copy(update={"training": params.training.model_copy(update={"iterations": steps})})


def steps_in(category: str, seconds: float, *, seed: int) -> int:
    """How many steps of the official students the seconds are enough for, at least as many as are tried."""
    short, long = (fit(category, with_steps(official(), steps), seed)[1] for steps in TRIED_STEPS)
    step = (long - short) / (TRIED_STEPS[1] - TRIED_STEPS[0])
    return max(TRIED_STEPS[1], TRIED_STEPS[0] + round((seconds - short) / step))


def add_row(
    table: Table, category: str, name: str, params: StudentTeacherParams, *, seed: int, ours: float | None = None
) -> float:
    """Train, score and report; returns the seconds of the training."""
    fitted, seconds = fit(category, params, seed)
    folder = split_folder(category)
    scored = score_images(fitted, read_images(folder / "inputs"), image_files(folder / "inputs"), params.maps)
    kinds = read_truth(folder / "truth")[["image_id", "kind"]]
    rows = scored.table.merge(kinds, on="image_id", how="left", validate="one_to_one")
    found = aurocs(rows["split"], rows["kind"], rows["student_teacher"])
    cells = [f"{found[kind]:.1f}" if kind in found else "–" for kind in ("logical", "structural")]
    times = 1.0 if ours is None else seconds / ours
    table.add_row(category, str(seed), name, str(params.training.iterations), f"{seconds:.0f}", f"{times:.1f}", *cells)
    return seconds


def fit(category: str, params: StudentTeacherParams, seed: int) -> tuple[Fitted, float]:
    """The trained students and the seconds that took."""
    folder, encoder = split_folder(category), load_params(EncoderParams, section="encoder")
    images = read_images(folder / "inputs")
    started = time.perf_counter()
    fitted = fit_student_teacher(images, image_files(folder / "inputs"), params, encoder, seed=seed)
    return fitted, time.perf_counter() - started


def split_folder(category: str) -> Path:
    return Path("artifacts/split") / category


if __name__ == "__main__":
    main()
