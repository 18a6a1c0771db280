"""SIR's decoder and distances: values by hand, and what must not depend on what."""

import pytest
import torch
from torch import Tensor

from stages.sir.model.decoder import RefinementDecoder, flat_cosine_distance, pixel_cosine_distance, reconstruction_loss
from stages.sir.model.model import SirModel
from tests.unit.sir.case import new_decoder

CHANNELS, SIZES = [6, 10], [8, 4]


def build(seed: int = 0, **changes: object) -> RefinementDecoder:
    torch.manual_seed(seed)
    return new_decoder(CHANNELS, **changes)


def features(batch: int, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, c, s, s, generator=generator) for c, s in zip(CHANNELS, SIZES, strict=True)]


def parameters(decoder: RefinementDecoder) -> int:
    return sum(value.numel() for value in decoder.parameters())


def test_a_map_is_one_vector_in_the_loss() -> None:
    """Image 1: (3, 4, 0, 0) and (3, 0, 0, 4): cos 9 / 25. Image 2: the same direction, twice as long: cos 1."""
    first = torch.tensor([[[[3.0, 4.0]], [[0.0, 0.0]]], [[[1.0, 2.0]], [[3.0, 4.0]]]])
    second = torch.tensor([[[[3.0, 0.0]], [[0.0, 4.0]]], [[[2.0, 4.0]], [[6.0, 8.0]]]])
    assert float(flat_cosine_distance(first, second)) == pytest.approx((1 - 9 / 25) / 2)


def test_each_cell_has_its_own_cosine_in_the_map() -> None:
    """Cells (3, 0), (4, 0) against (3, 0), (0, 4): cosines 1 and 0; a zero vector has distance 1."""
    first = torch.tensor([[[[3.0, 4.0, 0.0]], [[0.0, 0.0, 0.0]]]])
    second = torch.tensor([[[[3.0, 0.0, 1.0]], [[0.0, 4.0, 1.0]]]])
    torch.testing.assert_close(pixel_cosine_distance(first, second), torch.tensor([[[0.0, 1.0, 1.0]]]))


def test_the_loss_weighs_loops_and_stages() -> None:
    """Distances of the stages: loop 1: 1 and 0, loop 2: 0 and 2."""
    east, north = torch.tensor([[[[1.0]], [[0.0]]]]), torch.tensor([[[[0.0]], [[1.0]]]])
    loops = [[north, east], [east, -east]]
    loss = reconstruction_loss([east, east], loops, loop_weights=[0.25, 0.75], stage_weights=[1.0, 0.5])
    assert float(loss) == pytest.approx(0.25 * 1 + 0.75 * 0.5 * 2)
    last = reconstruction_loss([east, east], loops, loop_weights=[0.0, 1.0], stage_weights=[1.0, 1.0])
    assert float(last) == pytest.approx(2)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        flat_cosine_distance(torch.ones(2, 3, 4, 4), torch.ones(1, 3, 4, 4))
    with pytest.raises(ValueError, match="shapes differ"):
        pixel_cosine_distance(torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 1))


def test_every_loop_rebuilds_every_stage() -> None:
    for entry in ("all", "coarsest"):
        found = build(entry=entry)(features(2))
        assert [[tuple(stage.shape) for stage in loop] for loop in found] == [[(2, 6, 8, 8), (2, 10, 4, 4)]] * 3


def test_loops_share_their_weights_unless_told_otherwise() -> None:
    assert parameters(build(loops=1)) == parameters(build(loops=5))
    apart = parameters(build(loops=3, share_weights=False))
    entry = sum(value.numel() for value in build().entry.parameters())
    assert apart - entry == 3 * (parameters(build()) - entry)


def test_one_loop_is_the_first_of_three() -> None:
    one, three = build(loops=1)(features(2)), build(loops=3)(features(2))
    assert len(one) == 1
    for alone, first in zip(one[0], three[0], strict=True):
        assert torch.equal(alone, first)
    assert not torch.allclose(three[0][0], three[1][0])  # the code moves on
    assert not torch.allclose(three[1][0], three[2][0])


