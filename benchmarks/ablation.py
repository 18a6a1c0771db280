"""Every branch alone and fused, for variants of AeCSAD over several seeds, from runs that exist: `make ablation`.

    python -m benchmarks.ablation aecsad=HEAD,aecsad-1,aecsad-2 csad=csad-0,csad-1,csad-2

Each argument names a variant and the commits, branches, tags or DVC experiments that ran it. Prints image AUROC on test
images, mean ± half the range, as Markdown. It describes; nothing in the pipeline reads it.
"""

import argparse
import io
import statistics
from collections.abc import Iterable, Sequence

import dvc.api
import pandas as pd
from sklearn.metrics import roc_auc_score

from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry

TRUTH = "artifacts/split/{category}/truth/truth.parquet"
FUSED = "artifacts/scores/{category}/aecsad/scores.parquet"
STUDENT_TEACHER = "artifacts/aecsad/student_teacher/{category}/scores.parquet"
BRANCHES = {  # heading: column of the joined tables
    "histogram": "histogram",
    "LGST": "student_teacher",
    "local": "student_teacher_local",
    "global": "student_teacher_global",
    "global-local": "student_teacher_global_local",
    "fused": "score",
}
KINDS = ("logical", "structural")


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="+", metavar="variant=revision,...")
    parser.add_argument("--categories", nargs="+", default=["pin_tray", "juice_bottle"])
    arguments = parser.parse_args(argv)
    variants = dict(read_variant(text) for text in arguments.variants)
    lines = [f"| category | variant | {' | '.join(BRANCHES)} |", f"|---|---|{'---:|' * len(BRANCHES)}"]
    for category in arguments.categories:
        for variant, revisions in variants.items():
            runs = [branch_aurocs(category, revision) for revision in revisions]
            cells = [summarise([run[heading] for run in runs]) for heading in BRANCHES]
            lines.append(f"| {category} | {variant} | {' | '.join(cells)} |")
    CONSOLE.print("\n".join(lines), soft_wrap=True, markup=False)
    return f"{len(variants)} variants, logical / structural image AUROC in %, mean ± half the range"


def read_variant(text: str) -> tuple[str, list[str]]:
    """Return the name and the revisions of "name=revision,revision".

    Raises:
        UserError: the text is not of that form.
    """
    name, _, revisions = text.partition("=")
    if not name or not revisions or "" in revisions.split(","):
        raise UserError(f"{text!r}: a variant is given as name=revision,revision,...")
    return name, revisions.split(",")


def branch_aurocs(category: str, revision: str) -> dict[str, list[float | None]]:
    """Compute the AUROC (0..1) of logical and of structural anomalies for each branch; None where it was excluded."""
    truth, fused, branch = (
        read_table(path.format(category=category), revision) for path in (TRUTH, FUSED, STUDENT_TEACHER)
    )
    fused = fused.drop(columns=[name for name in fused.columns if name in branch.columns and name != "image_id"])
    test = truth[truth["split"] == "test"].merge(fused, on="image_id").merge(branch, on="image_id")
    return {heading: [auroc(test, column, kind) for kind in KINDS] for heading, column in BRANCHES.items()}


def auroc(test: pd.DataFrame, column: str, kind: str) -> float | None:
    """Compute the AUROC of one kind against the normal images; None without that column or kind."""
    rows = test[test["kind"].isin(["normal", kind])]
    if column not in rows or rows["kind"].nunique() < 2:
        return None
    return float(roc_auc_score(rows["kind"] == kind, rows[column]))


def read_table(path: str, revision: str) -> pd.DataFrame:
    """Read a table that DVC tracks, as it was at a revision.

    Raises:
        UserError: the revision or the file is not there, or not in the cache.
    """
    try:
        return pd.read_parquet(io.BytesIO(dvc.api.read(path, rev=revision, mode="rb")))
    except Exception as error:  # DVC and its git backend raise many kinds
        raise UserError(f"{path} at {revision!r} cannot be read ({type(error).__name__}: {error})") from None


def summarise(runs: Iterable[Sequence[float | None]]) -> str:
    """Return for example "93.1 ± 0.4 / 70.2 ± 1.0"; a dash where a run has no value."""
    return " / ".join(mean_and_spread(values) for values in zip(*runs, strict=True))


def mean_and_spread(values: Sequence[float | None]) -> str:
    """Return for example "93.1 ± 0.4"; a dash where a run has no value."""
    known = [100 * value for value in values if value is not None]
    if len(known) < len(values):
        return "–"
    return f"{statistics.mean(known):.1f} ± {(max(known) - min(known)) / 2:.1f}"


if __name__ == "__main__":
    main()
