"""Proposers judged by edited pictures: one that is blind by construction is seen to be, and is not taken."""

import cv2
import numpy as np
import pytest
import torch

from stages.aecsad.model.edited import EditedPictures
from stages.aecsad.pseudo_label.choice import CLASSICAL, Pictures, best, summarise
from stages.aecsad.pseudo_label.edits import edit_pictures
from stages.aecsad.pseudo_label.judging import judge_proposers
from stages.aecsad.pseudo_label.proposal import Proposal
from tests.unit.aecsad.drawings import GROUND, SIZE, draw, stack

TRAIN, NORMAL = [draw(seed) for seed in range(24)], [draw(seed) for seed in range(100, 116)]
IDS = tuple(f"{number:03d}" for number in range(16))
ENCODER = "tf_efficientnet_lite0"
LIMITS = {"min_count_agreement": 0.5, "max_count_variation": 0.15, "max_part": 0.02}


def whole(images: list[np.ndarray]) -> Proposal:
    """Every disc and square."""
    masks = [(np.abs(image.astype(int) - GROUND).max(axis=-1) > 40).astype(np.uint8) for image in images]
    values = np.stack([cv2.connectedComponents(mask)[1].astype(np.uint16) for mask in masks])
    return Proposal(values, np.zeros((len(images), int(values.max()) + 1), dtype=np.uint8))


def steady(images: list[np.ndarray]) -> Proposal:
    """Two strips of ground along the border, the same in every image, as no true parts ever are."""
    values = np.zeros((len(images), SIZE, SIZE), dtype=np.uint16)
    values[:, :6], values[:, -6:] = 1, 2
    return Proposal(values, np.tile(np.array([0, 1, 2], dtype=np.uint8), (len(images), 1)))


def nothing(images: list[np.ndarray]) -> Proposal:
    return Proposal(np.zeros((len(images), SIZE, SIZE), np.uint16), np.zeros((len(images), 1), np.uint8))


def pictures_of(normal: list[np.ndarray]) -> Pictures:
    none = torch.zeros((0, 3, SIZE, SIZE), dtype=torch.uint8)
    return Pictures(stack(*TRAIN), stack(*normal) if normal else none, IDS[: len(normal)])


@pytest.fixture(scope="module")
def edited() -> EditedPictures:
    found = {name: way(NORMAL).values for name, way in (("whole", whole), ("steady", steady))}
    return edit_pictures(np.stack(NORMAL), found, IDS, random=np.random.default_rng(0))


def test_a_steady_number_of_parts_that_see_nothing_is_not_taken(edited: EditedPictures) -> None:
    trials = dict(zip(CLASSICAL, (nothing(TRAIN), steady(TRAIN), whole(TRAIN)), strict=True))
    seen = judge_proposers(trials, pictures_of(NORMAL), edited, encoder_name=ENCODER, seed=0)
    background, merging, clusters = (seen[name] for name in CLASSICAL)
    assert background.auroc == 0.5
    assert clusters.auroc > merging.auroc + 0.1
    assert clusters.above_chance
    summaries = {name: summarise(trial.values) for name, trial in trials.items()}
    assert summaries["graph_merging"].count_variation == 0
    name, reason = best(summaries, seen, **LIMITS)
    assert name == "dense_clusters"
    assert f"graph merging {merging.auroc:.0%}, dense clusters {clusters.auroc:.0%}" in reason


def test_where_no_proposer_sees_an_edit_it_is_said(edited: EditedPictures) -> None:
    seen = judge_proposers({"only": nothing(TRAIN)}, pictures_of(NORMAL), edited, encoder_name=ENCODER, seed=0)
    assert not seen["only"].above_chance


def test_without_an_edit_or_a_validation_image_nobody_is_judged() -> None:
    none = EditedPictures((), (), np.zeros((0, SIZE, SIZE, 3), dtype=np.uint8))
    for normal in (NORMAL, []):
        seen = judge_proposers({"only": whole(TRAIN)}, pictures_of(normal), none, encoder_name=ENCODER, seed=0)
        assert (seen["only"].auroc, seen["only"].kinds) == (0.5, {})
