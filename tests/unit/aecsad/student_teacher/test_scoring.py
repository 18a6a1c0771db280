"""Calibration on normal images, and the tables and maps of all images."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from stages.aecsad.student_teacher import scoring
from stages.aecsad.student_teacher.params import MapParams
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


def map_params(calibrated_on: str) -> MapParams:
    return MapParams.model_validate(
        {
            "names": ["local"], "distance": "mean_square", "calibrated_on": calibrated_on, "quantiles": [0.0, 1.0],
            "score_size": None, "pooled_cells": 1,
        }
    )  # fmt: skip


@pytest.mark.parametrize(("calibrated_on", "upper"), [("train", 1023.0), ("validation", 3 * 1023.0)])
def test_the_maps_are_calibrated_on_the_images_that_were_asked_for(
    calibrated_on: str, upper: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = torch.arange(1024.0).view(1, 32, 32)
    times = {f"{number}.png": float(number) for number in range(6)}
    monkeypatch.setattr(
        scoring, "maps_of_files", lambda fitted, folder, files: [{"local": times[file] * cells} for file in files]
    )
    table = pd.DataFrame({"image_id": list("abcdef"), "file": list(times)})
    table["split"] = ["test", "train", "validation", "validation", "synthetic", "validation_anomalous"]
    module = small_module(["local"])
    fitted = SimpleNamespace(module=module)
    scored = score_images(fitted, table, Path(), map_params(calibrated_on))  # type: ignore[arg-type]
    assert module.map_range.tolist() == [[0.0, upper]]
    assert scored.table["image_id"].to_list() == ["a", "c", "d", "e", "f"]
    with pytest.raises(UserError, match=f"no normal {calibrated_on} image to calibrate the maps on"):
        score_images(fitted, table[:1], Path(), map_params(calibrated_on))  # type: ignore[arg-type]
