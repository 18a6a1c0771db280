"""The patch network of Uninformed Students: dense passes and tiles equal one pass a patch; its receptive field."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stages.uninformed_students.patch_network import LAYERS, PATCH_SIZES, PatchNetwork
from tests.table import violations

SEEN = {17: 17, 33: 32, 65: 60}  # of the patch: a pool of an odd side drops the last row


def network(patch_size: int) -> PatchNetwork:
    torch.manual_seed(0)
    return PatchNetwork(patch_size, dim=3, width=0.04)


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) - 0.5


@torch.no_grad()
def test_a_dense_pass_describes_every_patch() -> None:
    """Odd sizes, two images, any stride: what `forward` returns for patches cut out one by one."""

    def check(stride: int, patch_size: int) -> None:
        net, images = network(patch_size), pictures(2, 3, 13, 22)
        padded, dense = net.pad(images), net.dense(images, stride=stride)
        assert dense.shape == (2, 3, -(-13 // stride), -(-22 // stride))
        for row in range(0, 13, stride):
            for column in range(0, 22, stride):
                patch = padded[..., row : row + patch_size, column : column + patch_size]
                torch.testing.assert_close(dense[..., row // stride, column // stride], net(patch), rtol=0, atol=1e-5)

    assert violations(check, product([1, 2, 4, 8], PATCH_SIZES)) == []


@settings(max_examples=15, deadline=None)
@given(
    patch_size=st.sampled_from(PATCH_SIZES), height=st.integers(1, 40), width=st.integers(1, 40),
    stride=st.sampled_from([1, 2, 4, 8]), cells=st.integers(1, 4),
)  # fmt: skip
@torch.no_grad()
def test_tiles_cover_the_map_once_and_change_nothing(
    patch_size: int, height: int, width: int, stride: int, cells: int
) -> None:
    net, images = network(patch_size), pictures(1, 3, height, width)
    dense = net.dense(images, stride=stride)
    again, times = torch.zeros_like(dense), torch.zeros_like(dense)
    padded = net.pad(images)
    for tile in net.tiles(height, width, stride=stride, side=cells * stride):
        again[..., tile.rows, tile.columns] = net.describe_tile(padded, tile, stride=stride)
        times[..., tile.rows, tile.columns] += 1
    assert bool((times == 1).all())
    torch.testing.assert_close(again, dense, rtol=0, atol=1e-5)


def test_receptive_field() -> None:
    def check(patch_size: int) -> None:
        net, image = network(patch_size), pictures(1, 3, 70, 70).requires_grad_()
        for parameter in net.parameters():
            nn.init.constant_(parameter, 0.01)
        torch.manual_seed(0)
        seen = torch.zeros(70, 70, dtype=torch.bool)
        for _ in range(40):  # a pool passes the gradient of one of its pixels only
            image.data = torch.rand(1, 3, 70, 70)
            (gradient,) = torch.autograd.grad(net.dense(image)[0, :, 35, 35].sum(), image)
            seen |= gradient[0].abs().sum(dim=0) > 0
        first = 35 - patch_size // 2
        assert seen.any(dim=1).nonzero().flatten().tolist() == list(range(first, first + SEEN[patch_size]))
        assert seen.any(dim=0).nonzero().flatten().tolist() == list(range(first, first + SEEN[patch_size]))

    assert violations(check, zip(PATCH_SIZES)) == []


def test_published_sizes() -> None:
    def check(patch_size: int, weights: float) -> None:
        net = PatchNetwork(patch_size, dim=512)
        assert sum(parameter.numel() for parameter in net.parameters()) == pytest.approx(weights, rel=0.005)
        assert net(torch.zeros(1, 3, patch_size, patch_size)).shape == (1, 512)

    rows = [(17, 3.06e6), (33, 1.68e6), (65, 2.39e6)]
    assert violations(check, rows) == []


def test_other_patch_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="patch size 32: there are networks for 17, 33, 65 pixels"):
        PatchNetwork(32, dim=4)
    with pytest.raises(ValueError, match=r"patches of \(33, 32\) pixels for a network of 33"):
        network(33)(torch.zeros(1, 3, 33, 32))
    assert sorted(LAYERS) == [17, 33, 65]


def test_odd_numbers_of_channels_run_in_float32_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions in bfloat16 join them in pairs, and fail on some processors."""
    monkeypatch.setattr("stages.core.encoder.device.has_fast_bfloat16", lambda _device: True)
    for width, dim, expected in ((0.1, 16, torch.float32), (0.25, 17, torch.float32), (0.25, 16, torch.bfloat16)):
        net = PatchNetwork(33, dim=dim, width=width)  # of 0.1: 13 and 26 channels
        with net.precision(torch.device("cpu")):
            assert net(torch.rand(2, 3, 33, 33)).dtype == expected
