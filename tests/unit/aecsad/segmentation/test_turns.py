"""What a turn of rotating validation segments from: pseudo-labels of other images than the fold's."""

import numpy as np
import pandas as pd
import pytest

from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.segmentation.turns import labels_of_turn

TURNED = pd.DataFrame({"image_id": list("abcdv"), "split": ["train", "validation", "train", "train", "train"]})


def labels_with(*labelled: bool) -> LabelMaps:
    """Pseudo-labels of d, c, b and a, in this order, each filled with its number; v is of validation and has none."""
    values = np.repeat(np.arange(4, dtype=np.uint8), 16).reshape(4, 4, 4)
    return LabelMaps(tuple("dcba"), values, 4, np.array(labelled))


def test_the_fold_is_missing_and_validation_images_are_unlabelled() -> None:
    labels = labels_of_turn(labels_with(True, False, True, True), TURNED)
    assert labels.image_ids == tuple("dcav")
    assert labels.labelled.tolist() == [True, False, True, False]
    assert labels.values[:, 0, 0].tolist() == [0, 1, 3, 0]
    assert labels.num_classes == 4


def test_where_all_images_are_labelled_no_turn_has_unlabelled_ones() -> None:
    assert labels_of_turn(labels_with(True, True, True, True), TURNED).image_ids == tuple("dca")


def test_a_turn_without_labelled_images_takes_all_labels_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    labels = labels_of_turn(labels_with(False, False, True, False), TURNED)
    assert labels.labelled.tolist() == [True, True, True, False]
    assert "a turn has no labelled image: all its 3 pseudo-labels are taken" in caplog.text
