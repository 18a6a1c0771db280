"""Findings of the branches that AeCSAD itself does not have."""

import numpy as np
import pandas as pd
import pytest

from stages.aecsad.hybrid_fusion.fusing import explain_branches
from stages.aecsad.model.label_maps import LabelMaps
from stages.core.io.explanations import Explanations
from stages.core.run.errors import UserError
from stages.core.runtime.explanation import Explanation

IMAGES = pd.DataFrame({"image_id": ["t", "v", "x"], "split": ["train", "validation", "test"]})
SCORES = IMAGES.iloc[1:]
FOUND = {
    image_id: [Explanation("student_teacher", 1, "hot_spot", (0, 0, 1, 1), 2.0, 1.0, 3.0)] for image_id in ("v", "x")
}
LABELS = LabelMaps(("x", "t", "v"), np.full((3, 4, 4), 2, dtype=np.uint8), 3, np.ones(3, dtype=bool))


def maps() -> dict[str, np.ndarray]:
    """Two images' maps of a branch with findings and of one without; that one is hot at the lower right of "x"."""
    fine = np.ones((2, 4, 4), dtype=np.float16)
    fine[1, 3, 3] = 9
    return {"student_teacher": np.ones((2, 2, 2), dtype=np.float16), "fine": fine}


def test_each_further_branch_explains_its_hottest_spot() -> None:
    explained = explain_branches(Explanations(FOUND, {}), IMAGES, LABELS, SCORES, maps()).images
    assert list(explained) == ["v", "x"]
    own, further = explained["x"]
    assert own == FOUND["x"][0]
    assert (further.branch, further.component, further.box) == ("fine", 2, (0.75, 0.75, 1.0, 1.0))
    assert (further.observed, further.normal) == (9.0, 1.0)
    assert further.classes == (2, 2)
    assert [one.branch for one in explained["v"]] == ["student_teacher", "fine"]


@pytest.mark.parametrize("lost", ["label map of training", "label map", "findings"])
def test_images_without_label_map_or_findings_are_refused(lost: str) -> None:
    found = {} if lost == "findings" else FOUND
    kept = {"label map of training": ("x", "u", "v"), "label map": ("u", "t", "v")}.get(lost, LABELS.image_ids)
    labels = LabelMaps(kept, LABELS.values, 3, LABELS.labelled)
    first = {"label map of training": "t", "label map": "x", "findings": "v"}[lost]
    with pytest.raises(UserError, match=f"no label map or no findings, {first} first: run `dvc repro`"):
        explain_branches(Explanations(found, {}), IMAGES, labels, SCORES, maps())
