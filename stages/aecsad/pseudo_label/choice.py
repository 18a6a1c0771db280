"""Which proposer suits this product: decided by what they find in the normal training images, without labels."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import UInt16

from stages.aecsad.pseudo_label.proposal import Proposal

LOG = logging.getLogger(__name__)
FEW_PARTS = 2  # fewer are no division of a product, however steady
NAMES = ("background_difference", "graph_merging", "dense_clusters", "foundation")
Proposer = Callable[[], Proposal]


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
class Choice:
    """The proposer that was taken, why, and the numbers of all that were tried.

    Attributes:
        words: whose words the proposer went by; None for one that reads no words.
    """

    proposer: str
    reason: str
    summaries: Mapping[str, Summary]
    words: str | None

    @property
    def count_median(self) -> float:
        return self.summaries[self.proposer].count_median

    def as_json(self) -> dict[str, object]:
        return {
            "proposer": self.proposer,
            "reason": self.reason,
            "human_input": self.words,
            **{name: {key: round(value, 4) for key, value in asdict(s).items()} for name, s in self.summaries.items()},
        }


def summarise(values: UInt16[np.ndarray, "N H W"]) -> Summary:
    """The numbers the choice rests on."""
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


def propose(
    wanted: str,
    background: Proposer,
    merging: Sequence[Proposer],
    clusters: Proposer,
    foundation: Proposer,
    *,
    min_count_agreement: float,
    max_count_variation: float,
    max_part: float,
) -> tuple[Proposal, Choice]:
    """Run the wanted proposer, or with "auto" background difference, graph merging and dense clusters until one suits.

    The foundation models run only when they are asked for by name: they need weights of several gigabytes.

    The first two give whole parts, the better components where they work: where about the same number of parts is
    found in image after image and, for background difference, none is as large as its window hides (window²/2).

    Args:
        wanted: "auto" or one of NAMES.
        merging: graph merging of ever more images, at last of all; where it fails on few, the many are spared.
        min_count_agreement: smallest `Summary.count_agreement` with which background difference is trusted.
        max_count_variation: largest `Summary.count_variation` with which graph merging is trusted.
        max_part: largest part that background difference can see, as a fraction of the image.
    """
    proposers = (background, merging[-1], clusters, foundation)
    if wanted in (named := dict(zip(NAMES, proposers, strict=True))):
        return decided(wanted, "set in params.yaml", {wanted: named[wanted]()})
    found = {"background_difference": background()}
    summary = summarise(found["background_difference"].values)
    if not (fault := fault_of_background(summary, min_count_agreement=min_count_agreement, max_part=max_part)):
        reason = f"{summary.count_median:g} parts in {summary.count_agreement:.0%} of the images"
        return decided("background_difference", reason, found)
    reason = f"background difference fails: {fault}"
    for attempt in merging:
        found["graph_merging"] = attempt()
        summary = summarise(found["graph_merging"].values)
        if fault := fault_of_merging(summary, max_count_variation=max_count_variation):
            break
    if not fault:
        parts = f"{summary.count_median:g} parts, a number that varies by {summary.count_variation:.0%}"
        return decided("graph_merging", f"{parts}; {reason}", found)
    found["dense_clusters"] = clusters()
    return decided("dense_clusters", f"{reason}; graph merging fails: {fault}", found)


def fault_of_background(summary: Summary, *, min_count_agreement: float, max_part: float) -> str:
    """Why background difference is not trusted; empty where it is. See `propose`."""
    if summary.count_agreement == 0:
        return "it finds no part more often than any number of parts"
    if summary.count_agreement < min_count_agreement:
        return f"no number of parts is found in more than {summary.count_agreement:.0%} of the images"
    if summary.largest > max_part:
        return f"its parts are as large as its window ({summary.largest:.1%} of the image, limit {max_part:.1%})"
    return ""


def fault_of_merging(summary: Summary, *, max_count_variation: float) -> str:
    """Why graph merging is not trusted; empty where it is. See `propose`."""
    if summary.count_median < FEW_PARTS:
        return f"it finds {summary.count_median:g} parts in a typical image"
    if summary.count_variation > max_count_variation:
        return f"its number of parts varies by {summary.count_variation:.0%} (allowed {max_count_variation:.0%})"
    return ""


def decided(name: str, reason: str, found: Mapping[str, Proposal]) -> tuple[Proposal, Choice]:
    """Log the decision and put it beside the numbers."""
    LOG.info("proposer %s: %s", name, reason)
    tags, summaries = found[name].tags, {key: summarise(value.values) for key, value in found.items()}
    return found[name], Choice(name, reason, summaries, None if tags is None else tags.source)
