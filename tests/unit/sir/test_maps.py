"""SIR's maps and scores by hand, and the settings that are refused."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from stages.sir.features.params import TeacherParams
from stages.sir.model.params import DecoderParams, TrainingParams
from stages.sir.scores.scoring import MapsParams, anomaly_maps, image_scores, pixel_range, shrink
from tests.architecture.source_files import ROOT
from tests.params_files import read_params
from tests.unit.sir.case import DECODER, TRAINING

PROFILES = read_params(ROOT)["profiles"]
TEACHER = {"name": "x", "stages": [2, 3], "image_size": 64, "images": None, "views": ["plain"],
           "one_shot": None}  # fmt: skip
MAPS = {
    "loops": "last", "fusion": "sum", "sigma": {"one_shot": 4.0, "full_shot": 4.0}, "normalization": "none",
    "pooled_share": 0.0,
}  # fmt: skip


def stage(*angles: float, side: int) -> Tensor:
    """Vectors of two numbers at these angles to the first axis, row by row."""
    turns = torch.tensor(angles).deg2rad()
    return torch.stack([turns.cos(), turns.sin()]).view(1, 2, side, side)


def test_maps_of_the_stages_are_added_or_multiplied() -> None:
    """Cells 0, 60, 90, 180 degrees off: 1 - cos = 0, 0.5, 1, 2; a coarse stage 60 degrees off: 0.5 everywhere."""
    targets = [stage(0, 0, 0, 0, side=2), stage(0, side=1)]
    loop = [stage(0, 60, 90, 180, side=2), stage(60, side=1)]
    common: dict[str, Any] = {"size": 2, "chosen": "last", "sigma": 0.0}
    summed = anomaly_maps(targets, [loop], fusion="sum", **common)
    np.testing.assert_allclose(summed, [[[0.5, 1.0], [1.5, 2.5]]], atol=1e-6)
    product = anomaly_maps(targets, [loop], fusion="product", **common)
    np.testing.assert_allclose(product, [[[0.0, 0.25], [0.5, 1.0]]], atol=1e-6)


def test_the_last_loop_or_the_mean_of_all() -> None:
    targets, first, last = [stage(0, side=1)], [stage(180, side=1)], [stage(60, side=1)]
    common: dict[str, Any] = {"size": 1, "fusion": "sum", "sigma": 0.0}
    assert anomaly_maps(targets, [first, last], chosen="last", **common).item() == pytest.approx(0.5)
    assert anomaly_maps(targets, [first, last], chosen="mean", **common).item() == pytest.approx((2 + 0.5) / 2)


def test_the_blur_is_a_gaussian_within_one_image() -> None:
    """A single odd pixel becomes a bell: neighbours at distance d have exp(-d² / 2 sigma²) of its height."""
    angles = np.zeros((21, 21))
    angles[10, 10] = 90
    targets = [torch.cat([stage(*np.zeros(441), side=21)] * 2)]
    loop = [torch.cat([stage(*angles.ravel(), side=21), stage(*np.zeros(441), side=21)])]
    odd, plain = anomaly_maps(targets, [loop], size=21, chosen="last", fusion="sum", sigma=2.0)
    assert odd[10, 12] / odd[10, 10] == pytest.approx(np.exp(-0.5))
    assert odd[12, 12] / odd[10, 10] == pytest.approx(np.exp(-1))
    assert odd.sum() == pytest.approx(1)
    assert not plain.any()


def test_a_cosine_beyond_1_by_rounding_is_no_negative_distance() -> None:
    values = torch.full((1, 3, 4, 4), 0.1)
    maps = anomaly_maps([values], [[values * 3]], size=4, chosen="last", fusion="sum", sigma=0.0)
    assert maps.min() >= 0


def test_the_score_is_the_mean_of_the_highest() -> None:
    maps = np.array([[[9.0, 3.0], [6.0, 3.0]]])
    for share, expected in ((0.0, 9.0), (0.01, 9.0), (0.5, 7.5), (1.0, 5.25)):
        assert image_scores(maps, pooled_share=share).tolist() == [expected]


def test_each_pixel_is_standardised_over_normal_images() -> None:
    """1 and 3 left, 10 and 10 right: mean 2 and 10, deviation 1 and 0, over all pixels the root of 16.5."""
    normal = pixel_range(np.array([[one, 10.0]]) for one in (1.0, 3.0))
    assert normal.mean.tolist() == [[2.0, 10.0]]
    np.testing.assert_allclose(normal.deviation, [[1 + 0.1 * 16.5**0.5, 0.1 * 16.5**0.5]], rtol=1e-6)


def test_maps_of_no_error_at_all_can_be_divided_by_their_deviation() -> None:
    assert (pixel_range(np.zeros((1, 2)) for _ in range(3)).deviation > 0).all()


def test_stored_maps_are_means_of_squares() -> None:
    maps = np.arange(16.0).reshape(1, 4, 4)
    assert shrink(maps, size=2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]


def test_the_profile_paper_has_the_documented_settings() -> None:
    section = PROFILES["paper"]["sir"]
    assert section["teacher"]["name"] == "wide_resnet50_2.tv2_in1k"
    assert (section["teacher"]["stages"], section["teacher"]["image_size"]) == ([1, 2, 3], 256)
    assert section["decoder"] == {
        "widths": [256, 256, 256], "blocks": 1, "entry": "all", "norm": "group", "groups": 32, "loops": 3,
        "share_weights": True, "detach_loops": False, "standardise": False,
    }  # fmt: skip
    training = section["training"]
    assert training["one_shot"] == {"iterations": 1000, "repetitions": 5, "shift": 0}
    assert (training["optimizer"], training["learning_rate"], training["weight_decay"]) == ("adamw", 2e-3, 1e-5)
    assert section["maps"] == MAPS


def test_one_shot_is_repeated_five_times_at_least() -> None:
    for profile in ("embedded", "paper"):
        assert PROFILES[profile]["sir"]["training"]["one_shot"]["repetitions"] >= 5


def test_settings_that_cannot_work_are_refused() -> None:
    for model, values, message in (
        (TeacherParams, {**TEACHER, "image_size": 16}, "16 px are too small for stride 16 or no multiple of it"),
        (TeacherParams, {**TEACHER, "image_size": 72}, "72 px are too small for stride 16 or no multiple of it"),
        (TeacherParams, {**TEACHER, "stages": [1, 3]}, "do not follow each other"),
        (TeacherParams, {**TEACHER, "views": []}, "at least 1 item"),
        (TeacherParams, {**TEACHER, "views": ["plain", "plain"]}, "views names one twice"),
        (TeacherParams, {**TEACHER, "views": ["turned"]}, "Input should be 'plain'"),
        (DecoderParams, {**DECODER, "groups": 3}, "groups: 3 do not divide the width 8"),
        (DecoderParams, {**DECODER, "attention": True}, "Extra inputs are not permitted"),
        (TrainingParams, {**TRAINING, "one_shot": {"iterations": 5, "repetitions": 0, "shift": 0}}, "greater than 0"),
        (TrainingParams, {**TRAINING, "stage_weights": [1.0, -1.0]}, "greater than or equal to 0"),
        (MapsParams, {**MAPS, "pooled_share": 1.5}, "less than or equal to 1"),
        (MapsParams, {**MAPS, "fusion": "max"}, "'sum' or 'product'"),
    ):
        with pytest.raises(ValidationError, match=message):
            model.model_validate(values)


def test_groups_matter_to_groups_alone() -> None:
    for norm in ("batch", "none"):
        assert DecoderParams.model_validate({**DECODER, "groups": 3, "norm": norm}).groups == 3
