"""Choose the proposer that suits a product by what each finds in normal training images, without labels."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt16
from torch import Tensor

from stages.aecsad.pseudo_label.foundation.tags import write_tags
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.aecsad.pseudo_label.proposal import Proposal
from stages.core.io.components import COMPONENT_MAPS, TRIALS, ComponentMaps, write_component_maps
from stages.core.io.decision import Decision, write_choice
from stages.core.run.atomic import replacing_folder

LOG = logging.getLogger(__name__)
TAGS = "tags.yaml"
FEW_PARTS = 2  # fewer are no division of a product, however steady
FEW = 50  # images that show how a proposer does
CLASSICAL = ("background_difference", "graph_merging", "dense_clusters")
FOUNDATION = "foundation"
Proposer = Callable[[UInt8[Tensor, "N 3 H W"]], Proposal]


@dataclass(frozen=True)
class Summary:
    """What a proposal looks like over all images.

    Attributes:
        count_median: median number of instances in an image.
        count_agreement: share of images with exactly the most frequent number of instances; 0 where that number is 0.
        count_variation: standard deviation of the number of instances, relative to its mean; 0 where there are none.
        coverage: mean share of an image that belongs to an instance.
        largest: median over images of the largest instance's share of the image.
    """

    count_median: float
    count_agreement: float
    count_variation: float
    coverage: float
    largest: float


@dataclass(frozen=True)
class Choice(Decision):
    """The proposer that was taken, why, and the numbers of all that were tried.

    Attributes:
        human_input: whose words the proposer went by; None for one that reads no words.
        tried_on: number of images that the summaries are of.
    """

    proposer: str
    reason: str
    human_input: str | None
    tried_on: int
    summaries: Mapping[str, Summary]

    def as_json(self) -> dict[str, Any]:
        """Return the fields, with each proposer's summary under its name."""
        values = super().as_json()
        summaries: dict[str, Any] = values.pop("summaries")
        return values | summaries


@dataclass(frozen=True)
class Chosen:
    """The chosen proposer's parts, the choice, and all trials.

    Attributes:
        proposal: of all images, by the chosen proposer.
        trials: by every proposer that was run, of the images `trial_rows` names.
    """

    proposal: Proposal
    choice: Choice
    trials: Mapping[str, Proposal]


def summarise(values: UInt16[np.ndarray, "N H W"]) -> Summary:
    """Compute the numbers that the choice rests on."""
    counts = values.max(axis=(1, 2)).astype(np.int64)
    frequency = np.bincount(counts)
    pixels = values[0].size
    largest = [np.bincount(image.ravel(), minlength=2)[1:].max() / pixels for image in values]
    return Summary(
        count_median=float(np.median(counts)),
        count_agreement=float(frequency.max() / len(counts)) if frequency.argmax() > 0 else 0.0,
        count_variation=float(counts.std() / counts.mean()) if counts.any() else 0.0,
        coverage=float((values > 0).mean()),
        largest=float(np.median(largest)),
    )


