"""The study of the choice of proposers: what it reads, remembers and counts."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.studies.auto_choice import choose
from benchmarks.studies.canvas import photographs
from benchmarks.studies.drawn_goods import confetti
from benchmarks.studies.proposer_choice import losses, read_outcomes
from benchmarks.studies.proposer_trials import LOGICAL, Memory, Outcome, load_settings, outcome_of, prepare
from stages.aecsad.histogram.columns import HistogramScores
from stages.aecsad.histogram.judging import Reliability
from stages.aecsad.model.edited import see_edits
from stages.aecsad.model.patch_histogram import fit_histograms
from stages.aecsad.pseudo_label.choice import Chosen
from stages.aecsad.pseudo_label.proposal import Proposal
from stages.core.run.errors import UserError

pytestmark = pytest.mark.study
ONE = Outcome("kit", 0, "graph_merging", False, 0.8, 0.02, 0.9, 0.95, 0.97, 0.5, True)


def write_layout(folder: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        (folder / part).mkdir(parents=True)
        cv2.imwrite(str(folder / part / "000.png"), np.full((40, 60, 3), 90, dtype=np.uint8))


def test_images_of_a_folder_come_with_synthetic_defects_of_validation(tmp_path: Path) -> None:
    write_layout(tmp_path / "data", ("train/good", "validation/good", "test/good", "test/logical_anomalies"))
    (tmp_path / "images").mkdir()
    images = prepare(tmp_path / "data", tmp_path / "images", size=32, seed=0)
    assert dict(zip(images.table["image_id"], images.table["split"], strict=True)) == {
        "test/good/000": "test", "test/logical_anomalies/000": "test", "train/good/000": "train",
        "validation/good/000": "validation", "validation/good/000#synthetic": "synthetic",
    }  # fmt: skip
    pictures = [cv2.imread(str(images.folder / file)) for file in images.table["file"]]
    assert {picture.shape for picture in pictures} == {(32, 32, 3)}
    assert [bool((picture == 90).all()) for picture in pictures] == [True] * 4 + [False]


def test_a_folder_of_another_layout_is_named(tmp_path: Path) -> None:
    write_layout(tmp_path, ("train/good", "test/good"))
    with pytest.raises(UserError, match="validation/good: no image there"):
        prepare(tmp_path, tmp_path, size=32, seed=0)


def test_only_a_proposer_without_chance_is_remembered_for_another_seed() -> None:
    calls: list[int] = []

    def proposer(images: torch.Tensor) -> Proposal:
        calls.append(len(images))
        return Proposal(np.zeros((len(images), 1, 1), np.uint16), np.zeros((len(images), 1), np.uint8))

    memory, counts = Memory(), []
    for name in ("graph_merging", "dense_clusters"):
        for seed, count in ((0, 3), (0, 2), (1, 3), (1, 4)):
            memory.remembering(name, proposer, seed=seed)(torch.zeros((count, 3, 4, 4), dtype=torch.uint8))
        counts.append(calls.copy())
        calls.clear()
    assert counts == [[3, 4], [3, 3, 4]]


def test_the_loss_is_that_of_the_taken_proposer_against_the_best() -> None:
    taken = replace(ONE, proposer="dense_clusters", taken=True, histogram=0.9, logical=0.99)
    outcomes = [ONE, taken, replace(ONE, seed=1, taken=True)]
    assert losses(outcomes, "histogram") == {("kit", 0): pytest.approx(0.05), ("kit", 1): 0.0}
    assert losses(outcomes, "logical") == {("kit", 0): 0.0, ("kit", 1): 0.0}


def test_an_earlier_run_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    assert read_outcomes(path) == []
    pd.DataFrame([ONE.__dict__]).to_csv(path, index=False)
    assert read_outcomes(path) == [ONE]


def test_no_proposer_is_said_to_see_edits_where_anything_is_normal() -> None:
    images, _ = photographs(confetti, count=40)
    choice = choose(confetti, images).choice
    assert choice.edited > 0
    assert not any(seen.above_chance for seen in choice.seen.values())
    assert "none better than by chance" in choice.reason


def histogram_scores(weight: float) -> HistogramScores:
    """Normal images at 0 to 1, and of four logical anomalies one among them."""
    random = np.random.default_rng(0)
    rows = [(f"{split}/{row:02d}", split) for split in ("train", "validation", "synthetic") for row in range(20)]
    rows += [(f"test/good/{row}", "test") for row in range(4)] + [(f"{LOGICAL}/{row}", "test") for row in range(4)]
    distances = [*random.uniform(0, 1, size=60), 0.1, 0.2, 0.3, 0.5, 0.4, 2.0, 3.0, 4.0]
    table = pd.DataFrame(rows, columns=["image_id", "split"]).assign(histogram_1x1=distances)
    model = fit_histograms(np.zeros((2, 4, 4), np.uint8), grid=1, num_classes=2, shrinkage=0.0)
    return HistogramScores(table, (model,), {"histogram_1x1": Reliability(weight, 0.9, {}, 1.0, "")}, {})


@pytest.mark.parametrize(("weight", "auroc"), [(0.8, 15 / 16), (0.0, 0.5)])
def test_a_histogram_that_is_excluded_sees_nothing(weight: float, auroc: float) -> None:
    nothing = see_edits(np.zeros(2), np.zeros(0), rows=np.zeros(0, dtype=np.int64), kinds=())
    choice: Any = SimpleNamespace(proposer="dense_clusters", seen={"graph_merging": nothing})
    chosen = cast(Chosen, SimpleNamespace(choice=choice))
    found = outcome_of("kit", "graph_merging", chosen, histogram_scores(weight), load_settings(), seed=3)
    expected = Outcome("kit", 3, "graph_merging", False, 0.5, 0.5, 0.9, auroc, auroc, 0.5, weight > 0)
    assert found == expected
