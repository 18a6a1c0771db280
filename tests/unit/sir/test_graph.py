"""The graph next to the scores judges as the stage did, by whatever settings, and needs nothing of SIR's code."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.core.encoder.encoder import FrozenEncoder, load_stack, to_float
from stages.core.encoder.scorer import GRAPH, read_scorer
from stages.core.io.result import SCORER, read_result
from stages.core.io.tables import read_images
from stages.core.runtime.graphs import MAP, SCORE, BranchGraph
from tests.params_files import change_params
from tests.unit.sir.case import SECTION, SIZE, cache, score, train


def judged(result: Path, category: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores and maps of the graph, of the images of a result."""
    scorer = read_scorer(result / SCORER)
    encoder = FrozenEncoder(scorer.encoder, stages=scorer.stages)
    graph = BranchGraph(scorer.graph, threads=1)
    files = read_images(Path(category, "inputs")).set_index("image_id")["file"]
    found = []
    for image_id in read_result(result).scores["image_id"]:
        image = to_float(load_stack(Path(category, "inputs/images"), [files[image_id]], size=SIZE))
        features = {f"level_{number}": one.numpy() for number, one in enumerate(encoder(image))}
        found.append(graph(features))
    return np.array([one[SCORE] for one in found]), np.stack([one[MAP] for one in found])


def check(result: Path) -> None:
    scores, maps = judged(result, "stripes")
    expected = read_result(result)
    assert expected.maps is not None
    np.testing.assert_allclose(scores, expected.scores["score"], rtol=1e-4)
    np.testing.assert_allclose(maps, expected.maps.values, atol=2e-3 * float(np.ptp(expected.maps.values)))


@pytest.mark.parametrize(
    ("method", "category", "changes"),
    [
        ("sir_full_shot_specialised", "stripes", {}),
        ("sir_one_shot_universal", None, {"maps.loops": "mean", "maps.fusion": "product", "maps.pooled_share": 0.02}),
        (
            "sir_full_shot_specialised",
            "stripes",
            {
                "decoder.widths": [8, 16, 8],
                "decoder.norm": "batch",
                "decoder.share_weights": False,
                "maps.sigma.full_shot": 0.0,
                "maps.normalization": "cells",
            },
        ),
    ],
)
def test_it_judges_as_the_stage(drawn: Path, method: str, category: str | None, changes: dict[str, Any]) -> None:
    change_params(drawn, {f"{SECTION}.training.one_shot.iterations": 4, f"{SECTION}.training.full_shot.iterations": 4})
    change_params(drawn, {f"{SECTION}.{key}": value for key, value in changes.items()})
    cache("stripes", "squares")
    model = train(method, category)
    score("stripes", model, "scores")
    check(Path("scores"))
    first = Path("scores", GRAPH).read_bytes()
    score("stripes", model, "again")
    assert Path("again", GRAPH).read_bytes() == first