def trial_rows(count: int) -> range:
    """Choose FEW to 2 FEW images, evenly spread over `count` ones; all where there are fewer."""
    return range(0, count, max(1, count // FEW))


def propose(
    images: UInt8[Tensor, "N 3 H W"],
    classical: Mapping[str, Proposer],
    foundation: Callable[[], Proposal],
    params: PseudoLabelParams,
) -> Chosen:
    """Try every classical proposer on a few images, and run the wanted one, or with "auto" the best of them, on all.

    The foundation models run only when they are asked for by name: they need weights of several gigabytes. The
    classical ones are also tried then, so that a person can compare.

    Args:
        images: RGB.
        classical: by the names of CLASSICAL.
        foundation: proposes parts of all images.
        params: `proposer` is the wanted one; see `best` for the limits.
    """
    rows = list(trial_rows(len(images)))
    by_name: dict[str, Proposal] = {FOUNDATION: foundation()} if params.proposer == FOUNDATION else {}
    trials = {name: proposer(images[rows]) for name, proposer in classical.items()}
    trials |= {name: Proposal(all_of_it.values[rows], all_of_it.kinds[rows]) for name, all_of_it in by_name.items()}
    summaries = {name: summarise(trial.values) for name, trial in trials.items()}
    name, reason = str(params.proposer), "set in params.yaml"
    if params.proposer == "auto":
        name, reason = best(
            summaries, min_count_agreement=params.min_count_agreement,
            max_count_variation=params.graph_merging.max_count_variation,
            max_part=params.background_difference.max_part,
        )  # fmt: skip
    LOG.info("proposer %s: %s", name, reason)
    if name in classical:
        by_name[name] = trials[name] if len(rows) == len(images) else classical[name](images)
    words = None if (tags := by_name[name].tags) is None else tags.source
    return Chosen(by_name[name], Choice(name, reason, words, len(rows), summaries), trials)


def best(
    summaries: Mapping[str, Summary], *, min_count_agreement: float, max_count_variation: float, max_part: float
) -> tuple[str, str]:
    """Return the first of background difference, graph merging and dense clusters that suits, and why.

    The first two find whole parts, the better components where they work: where about the same number of parts is
    found in image after image and, for background difference, none is as large as its window hides.

    Args:
        summaries: by the names of CLASSICAL.
        min_count_agreement: smallest `Summary.count_agreement` with which background difference is taken.
        max_count_variation: largest `Summary.count_variation` with which graph merging is taken.
        max_part: largest part that background difference can see, as a fraction of the image.
    """
    background, merging, clusters = CLASSICAL
    found = summaries[background]
    if not (fault := fault_of_background(found, min_count_agreement=min_count_agreement, max_part=max_part)):
        return background, f"{found.count_median:g} parts in {found.count_agreement:.0%} of the images"
    reason, found = f"background difference fails: {fault}", summaries[merging]
    if fault := fault_of_merging(found, max_count_variation=max_count_variation):
        return clusters, f"{reason}; graph merging fails: {fault}"
    parts = f"{found.count_median:g} parts, a number that varies by {found.count_variation:.0%}"
    return merging, f"{parts}; {reason}"


def fault_of_background(summary: Summary, *, min_count_agreement: float, max_part: float) -> str:
    """Return why background difference is not taken, see `best`; empty where it is."""
    if summary.count_agreement == 0:
        return "it finds no part more often than any number of parts"
    if summary.count_agreement < min_count_agreement:
        return f"no number of parts is found in more than {summary.count_agreement:.0%} of the images"
    if summary.largest > max_part:
        return f"its parts are as large as its window ({summary.largest:.1%} of the image, limit {max_part:.1%})"
    return ""


def fault_of_merging(summary: Summary, *, max_count_variation: float) -> str:
    """Return why graph merging is not taken, see `best`; empty where it is."""
    if summary.count_median < FEW_PARTS:
        return f"it finds {summary.count_median:g} parts in a typical image"
    if summary.count_variation > max_count_variation:
        return f"its number of parts varies by {summary.count_variation:.0%} (allowed {max_count_variation:.0%})"
    return ""


def write_results(folder: Path, chosen: Chosen, image_ids: Sequence[str], *, choice: Path) -> None:
    """Write the maps of all images, those of the trials, the words for a person, and the choice.

    Args:
        folder: of all but the choice, which is written last.
    """
    tried = tuple(image_ids[row] for row in trial_rows(len(image_ids)))
    with replacing_folder(folder) as temporary:
        maps = ComponentMaps(tuple(image_ids), chosen.proposal.values, chosen.proposal.kinds)
        write_component_maps(temporary / COMPONENT_MAPS, maps)
        (temporary / TRIALS).mkdir()
        for name, trial in chosen.trials.items():
            write_component_maps(temporary / TRIALS / f"{name}.npz", ComponentMaps(tried, trial.values, trial.kinds))
        write_tags(temporary / TAGS, chosen.proposal.tags, proposer=chosen.choice.proposer)
    write_choice(choice, chosen.choice.as_json())
