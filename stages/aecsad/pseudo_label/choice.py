"""Which proposer suits this product: decided by what they find in the normal training images, without labels."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import UInt16

from stages.aecsad.pseudo_label.proposal import Proposal

LOG = logging.getLogger(__name__)
Proposer = Callable[[], Proposal]


@dataclass(frozen=True)
class Summary:
    """What a proposal looks like over all images.

    Attributes:
        count_median: median number of instances in an image.
        count_agreement: share of images with exactly the most frequent number of instances; 0 where that number is 0.
        coverage: mean share of an image that belongs to an instance.
        largest: median over images of the largest instance's share of the image.
    """

    count_median: float
    count_agreement: float
    coverage: float
    largest: float


@dataclass(frozen=True)
class Choice:
    """The proposer that was taken, why, and the numbers of all that were tried."""

    proposer: str
    reason: str
    summaries: Mapping[str, Summary]

    @property
    def count_median(self) -> float:
        return self.summaries[self.proposer].count_median

    def as_json(self) -> dict[str, object]:
        return {
            "proposer": self.proposer,
            "reason": self.reason,
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
        coverage=float((values > 0).mean()),
        largest=float(np.median(largest)),
    )


def propose(
    wanted: str,
    background: Proposer,
    clusters: Proposer,
    foundation: Proposer,
    *,
    min_count_agreement: float,
    max_part: float,
) -> tuple[Proposal, Choice]:
    """Run the wanted proposer, or with "auto" the background difference, and dense clusters where that fails.

    The foundation models run only when they are asked for by name: they need weights of several gigabytes.

    Background difference gives whole parts, which are the better components where it works. It works when the same
    number of parts is found in image after image, and none is as large as the background window hides (window²/2).

    Args:
        wanted: "auto", "background_difference", "dense_clusters" or "foundation".
        min_count_agreement: smallest `Summary.count_agreement` to be trusted.
        max_part: largest part that background difference can see, as a fraction of the image.
    """
    if wanted in (named := {"dense_clusters": clusters, "foundation": foundation}):
        return decided(wanted, "set in params.yaml", {wanted: named[wanted]()})
    found = {"background_difference": background()}
    if wanted == "background_difference":
        return decided(wanted, "set in params.yaml", found)
    summary = summarise(found["background_difference"].values)
    if summary.count_agreement < min_count_agreement:
        reason = f"no number of parts above 0 is found in more than {summary.count_agreement:.0%} of the images"
    elif summary.largest > max_part:
        reason = f"its parts are as large as its window ({summary.largest:.1%} of the image, limit {max_part:.1%})"
    else:
        reason = f"{summary.count_median:g} parts in {summary.count_agreement:.0%} of the images"
        return decided("background_difference", reason, found)
    found["dense_clusters"] = clusters()
    return decided("dense_clusters", f"background difference fails: {reason}", found)


def decided(name: str, reason: str, found: Mapping[str, Proposal]) -> tuple[Proposal, Choice]:
    """Log the decision and put it beside the numbers."""
    LOG.info("proposer %s: %s", name, reason)
    return found[name], Choice(name, reason, {key: summarise(value.values) for key, value in found.items()})
