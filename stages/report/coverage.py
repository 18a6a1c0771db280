"""What a method can see of a product, in a sentence, from what the pipeline found without one label of a test image.

Every number is an AUROC on normal images and anomalies that were made from them: how often an image with such an
anomaly scores above a normal one. Guessing gives a half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.core.io.decision import read_choice
from stages.core.runtime.calibration import Threshold, counted

LEVELS = ((0.95, "well"), (0.8, "in part"), (0.6, "hardly"))  # AUROC from which, and how it is covered
NOT = "not covered"
GAIN = 0.02  # of AUROC by a finer branch, from which a higher resolution is said to help
FEW = 100  # training images below which more of them are said to help
FINE = "fine_"  # before the name of a branch, where it sees the images at a higher resolution
PARTS = "parts"  # the branch of numbers of parts, which the histogram stage judges like its columns
EDITS = {"cut": "cut out"}  # kinds of edits in words, where these are others
WORDS = "words for the proposer `foundation` (`prompts` of the product in params.yaml)"


@dataclass(frozen=True)
class Evidence:
    """What is known of a method on a product.

    Attributes:
        logical: AUROC by kind of edit, such as "pictures with a part pasted"; empty where none is told apart.
        no_logical: why the branch that sees logical anomalies is off; None where it is on.
        structural: AUROC of the best active branch by group of synthetic defects; empty where none were judged.
        resolution_gain: AUROC that a finer branch adds on synthetic defects; None where there is none.
        threshold: from normal images that were held out.
        training: number of training images; None where it is not known.
        proposer: what found the components, None where nothing looked for them.
        words: whether it had a person's words.
    """

    logical: Mapping[str, float]
    no_logical: str | None
    structural: Mapping[str, float]
    resolution_gain: float | None
    threshold: Threshold
    training: int | None = None
    proposer: str | None = None
    words: bool = False


@dataclass(frozen=True)
class Coverage:
    """A sentence for each question; `helps` is empty where nothing is known that would."""

    logical: str
    structural: str
    false_alarms: str
    helps: Sequence[str] = field(default=())

    @property
    def sentence(self) -> str:
        """Return all of it in a line."""
        found = f"{self.logical}. {self.structural}. {self.false_alarms}."
        return f"{found} What would help: {'; '.join(self.helps)}." if self.helps else found


def coverage(evidence: Evidence) -> Coverage:
    """Say what is covered and how well, what is not, and what would help."""
    return Coverage(
        logical=_logical(evidence),
        structural=_judged("Structural anomalies", evidence.structural, "no synthetic defect was judged"),
        false_alarms=_false_alarms(evidence.threshold),
        helps=tuple(_helps(evidence)),
    )


def level(auroc: float) -> str:
    """Return how well anomalies are covered that are told apart with this AUROC."""
    return next((f"covered {word}" for least, word in LEVELS if auroc >= least), NOT)


def _logical(evidence: Evidence) -> str:
    if evidence.no_logical is not None:
        return f"Logical anomalies: {NOT}, {evidence.no_logical}"
    return _judged("Logical anomalies", evidence.logical, "no edited picture was judged")


def _judged(what: str, found: Mapping[str, float], otherwise: str) -> str:
    """Judge by the worst kind, and name each with its number."""
    if not found:
        return f"{what}: not known, {otherwise}"
    numbers = ", ".join(
        f"{kind} score above normal images in {value:.1%} of the cases" for kind, value in found.items()
    )
    return f"{what}: {level(min(found.values()))} ({numbers})"


def _false_alarms(threshold: Threshold) -> str:
    rate, budget = threshold.attainable_false_alarm_rate, threshold.false_alarm_budget
    kept = (
        ""
        if rate <= budget
        else f", the budget of {budget:.3g} cannot be kept".replace(f"{budget:.3g}", f"{budget:.1%}")
    )
    source = threshold.source if threshold.rotated else counted(threshold.normals, "validation image")
    return f"False alarms: {rate:.1%} of good products expected, from {source}{kept}"


def _helps(evidence: Evidence) -> list[str]:
    """Name what would help, the first the most."""
    found, threshold = [], evidence.threshold
    logical_weak = evidence.no_logical is not None or _weak(evidence.logical)
    structural_weak = _weak(evidence.structural)
    lacking = threshold.normals_needed - threshold.normals
    if lacking > 0:
        of_what = "more normal image" if threshold.rotated else "more normal validation image"
        found.append(f"{counted(lacking, of_what)}, to keep the false alarms asked for")
    if logical_weak and evidence.proposer is not None:
        found.append(f"other {WORDS}" if evidence.words else WORDS)
    if structural_weak and (evidence.resolution_gain or 0.0) > GAIN:
        found.append("a higher resolution, since the finer branch sees more")
    if (logical_weak or structural_weak) and evidence.training is not None and evidence.training < FEW:
        found.append(f"more normal training images, there are {evidence.training}")
    return found


def _weak(found: Mapping[str, float]) -> bool:
    return bool(found) and min(found.values()) < LEVELS[0][0]


def read_evidence(
    choices: Path, *, stages: Sequence[str], threshold: Mapping[str, Any], health: Mapping[str, Any] | None
) -> Evidence:
    """Read what the stages of a method found out about a product.

    Args:
        choices: folder of the product; a file of a stage that is not the method's is not read.
        stages: names of the method's stages.
        threshold: as the evaluation wrote it.
        health: findings about the data; None where there are none.

    Raises:
        UserError: a choice is damaged.
        KeyError: it lacks a number.
    """
    paths = {stage: choices / f"{stage}.json" for stage in stages}
    found = {stage: read_choice(path) for stage, path in paths.items() if path.exists()}
    branches: Mapping[str, Any] = found.get("hybrid_fusion", {})
    active = {name: branch["synthetic_auroc"] for name, branch in branches.items() if branch["weight"] > 0}
    logical, no_logical = _edits(found)
    proposed = found.get("pseudo_label", {})
    return Evidence(
        logical=logical,
        no_logical=no_logical,
        structural={"synthetic defects": max(active.values())} if active else {},
        resolution_gain=_gain(branches),
        threshold=Threshold(**threshold),
        training=None if health is None else sum(health["counts"].get("train", {}).values()),
        proposer=proposed.get("proposer"),
        words=bool(proposed.get("human_input")),
    )


def _gain(branches: Mapping[str, Any]) -> float | None:
    """Return what an active finer branch adds to the same one at a lower resolution; None where no branch comes twice.

    The coarser one may be excluded for this very reason.
    """
    gains = [
        branches[FINE + name]["synthetic_auroc"] - branch["synthetic_auroc"]
        for name, branch in branches.items()
        if FINE + name in branches and branches[FINE + name]["weight"] > 0
    ]
    return max(gains, default=None)


def _edits(found: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, float], str | None]:
    """Return the AUROC by kind of edit, of the best active grid or of numbers; or why both are off."""
    if "histogram" not in found:
        return {}, "the method looks for no components"
    branches = found.get("hybrid_fusion")
    columns = found["histogram"]["columns"].values()
    on = [column for column in columns if column["weight"] > 0]
    branch = None if branches is None else branches.get("histogram")
    seeing = on if branch is None or branch["weight"] > 0 else []
    if branches is not None and PARTS in branches and branches[PARTS]["weight"] > 0:
        seeing = [*seeing, found["histogram"][PARTS]]
    if seeing:
        best = max(seeing, key=lambda column: float(column["edit_auroc"]))
        return {f"pictures with a part {EDITS.get(kind, kind)}": auroc for kind, auroc in best["edits"].items()}, None
    cluster = found.get("cluster", {})
    if cluster.get("reasons"):
        return {}, f"components were not found reliably: {'; '.join(cluster['reasons'])}"
    best = branch if on and branch is not None else max(columns, key=lambda column: float(column["edit_auroc"]))
    return {}, f"the branch of components is off: {best['reason'].removeprefix('excluded: ')}"
