"""The nearest-neighbour baseline against anomalib's PatchCore."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.core.neighbours.bank import image_score, join_stages, patch_distances

TEST_IMAGES = slice(3, 5)


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    with np.load(Path(__file__).parent / "anomalib_patchcore.npz") as arrays:
        return {name: torch.tensor(arrays[name]) for name in arrays.files}


def test_patches_equal_anomalib(golden: dict[str, torch.Tensor]) -> None:
    joined = join_stages([golden["fine"], golden["coarse"]])[:3].permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(joined, golden["patches"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("neighbours", "name"), [(9, "scores_9"), (3, "scores_3"), (0, "scores_1")])
def test_distances_and_image_scores_equal_anomalib(golden: dict[str, torch.Tensor], neighbours: int, name: str) -> None:
    joined = join_stages([golden["fine"], golden["coarse"]])[TEST_IMAGES].permute(0, 2, 3, 1)
    for number, patches in enumerate(joined):
        distances = patch_distances(patches, golden["bank"])
        torch.testing.assert_close(distances, golden["distances"][number], atol=1e-5, rtol=0)
        score = image_score(patches, distances, golden["bank"], neighbours=neighbours)
        assert score == pytest.approx(float(golden[name][number]), abs=1e-5)
