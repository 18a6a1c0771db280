"""SIR's four settings and numbers of loops on some categories: image AUROC over the repetitions.

    python -m benchmarks.sir_settings pin_tray juice_bottle     # four settings, the profile's loops
    python -m benchmarks.sir_settings pin_tray juice_bottle --loops 1 2 3 5 --settings sir_one_shot_universal
    python -m benchmarks.sir_settings pin_tray juice_bottle --synthetic training.learning_rate=0.01   # below sir

Prints, as Markdown and in %, mean ± standard deviation over the repetitions (one-shot) or the one value (full-shot) for
test images of each kind, and how long the trainings took. A universal model learns from all categories that are given.
With `--synthetic` no test image is read: normal validation images against copies with a synthetic defect, what settings
may be chosen by. Needs the stage split; nothing in the pipeline reads what it writes (work/sir_settings).
"""

import argparse
import hashlib
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from sklearn.metrics import roc_auc_score

from stages.core.io.tables import SYNTHETIC, image_files, read_images
from stages.core.io.truth import read_truth
from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.run.params import Params, load_seed, profile_file, validate
from stages.core.run.stage import command_entry
from stages.sir.features.caching import cache_features
from stages.sir.features.params import TeacherParams
from stages.sir.model.batches import Scope
from stages.sir.model.feature_files import TeacherFeatures, read_features
from stages.sir.model.model import Repetitions, Shots
from stages.sir.model.params import DecoderParams, TrainingParams
from stages.sir.model.training import Trained, train
from stages.sir.scores.scoring import MapsParams, fit_mapper, score_images

SPLIT, WORK = Path("artifacts/split"), Path("work/sir_settings")
SETTINGS: dict[str, tuple[Shots, Scope]] = {
    "sir_one_shot_universal": ("one_shot", "universal"),
    "sir_one_shot_specialised": ("one_shot", "specialised"),
    "sir_full_shot_universal": ("full_shot", "universal"),
    "sir_full_shot_specialised": ("full_shot", "specialised"),
}
Cells = dict[tuple[str, str], str]  # (category, kind) -> what is printed


class Sections(Params):
    """What `sir` in a profile holds."""

    teacher: TeacherParams
    decoder: DecoderParams
    training: TrainingParams
    maps: MapsParams


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+", metavar="CATEGORY or key=value")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--loops", nargs="+", type=int, help="default: the profile's")
    parser.add_argument("--synthetic", action="store_true", help="judge by synthetic defects, leave test images alone")
    given = parser.parse_intermixed_args(argv)
    categories = sorted(word for word in given.categories if "=" not in word)
    if not categories:
        raise UserError("no category was named, only values: which ones shall be judged?")
    changes, seed = [word for word in given.categories if "=" in word], load_seed()
    sections = changed_sections(changes)
    loops = given.loops or [sections.decoder.loops]
    decoders = [changed_sections([*changes, f"decoder.loops={one}"]).decoder for one in loops]
    features = {name: features_of(name, sections.teacher, seed=seed) for name in categories}
    columns: dict[str, Cells] = {}
    for decoder in decoders:
        for method in given.settings:
            started = time.perf_counter()
            trained = train_setting(method, features, decoder, sections.training, seed=seed)
            seconds = time.perf_counter() - started
            cells = judge(trained, features, sections.maps, synthetic=given.synthetic)
            columns[f"{method.removeprefix('sir_')}, K = {decoder.loops}"] = {
                **cells,
                ("training", "seconds"): f"{seconds:.0f}",
            }
    CONSOLE.print("\n".join(markdown(columns)), soft_wrap=True, markup=False)
    return f"{len(columns)} columns, {len(categories)} categories"


def changed_sections(changes: Sequence[str]) -> Sections:
    """The active profile's `sir` with values replaced, `decoder.loops=2` and so on.

    Raises:
        UserError: there is no such key, or a value does not fit.
    """
    section: dict[str, Any] = yaml.safe_load(profile_file().read_text(encoding="utf-8"))["sir"]
    for change in changes:
        key, _, value = change.partition("=")
        *parents, last = key.split(".")
        node: Any = section
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if not isinstance(node, dict) or last not in node:
            raise UserError(f"{profile_file()}: sir has no key {key}, which {change!r} shall change: correct it")
        node[last] = yaml.safe_load(value)
    return validate(Sections, section, where="sir", file=profile_file())


