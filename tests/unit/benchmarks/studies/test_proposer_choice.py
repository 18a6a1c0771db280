"""The study of the choice of proposers: what it reads, remembers and counts."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.studies.proposer_choice import losses, read_outcomes
from benchmarks.studies.proposer_trials import Memory, Outcome, prepare
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
