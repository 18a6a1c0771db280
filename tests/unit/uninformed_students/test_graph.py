"""The graph next to the scores judges as the stage did, by either teacher and any standardisation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.core.encoder.encoder import FrozenEncoder, load_stack, to_float
from stages.core.encoder.scorer import GRAPH, read_scorer
from stages.core.io.result import SCORER, read_result
from stages.core.io.tables import read_images
from stages.core.runtime.graphs import IMAGE, MAP, BranchGraph
from tests.params_files import change_params
from tests.unit.uninformed_students.case import SECTION, SHORT, SIZE, run


@pytest.mark.parametrize(
    "changes",
    [
        {"teacher.patch_sizes": [17, 33], "teacher.tile": 24, "normalization": "zscore"},
        {"teacher": {"kind": "backbone"}, "backbone.stages": [1, 2], "normalization": "cells"},
    ],
)
def test_it_judges_as_the_stage(drawn: Path, changes: dict[str, Any]) -> None:
    short = SHORT if "teacher" not in changes else {f"{SECTION}.students.training.iterations": 3}
    change_params(drawn, {f"{SECTION}.{key}": value for key, value in changes.items()} | short)
    expected = run("out")
    scorer = read_scorer(Path("out", SCORER))
    encoder, graph = FrozenEncoder(scorer.encoder, stages=scorer.stages), BranchGraph(scorer.graph, threads=1)
    files, result = read_images(Path("inputs")).set_index("image_id")["file"], read_result(Path("out"))
    assert result.maps is not None
    extent = float(np.ptp(result.maps.values.astype(np.float32)))
    for image_id, shown in zip(result.maps.image_ids, result.maps.values, strict=True):
        image = to_float(load_stack(Path("inputs/images"), [files[image_id]], size=SIZE))
        features = {f"level_{number}": one.numpy() for number, one in enumerate(encoder(image))}
        found = graph({IMAGE: encoder.normalise(image).contiguous().numpy(), **features})
        np.testing.assert_allclose(found[MAP], shown, atol=1e-3 * extent)
        for name in expected.columns.drop("split"):
            assert found[name].item() == pytest.approx(expected.loc[image_id, name], rel=1e-4, abs=1e-5)
    first = Path("out", GRAPH).read_bytes()
    run("again")
    assert Path("again", GRAPH).read_bytes() == first
