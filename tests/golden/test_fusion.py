"""Trimmed z and fusion against numbers from CSAD's own code (origin: tests/golden/README.md)."""

from pathlib import Path

import numpy as np
import pytest

from stages.aecsad.model.fusion import fit_fusion
from stages.aecsad.model.scaling import fit_trimmed_z

FINITE = ["n50", "n7", "n5", "n4", "n3", "onekept"]
NAN_IN_THE_ORIGINAL = ["n2", "n1", "const", "ties", "ties_empty"]


def golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "csad_fusion.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("case", FINITE)
def test_trimmed_z_equals_csad(case: str) -> None:
    arrays = golden()
    scores = fit_trimmed_z(arrays[f"z.{case}.val"])(arrays[f"z.{case}.score"])
    np.testing.assert_allclose(scores, arrays[f"z.{case}.out"], rtol=1e-12)


@pytest.mark.parametrize("case", NAN_IN_THE_ORIGINAL)
def test_trimmed_z_is_finite_and_keeps_the_order_where_csad_gives_nan(case: str) -> None:
    arrays = golden()
    assert np.isnan(arrays[f"z.{case}.out"]).all()
    scores = arrays[f"z.{case}.score"]
    scaled = fit_trimmed_z(arrays[f"z.{case}.val"])(scores)
    assert np.isfinite(scaled).all()
    np.testing.assert_array_equal(np.argsort(scaled, kind="stable"), np.argsort(scores, kind="stable"))


@pytest.mark.parametrize(("tag", "tolerance"), [("full", 1e-8), ("nobg", 1e-8), ("rankdef", 1e-6)])
def test_fused_score_equals_csad(tag: str, tolerance: float) -> None:
    arrays = golden()
    validation, test = (
        {
            "grid_1": arrays[f"{tag}.p256.{name}_dist"],
            "grid_2": arrays[f"{tag}.p128.{name}_dist"],
            "student_teacher": arrays[f"{tag}.lgst_{name}"],
        }
        for name in ("val", "test")
    )
    branches = {"histogram": ["grid_1", "grid_2"], "student_teacher": ["student_teacher"]}
    fusion = fit_fusion(branches, dict.fromkeys(validation, 1.0), validation)
    np.testing.assert_allclose(fusion.of_fitted(test)[0], arrays[f"{tag}.final_test"], rtol=tolerance)
