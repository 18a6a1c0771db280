"""The choice between proposers: their numbers by hand, every reason for and against one, and what runs on what."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch

from stages.aecsad.model.edited import EditedPictures, Seen
from stages.aecsad.pseudo_label.choice import (
    CLASSICAL,
    Chosen,
    Pictures,
    Proposer,
    best,
    propose,
    summarise,
    trial_rows,
)
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.aecsad.pseudo_label.proposal import Proposal
from tests.table import violations
from tests.unit.aecsad.drawings import DISC, GROUND, SECTIONS, draw

LIMITS = {"min_count_agreement": 0.6, "max_count_variation": 0.15, "max_part": 0.02}


def counts(*values: int) -> Proposal:
    """A proposal with that many one-pixel instances in each 10 x 10 image."""
    maps = np.zeros((len(values), 100), dtype=np.uint16)
    for row, count in zip(maps, values, strict=True):
        row[:count] = np.arange(1, count + 1)
    return Proposal(maps.reshape(-1, 10, 10), np.zeros((len(values), max(values) + 1), dtype=np.uint8))


def never() -> Proposal:
    raise AssertionError("this proposer was not to run")


def params_of(proposer: str) -> PseudoLabelParams:
    """The tiny params with a proposer named."""
    return PseudoLabelParams.model_validate({**SECTIONS["pseudo_label"], "proposer": proposer})


def test_summary() -> None:
    summary = summarise(counts(3, 3, 5, 3).values)
    assert (summary.count_median, summary.count_agreement, summary.coverage, summary.largest) == (3, 0.75, 0.035, 0.01)
    assert summary.count_variation == pytest.approx(np.sqrt(0.75) / 3.5)
    assert summarise(counts(0, 0).values).count_variation == 0
    assert summarise(counts(0, 0, 4).values).count_agreement == 0  # to agree on nothing is not to agree


def seeing(auroc: float) -> Seen:
    """A proposer with that AUROC, the same error in every image, so that any difference from another is certain."""
    return Seen({"cut": auroc}, auroc, 0.01, np.zeros(40))


BLIND = Seen({}, 0.5, 0.5, np.zeros(40))


def decide(
    background: Proposal, merging: Proposal, max_part: float = 0.02, aurocs: tuple[float, ...] | None = None
) -> tuple[str, str]:
    found = dict(zip(CLASSICAL, (background, merging, counts(7)), strict=True))
    summaries = {name: summarise(proposal.values) for name, proposal in found.items()}
    verdicts = [BLIND] * 3 if aurocs is None else [seeing(auroc) for auroc in aurocs]
    return best(summaries, dict(zip(CLASSICAL, verdicts, strict=True)), **{**LIMITS, "max_part": max_part})


def test_who_sees_most_of_edited_pictures_is_taken_however_steady_the_others() -> None:
    steady = counts(4, 4, 4), counts(6, 6, 6)
    for aurocs in ((0.5, 0.6, 0.9), (0.5, 0.9, 0.6), (0.9, 0.6, 0.5)):
        assert decide(*steady, aurocs=aurocs)[0] == CLASSICAL[int(np.argmax(aurocs))]
    assert (
        "background difference 50%, graph merging 60%, dense clusters 90%" in decide(*steady, aurocs=(0.5, 0.6, 0.9))[1]
    )


def test_of_equals_whole_parts_are_taken_where_their_number_is_steady() -> None:
    equal = (0.88, 0.89, 0.9)
    assert decide(counts(4, 4, 4), counts(6, 6), aurocs=equal)[0] == "background_difference"
    assert decide(counts(4, 5, 6), counts(6, 6), aurocs=equal)[0] == "graph_merging"
    name, reason = decide(counts(4, 5, 6), counts(4, 6, 8), aurocs=equal)
    assert name == "dense_clusters"
    assert "graph merging fails: its number of parts varies by 27%" in reason


def test_background_difference_is_taken_where_counts_agree() -> None:
    assert decide(counts(4, 4, 3), counts(6, 6)) == (
        "background_difference",
        "no part could be edited; 4 parts in 67% of the images",
    )


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
    assert "6 parts, varying by 7%" in said


@pytest.mark.parametrize(
    ("merged", "reason"),
    [(counts(4, 6, 8), "number of parts varies by 27% (allowed 15%)"), (counts(1, 1, 1), "finds 1 parts in a typical")],
)
def test_dense_clusters_are_taken_where_both_fail(merged: Proposal, reason: str) -> None:
    name, said = decide(counts(4, 5, 6), merged)
    assert name == "dense_clusters"
    assert reason in said


def test_a_part_is_as_large_as_half_of_the_window_at_most() -> None:
    assert params_of("auto").background_difference.max_part == pytest.approx(0.2**2 / 2)


def test_trials_are_spread_over_all_images() -> None:
    def check(count: int, tried: int) -> None:
        rows = trial_rows(count)
        assert len(rows) == tried
        assert count - rows[-1] <= rows.step

    rows = [(3, 3), (63, 63), (64, 32), (420, 33)]
    assert violations(check, rows) == []


def parts_of(number: int) -> Proposer:
    """A proposer that finds `number` parts in every image."""
    return lambda images: counts(*[number] * len(images))


def proposed(
    count: int, classical: dict[str, Proposer], foundation: Callable[[], Proposal], proposer: str, normal: int = 5
) -> Chosen:
    """What comes of that many training and validation images; nobody sees an edit."""
    stacks = [torch.zeros(number, 3, 10, 10, dtype=torch.uint8) for number in (count, normal)]
    pictures = Pictures(*stacks, tuple(f"{number:02d}" for number in range(normal)))

    def judge(trials: Mapping[str, Proposal], of: Pictures, edited: EditedPictures) -> dict[str, Seen]:
        assert of is pictures
        return dict.fromkeys(trials, BLIND)

    return propose(pictures, classical, foundation, judge, params_of(proposer), seed=0)


def test_all_are_tried_on_few_images_and_the_best_runs_on_all() -> None:
    calls: list[tuple[str, int]] = []

    def counted(name: str, number: int) -> Proposer:
        def proposer(images: torch.Tensor) -> Proposal:
            calls.append((name, len(images)))
            return parts_of(number)(images)

        return proposer

    classical = {name: counted(name, number) for number, name in enumerate(CLASSICAL, start=3)}
    chosen = proposed(120, classical, never, "auto")
    first = CLASSICAL[0]
    assert calls == [*((name, 40 + 5) for name in CLASSICAL), (first, 120)]  # every third one, and those to be edited
    assert {len(trial.values) for trial in chosen.trials.values()} == {40}
    assert chosen.proposal.values.max(axis=(1, 2)).tolist() == [3] * 120
    assert {name: trial.values.max() for name, trial in chosen.trials.items()} == dict(
        zip(CLASSICAL, (3, 4, 5), strict=True)
    )
    written = chosen.choice.as_json()
    assert set(written) == {"proposer", "reason", "human_input", "tried_on", "edited", *CLASSICAL}
    assert (written["proposer"], written["tried_on"]) == (first, 40)
    assert written[first]["edit_auroc"] == 0.5


def test_a_proposer_named_in_params_is_not_questioned() -> None:
    for name in CLASSICAL:
        classical = {other: parts_of(1 + (other == name)) for other in CLASSICAL}
        chosen = proposed(3, classical, never, name)
        assert (chosen.choice.proposer, chosen.choice.reason) == (name, "set in params.yaml")
        assert chosen.proposal.values.max() == 2


def test_foundation_models_run_on_all_and_are_compared_on_few() -> None:
    chosen = proposed(64, {name: parts_of(1) for name in CLASSICAL}, lambda: counts(*[2, 5] * 32), "foundation")
    assert chosen.proposal.values.max(axis=(1, 2)).tolist() == [2, 5] * 32
    assert chosen.trials["foundation"].values.max(axis=(1, 2)).tolist() == [2] * 32  # every second image
    assert set(chosen.trials) == {*CLASSICAL, "foundation"}
    assert chosen.choice.proposer == "foundation"


def test_the_drawing_uses_the_colours_it_names() -> None:
    image = draw(0).reshape(-1, 3).astype(int)
    for colour in (DISC, GROUND):
        assert (np.abs(image - colour).max(axis=1) < 10).any()