def test_the_way_down_carries_the_finest_maps_into_the_next_loop() -> None:
    decoder, given = build(loops=2), features(1)
    before = decoder(given)
    with torch.no_grad():
        for value in decoder.passes[0].sink.parameters():  # type: ignore[union-attr]
            value.zero_()
    after = decoder(given)
    assert torch.equal(before[0][0], after[0][0])
    assert not torch.allclose(before[1][0], after[1][0])


def test_detached_loops_keep_their_values_and_end_the_gradient() -> None:
    """The last loop alone cannot reach the entry any more."""
    through, cut = build(), build(detach_loops=True)
    given = features(1)
    for first, second in zip(through(given)[2], cut(given)[2], strict=True):
        assert torch.equal(first, second)
    for decoder, reaches in ((through, True), (cut, False)):
        decoder(given)[2][0].square().sum().backward()
        assert (decoder.entry.mix.weight.grad is not None) is reaches
    cut(given)[0][0].square().sum().backward()
    assert cut.entry.mix.weight.grad is not None


def test_no_gradient_reaches_the_teacher() -> None:
    given = [stage.requires_grad_() for stage in features(1)]
    build()(given)[2][0].sum().backward()
    assert all(stage.grad is None for stage in given)


def test_all_stages_or_the_coarsest_alone_make_the_code() -> None:
    for entry, differs in (("all", True), ("coarsest", False)):
        decoder, given = build(entry=entry), features(1)
        changed = [given[0] + 1, given[1]]
        assert torch.equal(decoder(given)[0][1], decoder(changed)[0][1]) is not differs


def test_further_widths_are_halves_of_the_coarsest_stage() -> None:
    """A code of 2 x 2 cells, or of 1: both are rebuilt to every stage, and no width beyond has a head."""
    for entry in ("all", "coarsest"):
        for widths, cells in (([8, 8, 4], 2), ([8, 8, 8, 4], 1)):
            decoder, given = build(entry=entry, widths=widths), features(2)
            code = decoder.entry(given)
            assert tuple(code.shape) == (2, 4, cells, cells)
            found = decoder(given)
            assert [[tuple(stage.shape) for stage in loop] for loop in found] == [[(2, 6, 8, 8), (2, 10, 4, 4)]] * 3
            assert not torch.allclose(found[0][0], found[1][0])
    odd = [torch.randn(1, 6, 10, 10), torch.randn(1, 10, 5, 5)]
    assert [tuple(stage.shape[-2:]) for stage in build(widths=[8, 8, 4])(odd)[2]] == [(10, 10), (5, 5)]


@pytest.mark.parametrize(("norm", "independent"), [("group", True), ("none", True), ("batch", False)])
def test_an_image_is_rebuilt_alike_in_any_batch(norm: str, independent: bool) -> None:
    """In training mode: statistics of a batch would carry what other categories there are."""
    decoder = build(norm=norm, groups=4).train()
    alone, other = features(1), features(1, seed=2)
    together = [torch.cat(pair) for pair in zip(alone, other, strict=True)]
    first, second = decoder(alone)[2][0], decoder(together)[2][0][:1]
    assert torch.allclose(first, second, atol=1e-5) is independent


def test_standardised_channels_have_mean_0_and_deviation_1() -> None:
    model = SirModel(build())
    generator = torch.Generator().manual_seed(3)
    samples = [
        [5 + 3 * torch.randn(c, s, s, generator=generator) for c, s in zip(CHANNELS, SIZES, strict=True)]
        for _ in range(4)
    ]
    for sample in samples:
        sample[0][2] = 7.0  # a channel that never varies
    model.standardise(iter(samples))
    targets, _ = model([torch.stack(stage) for stage in zip(*samples, strict=True)])
    std, mean = torch.std_mean(targets[0], dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(std, torch.tensor([1.0, 1, 0, 1, 1, 1]), atol=1e-4, rtol=0)
    assert float(model.std_0[2]) == 1
    torch.testing.assert_close(targets[1].mean(dim=(0, 2, 3)), torch.zeros(10), atol=1e-5, rtol=0)


def test_features_as_they_are_unless_standardised() -> None:
    model = SirModel(build())
    given = features(2)
    targets, _ = model(given)
    assert all(torch.equal(first, second) for first, second in zip(targets, given, strict=True))
