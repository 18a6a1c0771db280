"""Uninformed Students against a public implementation and the formulas (origin: tests/golden/README.md)."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.uninformed_students.patch_network import PATCH_SIZES, SLOPE, PatchNetwork
from stages.uninformed_students.scoring import (
    ScoreRange,
    image_scores,
    plain_score_map,
    raw_maps,
    standardised_score_map,
)
from stages.uninformed_students.teacher import RunningStatistics
from stages.uninformed_students.training import compactness_loss, distillation_loss, imitation_loss
from tests.golden.hashed import conv_kinds, conv_tensors, fill, hval

FOLDER = Path(__file__).parent
SIZES = {17: (6, 8), 33: (8, 12), 65: (8, 16)}  # of the images for the full-width networks


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / name) as arrays:
        return dict(arrays)


def narrow_network(golden: dict[str, np.ndarray], patch_size: int) -> PatchNetwork:
    """A network whose layers are the narrow ones that the golden file holds."""
    weights = {
        key.removeprefix(f"p{patch_size}.w."): torch.from_numpy(value)
        for key, value in golden.items()
        if key.startswith(f"p{patch_size}.w.")
    }
    network = PatchNetwork(patch_size, dim=1, width=0.01)
    count = len(network.convolutions)
    network.convolutions = nn.ModuleList(
        convolution(weights[f"conv{n}.weight"], weights[f"conv{n}.bias"]) for n in range(1, count + 1)
    )
    network.decode = convolution(weights["decode.weight"][:, :, None, None], weights["decode.bias"])
    return network


def convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]))
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


@pytest.mark.parametrize("patch_size", PATCH_SIZES)
@torch.no_grad()
def test_dense_features_are_those_of_every_patch(patch_size: int) -> None:
    """Two images at once: the public dense pass mixes them up for p = 17, the patches are the truth."""
    golden = load("uninformed_fdfe.npz")
    network, image = narrow_network(golden, patch_size), torch.from_numpy(golden[f"p{patch_size}.img"])
    # the public network has another leaky ReLU behind its decoder
    dense = F.leaky_relu(network.dense(image), SLOPE).permute(0, 2, 3, 1)
    np.testing.assert_allclose(dense, golden[f"p{patch_size}.per_patch"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(dense[:1], golden[f"p{patch_size}.fdfe_b1"], rtol=0, atol=1e-5)
    height, width = image.shape[-2:]
    patches = F.unfold(network.pad(image), patch_size).transpose(1, 2).reshape(-1, 3, patch_size, patch_size)
    alone = F.leaky_relu(network(patches), SLOPE).view(2, height, width, -1)
    np.testing.assert_allclose(alone, golden[f"p{patch_size}.per_patch"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("patch_size", PATCH_SIZES)
@torch.no_grad()
def test_published_widths(patch_size: int) -> None:
    network = PatchNetwork(patch_size, dim=512)
    layers = [*network.convolutions, network.decode]
    fill(conv_tensors(*layers), conv_kinds(len(layers)), base=7500 + patch_size)
    dense = network.dense(hval((1, 3, *SIZES[patch_size]), 7950 + patch_size, 1.5))
    golden = load("uninformed_fdfe.npz")[f"full{patch_size}.out"]
    np.testing.assert_allclose(F.leaky_relu(dense, SLOPE).permute(0, 2, 3, 1), golden, rtol=0, atol=1e-4)


def test_losses() -> None:
    golden = load("uninformed_scores.npz")
    out, target = hval((8, 12), 8101).requires_grad_(), hval((8, 12), 8102)
    loss = distillation_loss(out, target)
    (gradient,) = torch.autograd.grad(loss, out)
    np.testing.assert_allclose(loss.item(), golden["distill.loss"], rtol=1e-5)
    np.testing.assert_allclose(gradient, golden["distill.grad"], atol=1e-6)
    compact = compactness_loss(out.detach())
    np.testing.assert_allclose(compact, golden["compact_spec_dims_abs_sum_i_lt_j"], rtol=1e-5)
    student, teacher = (hval((2, 4, 5, 7), seed).permute(0, 3, 1, 2) for seed in (8103, 8104))
    np.testing.assert_allclose(imitation_loss(student, teacher), golden["student.loss"], rtol=1e-5)


def test_maps_and_scores() -> None:
    golden = load("uninformed_scores.npz")
    students = hval((2, 3, 4, 5, 7), 8105).permute(1, 0, 4, 2, 3)
    maps = raw_maps(students, hval((2, 4, 5, 7), 8106).permute(0, 3, 1, 2))
    np.testing.assert_allclose(maps.error, golden["err_map"], rtol=1e-5)
    np.testing.assert_allclose(maps.variance, golden["var_map"], rtol=1e-5)
    plain = plain_score_map(maps)
    np.testing.assert_allclose(plain, golden["spec_score_map"], rtol=1e-5)
    np.testing.assert_allclose(image_scores(plain, pooled_cells=1), golden["spec_image_score"], rtol=1e-5)
    own = {
        name: (values.double().mean(), values.double().std(correction=0))
        for name, values in (("error", maps.error), ("variance", maps.variance))
    }
    standardised = standardised_score_map(maps, ScoreRange(**own))
    np.testing.assert_allclose(standardised, golden["paper_score_map"], rtol=1e-4, atol=1e-5)


def test_streaming_statistics() -> None:
    statistics = RunningStatistics.empty(7)
    for number, count in enumerate((1, 2, 1, 3)):
        statistics.add(hval((count, 4, 5, 7), 8110 + number, 1 + 0.5 * number).permute(0, 3, 1, 2))
    golden = load("uninformed_scores.npz")
    np.testing.assert_allclose(statistics.mean, golden["inc.mean"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(statistics.variance, golden["inc.var"], rtol=1e-5)
