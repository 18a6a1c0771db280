"""Which of the detector's boxes SAM is asked about: only those whose masks decide something."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from stages.aecsad.pseudo_label.foundation.detection import Detections
from stages.aecsad.pseudo_label.foundation.finder import Finder
from stages.aecsad.pseudo_label.foundation.prompts import Prompts
from stages.aecsad.pseudo_label.foundation.segmenter import Segmenter
from stages.aecsad.pseudo_label.params import FilterParams, SegmenterParams
from tests.golden.tiny_sam import build_tiny_sam, noise

OBJECTS, GROUND = [[4, 4, 40, 50], [30, 8, 70, 60]], [[0, 0, 96, 80]]
FOUND = Detections(np.float32(OBJECTS + GROUND), np.float32([0.9, 0.8, 0.7]), np.array([0, -1, 1]))


@pytest.mark.parametrize(
    ("masks", "asked"),
    [("grounded", [OBJECTS]), ("automatic", [GROUND]), ("automatic_inside_grounded", [GROUND, OBJECTS])],
)
def test_boxes_that_decide_nothing_are_not_segmented(
    monkeypatch: pytest.MonkeyPatch, masks: str, asked: Sequence[list[list[int]]]
) -> None:
    calls, original = [], Segmenter.in_boxes

    def counted(self: Segmenter, boxes: np.ndarray) -> object:
        calls.append(boxes.tolist())
        return original(self, boxes)

    monkeypatch.setattr(Segmenter, "in_boxes", counted)
    params = SegmenterParams(
        points_per_side=2, points_at_once=4, min_predicted_iou=-10.0, min_stability=0.0, max_box_iou=0.7,
        crop_layers=0, min_region=0,
    )  # fmt: skip
    segmenter = Segmenter(build_tiny_sam(), params, device=torch.device("cpu"))
    prompts = Prompts.model_validate(
        {"objects": ["pin"], "background": ["bag"], "box_threshold": 0.1, "text_threshold": 0.1, "masks": masks}
    )
    filtering = FilterParams(min_inside=0.9, max_ground=0.95, max_covered=0.9)
    finder = Finder(lambda image: FOUND, segmenter, prompts, filtering)  # type: ignore[arg-type]
    assert finder.instances(noise(80, 96), size=32, min_area=0.001).shape == (32, 32)
    assert calls == asked