def features_of(category: str, teacher: TeacherParams, *, seed: int) -> TeacherFeatures:
    """The teacher's features of the training images, from an earlier run where it had the same images and values."""
    inputs = SPLIT / category / "inputs"
    images = read_images(inputs)
    files = images.loc[images["split"] == "train", "file"].to_list()
    digest = hashlib.sha256(json.dumps([teacher.model_dump(), seed, files]).encode()).hexdigest()
    path = WORK / f"{category}-{digest[:16]}"
    if not path.exists():
        cache_features(path, images, image_files(inputs), teacher, category=category, seed=seed)
    return read_features(path, category=category)


def train_setting(
    method: str,
    features: Mapping[str, TeacherFeatures],
    decoder: DecoderParams,
    training: TrainingParams,
    *,
    seed: int,
) -> dict[str, Trained]:
    """The trained models of each category; in a universal setting it is the same for all."""
    shots, scope = SETTINGS[method]
    if scope == "universal":
        return dict.fromkeys(features, train(list(features.values()), decoder, training, shots=shots, seed=seed))
    return {name: train([one], decoder, training, shots=shots, seed=seed) for name, one in features.items()}


def judge(
    trained: Mapping[str, Trained], features: Mapping[str, TeacherFeatures], maps: MapsParams, *, synthetic: bool
) -> Cells:
    """AUROC of each category and kind."""
    cells: Cells = {}
    for category, one in trained.items():
        inputs = SPLIT / category / "inputs"
        images = read_images(inputs)
        rows = images[images["split"].isin(["train", *(["validation", SYNTHETIC] if synthetic else ["test"])])]
        shots: Shots = "one_shot" if one.drawn else "full_shot"
        known = Repetitions(one.models, features[category].teacher, shots, one.drawn)
        mapper = fit_mapper(known, rows, image_files(inputs), maps, category=category)
        scores = score_images(mapper, rows, image_files(inputs)).scores
        columns = [name for name in map(str, scores) if name.startswith("repetition_")] or ["score"]
        for kind, (normal, odd) in groups(category, scores, synthetic=synthetic).items():
            labels = [False] * len(normal) + [True] * len(odd)
            values = [roc_auc_score(labels, [*normal[name], *odd[name]]) for name in columns]
            cells[category, kind] = mean_and_deviation(values)
    return cells


def groups(category: str, scores: pd.DataFrame, *, synthetic: bool) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """For each kind the rows of normal images and those of that kind."""
    if synthetic:
        return {"synthetic": (scores[scores["split"] == "validation"], scores[scores["split"] == SYNTHETIC])}
    truth = read_truth(SPLIT / category / "truth")
    kinds = scores.merge(truth[["image_id", "kind"]], on="image_id", how="left", validate="1:1")
    normal = kinds[kinds["kind"] == "normal"]
    return {str(kind): (normal, rows) for kind, rows in kinds.groupby("kind") if kind != "normal"}


def mean_and_deviation(values: Sequence[float]) -> str:
    """For example "93.1 ± 0.4"; a single value stands alone."""
    percent = [100 * value for value in values]
    spread = f" ± {statistics.stdev(percent):.1f}" if len(percent) > 1 else ""
    return f"{statistics.mean(percent):.1f}{spread}"


def markdown(columns: Mapping[str, Cells]) -> list[str]:
    """The table's lines."""
    rows = next(iter(columns.values()))
    lines = [f"| category | kind | {' | '.join(columns)} |", f"|---|---|{'---:|' * len(columns)}"]
    return lines + [f"| {' | '.join(row)} | {' | '.join(cells[row] for cells in columns.values())} |" for row in rows]


if __name__ == "__main__":
    main()
