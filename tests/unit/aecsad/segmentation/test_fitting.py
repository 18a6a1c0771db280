"""Pseudo-labels that the segmentation cannot learn from, and maps without component classes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from stages.aecsad.model.edited import EditedPictures
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.segmentation import fitting
from stages.aecsad.segmentation.fitting import (
    Fitted,
    check_pseudo_labels,
    fit_segmentation,
    segment_edited,
    segment_images,
)
from stages.core.run.errors import UserError
from stages.core.run.params import EncoderParams
from tests.unit.aecsad.scenes import PARAMS


def labels_of(names: tuple[str, ...], *, size: int = 32, labelled: bool = True) -> LabelMaps:
    values = np.zeros((len(names), size, size), dtype=np.uint8)
    values[:, :8, :8] = 1
    return LabelMaps(names, values, 2, np.full(len(names), labelled))


def test_pseudo_labels_must_fit_the_images() -> None:
    check_pseudo_labels(labels_of(("a", "b")), ["b", "a"], size=32)
    with pytest.raises(UserError, match="do not belong to these training images"):
        check_pseudo_labels(labels_of(("a", "b")), ["a", "c"], size=32)
    with pytest.raises(UserError, match="of 32 x 32 pixels, encoder.image_size is 64"):
        check_pseudo_labels(labels_of(("a", "b")), ["a", "b"], size=64)
    with pytest.raises(UserError, match="no image is labelled"):
        check_pseudo_labels(labels_of(("a", "b"), labelled=False), ["a", "b"], size=32)


def test_pseudo_labels_are_checked_before_an_image_is_read() -> None:
    images = pd.DataFrame({"image_id": ["a"], "file": ["a.png"], "split": ["train"]})
    encoder = EncoderParams(name="tf_efficientnet_lite0", image_size=64)
    with pytest.raises(UserError, match="of 32 x 32 pixels"):
        fit_segmentation(images, Path("nowhere"), labels_of(("a",)), PARAMS, encoder, seed=0)


@pytest.mark.parametrize(("width", "expected"), [(64, 1), (256, 3)], ids=["small", "as published"])
def test_small_layers_train_with_one_thread(
    width: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(fitting, "train_segmentor", lambda *_, **__: seen.append(torch.get_num_threads()))
    seen: list[int] = []
    Image.fromarray(np.zeros((32, 32, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    images = pd.DataFrame({"image_id": ["a"], "file": ["a.png"], "split": ["train"]})
    encoder = EncoderParams(name="tf_efficientnet_lite0", image_size=32)
    params = PARAMS.model_copy(update={"width": width})
    threads = torch.get_num_threads()
    try:
        fit_segmentation(images, tmp_path, labels_of(("a",)), params, encoder, seed=0)
        assert [*seen, torch.get_num_threads()] == [expected, 1]
    finally:
        torch.set_num_threads(threads)


def test_without_component_classes_every_map_is_background(caplog: pytest.LogCaptureFixture) -> None:
    images = pd.DataFrame({"image_id": ["a", "b"], "file": ["a.png", "b.png"], "split": ["train", "test"]})
    nothing = LabelMaps(("a",), np.zeros((1, 32, 32), np.uint8), 1, np.zeros(1, bool))
    encoder = EncoderParams(name="tf_efficientnet_lite0", image_size=32)
    fitted = fit_segmentation(images, None, nothing, None, encoder, seed=0)  # type: ignore[arg-type]
    assert isinstance(fitted, Fitted)
    assert fitted.arguments["module"] is None
    maps = segment_images(fitted, images, None)  # type: ignore[arg-type]  # no file is opened
    assert not maps.usable
    assert not maps.values.any()
    edited = segment_edited(fitted, EditedPictures(("a",), ("cut",), np.ones((1, 32, 32, 3), np.uint8)))
    assert (edited.sources, edited.kinds, edited.values.shape) == (("a",), ("cut",), (1, 32, 32))
    assert not edited.values.any()
    with pytest.raises(UserError, match="edited pictures are not of 32 x 32 pixels"):
        segment_edited(fitted, EditedPictures(("a",), ("cut",), np.ones((1, 16, 16, 3), np.uint8)))
    assert "no component classes" in caplog.text
