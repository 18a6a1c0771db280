"""Calibration on validation images, and the tables and maps of all images."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stages.aecsad.student_teacher.scoring import calibrate, score_images, tabulate
from stages.core.run.errors import UserError
from tests.unit.aecsad.students import small_module


def test_combined_map_sends_the_quantiles_to_0_and_a_tenth() -> None:
    module = small_module(["local", "global"])
    cells = torch.arange(1024.0).view(1, 32, 32)
    validation = [{"local": cells, "global": 5 * cells}]
    calibrate(module, validation, quantiles=(0.0, 1.0))
    combined = module.combine(validation[0])
    assert combined.min() == pytest.approx(0.0)
    assert combined.max() == pytest.approx(0.2)  # a tenth of each of two maps


def test_a_constant_map_is_shifted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    module = small_module(["local"])
    calibrate(module, [{"local": torch.full((1, 32, 32), 3.0)}], quantiles=(0.9, 0.995))
    assert "map local is constant" in caplog.text
    assert module.combine({"local": torch.full((1, 32, 32), 3.5)})[0, 0, 0] == pytest.approx(0.5)


def test_table_of_scores_keeps_the_order_of_the_images() -> None:
    module = small_module(["local", "global"])
    module.map_range[1] = torch.tensor([1.0, 3.0])
    raw = [{"local": torch.full((1, 32, 32), v), "global": torch.full((1, 32, 32), 1.0)} for v in (2.0, 1.0)]
    scored = tabulate(module, pd.DataFrame({"image_id": ["b", "a"], "split": ["test", "test"]}), raw)
    np.testing.assert_allclose(scored.table["student_teacher_local"], [2.0, 1.0])
    np.testing.assert_allclose(scored.table["student_teacher"], [0.2, 0.1])
    assert scored.maps.values.shape == (2, 32, 32)
    assert scored.maps.values.dtype == np.float16
    np.testing.assert_allclose(scored.maps.branches["local"][:, 0, 0], [0.2, 0.1], rtol=1e-3)
    np.testing.assert_allclose(scored.maps.branches["global"], 0.0)  # its lower quantile is where the scale begins


def test_without_validation_images_the_maps_cannot_be_calibrated() -> None:
    images = pd.DataFrame({"image_id": ["a", "b"], "file": ["a.png", "b.png"], "split": ["train", "test"]})
    with pytest.raises(UserError, match="no normal validation image to calibrate"):
        score_images(None, images, Path("nowhere"), quantiles=(0.9, 0.995))  # type: ignore[arg-type]
