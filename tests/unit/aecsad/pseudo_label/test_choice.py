"""Mask proposers: regions and clusters worked out by hand, and the choice between proposers."""

import numpy as np
import pytest
import torch

from stages.aecsad.pseudo_label.choice import CLASSICAL, Proposer, best, propose, summarise, trial_rows
from stages.aecsad.pseudo_label.classical.clusters import (
    fit_projection,
    kinds_without_ground,
    lab_cells,
    nearest_centres,
    of_variance,
    repeat_weights,
)
from stages.aecsad.pseudo_label.proposal import Proposal, instances_of_regions
from tests.unit.aecsad.pseudo_label.case import DISC, GROUND, draw

LIMITS = {"min_count_agreement": 0.6, "max_count_variation": 0.15, "max_part": 0.02}


def stack(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def counts(*values: int) -> Proposal:
    """A proposal with that many one-pixel instances in each 10 x 10 image."""
    maps = np.zeros((len(values), 100), dtype=np.uint16)
    for row, count in zip(maps, values, strict=True):
        row[:count] = np.arange(1, count + 1)
    return Proposal(maps.reshape(-1, 10, 10), np.zeros((len(values), max(values) + 1), dtype=np.uint8))


def never() -> Proposal:
    raise AssertionError("this proposer was not to run")


def test_regions_are_numbered_within_the_image_and_specks_dropped() -> None:
    labels = np.zeros((2, 10, 10), dtype=np.uint8)
    labels[0, 0:2, 0:2] = 2
    labels[0, 2:4, 2:4] = 2  # touches the first at a corner: one region
    labels[0, 6:9, 6:9] = 1
    labels[1, 5, 5] = 1  # not more than 1 % of the image
    proposal = instances_of_regions(labels, min_area=0.01, kinds_known=True)
    assert proposal.kinds.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert (proposal.values[0, 6:9, 6:9] == 1).all()
    assert (proposal.values[0, 2:4, 2:4] == proposal.values[0, 0:2, 0:2]).all()
    assert not proposal.values[1].any()
    assert not instances_of_regions(labels, min_area=0.01, kinds_known=False).kinds.any()


def test_clusters_over_represented_at_the_rim_are_ground() -> None:
    labels = np.full((1, 10, 10), 1, dtype=np.uint8)
    labels[0, 2:8, 2:8] = 0
    labels[0, 4:6, 4:6] = 2
    kinds = kinds_without_ground(labels, clusters=4)  # cluster 3 does not occur
    assert np.unique(kinds[labels == 1]).tolist() == [0]
    assert np.unique(kinds[labels == 0]).tolist() == [1]
    assert np.unique(kinds[labels == 2]).tolist() == [2]


def test_pixels_go_to_the_nearest_centre() -> None:
    cells = np.zeros((4, 4, 2), dtype=np.float32)
    cells[:, 2:] = (3.0, 4.0)
    labels = nearest_centres(cells, np.array([[3, 4], [0, 0], [9, 9]], dtype=np.float32), size=8)
    assert np.unique(labels[:, :4]).tolist() == [1]
    assert np.unique(labels[:, 4:]).tolist() == [0]


def test_projection_keeps_the_weightiest_direction_and_ignores_constant_channels() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn((2, 8, 8, 3), generator=random)
    features[..., 0] *= 100  # the scale must not matter
    features[..., 2] = 7.0
    projection = fit_projection(features, repeat_weights([1, 2], [1.0, 3.0]), dimensions=1)
    found = projection(features).flatten()
    expected = 3 * (features[..., 1] - features[..., 1].mean()) / features[..., 1].std()
    assert torch.corrcoef(torch.stack([found, expected.flatten()]))[0, 1] > 0.99
    assert found.std() == pytest.approx(3, rel=0.02)


def test_variance_is_shared_as_asked() -> None:
    values = np.random.default_rng(0).normal(3, 10, (2, 4, 4, 5)).astype(np.float32)
    scaled = of_variance(values, 0.25)
    assert scaled.var(axis=(0, 1, 2)).sum() == pytest.approx(0.25, rel=1e-5)
    assert not of_variance(np.ones((2, 4, 4, 5), dtype=np.float32), 0.25).any()


def test_lab_of_cells() -> None:
    image = np.full((8, 8, 3), 119, dtype=np.uint8)  # L = 50 in CIE Lab
    image[:, 4:] = 255
    cells = lab_cells(stack(image), 2)[0]
    np.testing.assert_allclose(cells[:, 0, 0], 50 / 25, atol=0.02)
    np.testing.assert_allclose(cells[:, 1, 0], 100 / 25, atol=0.02)


def test_summary() -> None:
    summary = summarise(counts(3, 3, 5, 3).values)
    assert (summary.count_median, summary.count_agreement, summary.coverage, summary.largest) == (3, 0.75, 0.035, 0.01)
    assert summary.count_variation == pytest.approx(np.sqrt(0.75) / 3.5)
    assert summarise(counts(0, 0).values).count_variation == 0
    assert summarise(counts(0, 0, 4).values).count_agreement == 0  # to agree on nothing is not to agree


def decide(background: Proposal, merging: Proposal, max_part: float = 0.02) -> tuple[str, str]:
    found = dict(zip(CLASSICAL, (background, merging, counts(7)), strict=True))
    summaries = {name: summarise(proposal.values) for name, proposal in found.items()}
    return best(summaries, **{**LIMITS, "max_part": max_part})


def test_background_difference_is_taken_where_counts_agree() -> None:
    assert decide(counts(4, 4, 3), counts(6, 6)) == ("background_difference", "4 parts in 67% of the images")


@pytest.mark.parametrize(
    ("found", "max_part", "reason"),
    [
        (counts(4, 5, 6), 0.02, "in more than 33% of the images"),
        (counts(0, 0, 4), 0.02, "it finds no part more often than any number of parts"),
        (counts(4, 4, 4), 0.005, "as large as its window"),
    ],
)
def test_graph_merging_is_taken_where_it_fails(found: Proposal, max_part: float, reason: str) -> None:
    name, said = decide(found, counts(6, 7, 6, 6), max_part)
    assert name == "graph_merging"
    assert reason in said
    assert "6 parts, a number that varies by 7%" in said


@pytest.mark.parametrize(
    ("merged", "reason"),
    [(counts(4, 6, 8), "number of parts varies by 27% (allowed 15%)"), (counts(1, 1, 1), "finds 1 parts in a typical")],
)
def test_dense_clusters_are_taken_where_both_fail(merged: Proposal, reason: str) -> None:
    name, said = decide(counts(4, 5, 6), merged)
    assert name == "dense_clusters"
    assert reason in said


@pytest.mark.parametrize(("count", "tried"), [(3, 3), (99, 99), (100, 50), (420, 53)])
def test_trials_are_spread_over_all_images(count: int, tried: int) -> None:
    rows = trial_rows(count)
    assert len(rows) == tried
    assert count - rows[-1] <= rows.step


def parts_of(number: int) -> Proposer:
    """A proposer that finds `number` parts in every image."""
    return lambda images: counts(*[number] * len(images))


def test_every_classical_proposer_is_tried_on_few_images_and_the_best_one_runs_on_all() -> None:
    calls: list[tuple[str, int]] = []

    def counted(name: str, number: int) -> Proposer:
        def proposer(images: torch.Tensor) -> Proposal:
            calls.append((name, len(images)))
            return parts_of(number)(images)

        return proposer

    classical = {name: counted(name, number) for number, name in enumerate(CLASSICAL, start=3)}
    chosen = propose("auto", torch.zeros(120, 3, 10, 10, dtype=torch.uint8), classical, never, **LIMITS)
    first, *others = CLASSICAL
    assert calls == [(first, 60), *((name, 60) for name in others), (first, 120)]
    assert chosen.proposal.values.max(axis=(1, 2)).tolist() == [3] * 120
    assert {name: trial.values.max() for name, trial in chosen.trials.items()} == dict(
        zip(CLASSICAL, (3, 4, 5), strict=True)
    )
    written = chosen.choice.as_json()
    assert set(written) == {"proposer", "reason", "human_input", "tried_on", *CLASSICAL}
    assert (written["proposer"], written["tried_on"]) == (first, 60)


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_proposer_named_in_params_is_not_questioned(name: str) -> None:
    classical = {other: parts_of(1 + (other == name)) for other in CLASSICAL}
    limits = {"min_count_agreement": 1.0, "max_count_variation": 0.0, "max_part": 0.0}
    chosen = propose(name, torch.zeros(3, 3, 10, 10, dtype=torch.uint8), classical, never, **limits)
    assert (chosen.choice.proposer, chosen.choice.reason) == (name, "set in params.yaml")
    assert chosen.proposal.values.max() == 2


def test_foundation_models_run_on_all_images_and_are_compared_on_the_same_few() -> None:
    images, classical = torch.zeros(100, 3, 10, 10, dtype=torch.uint8), {name: parts_of(1) for name in CLASSICAL}
    chosen = propose("foundation", images, classical, lambda: counts(*[2, 5] * 50), **LIMITS)
    assert chosen.proposal.values.max(axis=(1, 2)).tolist() == [2, 5] * 50
    assert chosen.trials["foundation"].values.max(axis=(1, 2)).tolist() == [2] * 50  # every second image
    assert set(chosen.trials) == {*CLASSICAL, "foundation"}
    assert chosen.choice.proposer == "foundation"


def test_the_drawing_uses_the_colours_it_names() -> None:
    image = draw(0).reshape(-1, 3).astype(int)
    for colour in (DISC, GROUND):
        assert (np.abs(image - colour).max(axis=1) < 10).any()
