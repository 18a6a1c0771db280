"""Choose the proposer that suits a product, without labels: by what its parts let one see of edited pictures.

Where several are equal in that up to chance, what each finds in normal training images decides.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8, UInt16
from torch import Tensor

from stages.aecsad.model.edited import EDITED, EditedPictures, Seen, write_edited
from stages.aecsad.model.part_kinds import PART_MAPS
from stages.aecsad.pseudo_label.edits import edit_pictures
from stages.aecsad.pseudo_label.foundation.tags import write_tags
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.aecsad.pseudo_label.proposal import Proposal
from stages.core.encoder.encoder import load_stack
from stages.core.io.components import COMPONENT_MAPS, TRIALS, ComponentMaps, write_component_maps
from stages.core.io.decision import Decision, rounded, write_choice
from stages.core.run.atomic import replacing_folder

LOG = logging.getLogger(__name__)
TAGS = "tags.yaml"
FEW_PARTS = 2  # fewer are no division of a product, however steady
FEW = 32  # images that show how a proposer does
MOST_NORMAL = 40  # validation images that are edited
HEAD_START = 0.03  # AUROC; a linear classifier sees less of whole parts than the decoder that follows will
CLASSICAL = ("background_difference", "graph_merging", "dense_clusters")
FOUNDATION = "foundation"
Proposer = Callable[[UInt8[Tensor, "N 3 H W"]], Proposal]
Judge = Callable[[Mapping[str, Proposal], "Pictures", EditedPictures], Mapping[str, Seen]]


@dataclass(frozen=True)
class Pictures:
    """Normal images that proposers are tried on; 8-bit RGB.

    Attributes:
        train: all training images.
        validation: some validation images, which are edited.
        image_ids: of the latter.
    """

    train: UInt8[Tensor, "N 3 H W"]
    validation: UInt8[Tensor, "V 3 H W"]
    image_ids: tuple[str, ...]

    @property
    def trial(self) -> UInt8[Tensor, "T 3 H W"]:
        """The training images of `trial_rows`."""
        return self.train[list(trial_rows(len(self.train)))]


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
        edited: number of edited pictures.
        seen: what each proposer's parts let one see of these.
    """

    proposer: str
    reason: str
    human_input: str | None
    tried_on: int
    edited: int
    summaries: Mapping[str, Summary]
    seen: Mapping[str, Seen]

    def as_json(self) -> dict[str, Any]:
        """Return the fields, with each proposer's summary and what it sees under its name."""
        verdict = {"proposer": self.proposer, "reason": self.reason, "human_input": self.human_input}
        numbers = {"tried_on": self.tried_on, "edited": self.edited}
        return (
            verdict
            | numbers
            | {name: rounded(asdict(summary) | self.seen[name].as_json()) for name, summary in self.summaries.items()}
        )


@dataclass(frozen=True)
class Chosen:
    """The chosen proposer's parts, the choice, and all trials.

    Attributes:
        proposal: of all images, by the chosen proposer.
        trials: by every proposer that was run, of the images `trial_rows` names.
        edited: pictures made from validation images.
    """

    proposal: Proposal
    choice: Choice
    trials: Mapping[str, Proposal]
    edited: EditedPictures


def load_pictures(table: pd.DataFrame, folder: Path, *, size: int) -> tuple[pd.DataFrame, Pictures]:
    """Load all training images and at most MOST_NORMAL validation images, and return the rows of the former, too.

    Args:
        table: of all images.
        folder: of the image files.
        size: side in pixels.

    Raises:
        UserError: an image cannot be read.
    """
    train, validation = (table[table["split"] == split] for split in ("train", "validation"))
    rows = np.linspace(0, len(validation) - 1, min(len(validation), MOST_NORMAL)).round().astype(np.int64)
    some = validation.iloc[rows]
    stacks = [load_stack(folder, part["file"], size=size) if len(part) else no_images(size) for part in (train, some)]
    return train, Pictures(stacks[0], stacks[1], tuple(some["image_id"]))


def no_images(size: int) -> UInt8[Tensor, "0 3 S S"]:
    """Return a stack without an image."""
    return torch.zeros((0, 3, size, size), dtype=torch.uint8)


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
    pictures: Pictures,
    classical: Mapping[str, Proposer],
    foundation: Callable[[], Proposal],
    judge: Judge,
    params: PseudoLabelParams,
    *,
    seed: int,
) -> Chosen:
    """Try every classical proposer on a few images, and run the wanted one, or with "auto" the best of them, on all.

    The foundation models run only when they are asked for by name: they need weights of several gigabytes. The
    classical ones are also tried then: a person can compare, and their parts are those that are edited.

    Args:
        pictures: to propose parts of.
        classical: by the names of CLASSICAL.
        foundation: proposes parts of all training images.
        judge: see `judging.judge_proposers`.
        params: `proposer` is the wanted one; see `best` for the limits.
        seed: of the edits.
    """
    rows, count = list(trial_rows(len(pictures.train))), len(pictures.trial)
    by_name: dict[str, Proposal] = {FOUNDATION: foundation()} if params.proposer == FOUNDATION else {}
    together = torch.cat([pictures.trial, pictures.validation])
    found = {name: proposer(together) for name, proposer in classical.items()}
    photos = pictures.validation.permute(0, 2, 3, 1).contiguous().numpy()
    edited = edit_pictures(
        photos, {name: proposal.values[count:] for name, proposal in found.items()}, pictures.image_ids,
        random=np.random.default_rng(seed),
    )  # fmt: skip
    trials = {name: proposal[:count] for name, proposal in found.items()}
    trials |= {name: proposal[rows] for name, proposal in by_name.items()}
    summaries, seen = {name: summarise(trial.values) for name, trial in trials.items()}, judge(trials, pictures, edited)
    name, reason = str(params.proposer), "set in params.yaml"
    if params.proposer == "auto":
        name, reason = best(
            summaries, seen, min_count_agreement=params.min_count_agreement,
            max_count_variation=params.graph_merging.max_count_variation,
            max_part=params.background_difference.max_part,
        )  # fmt: skip
    LOG.info("proposer %s: %s", name, reason)
    proposal = by_name[name] if name in by_name else classical[name](pictures.train)
    words = None if proposal.tags is None else proposal.tags.source
    choice = Choice(name, reason, words, len(rows), len(edited.kinds), summaries, seen)
    return Chosen(proposal, choice, trials, edited)


def best(
    summaries: Mapping[str, Summary],
    seen: Mapping[str, Seen],
    *,
    min_count_agreement: float,
    max_count_variation: float,
    max_part: float,
) -> tuple[str, str]:
    """Return the proposer whose parts let one see most of edited pictures, and why.

    Of those that are as good up to chance and HEAD_START, the first of background difference and graph merging that
    suits is taken: they find whole parts, the better components where they work, which is where about the same number
    of parts is found in image after image and, for background difference, none is as large as its window hides.

    Args:
        summaries, seen: by the names of CLASSICAL.
        min_count_agreement: smallest `Summary.count_agreement` with which background difference suits.
        max_count_variation: largest `Summary.count_variation` with which graph merging suits.
        max_part: largest part that background difference can see, as a fraction of the image.
    """
    background, merging, clusters = CLASSICAL
    top = max(CLASSICAL, key=lambda name: seen[name].auroc)
    level = [name for name in CLASSICAL if seen[top].better_by_chance(seen[name], margin=HEAD_START)]
    faults = {
        background: fault_of_background(
            summaries[background], min_count_agreement=min_count_agreement, max_part=max_part
        ),
        merging: fault_of_merging(summaries[merging], max_count_variation=max_count_variation),
    }
    reason = "no part could be edited"
    if seen[top].kinds:
        shares = ", ".join(f"{name.replace('_', ' ')} {seen[name].auroc:.0%}" for name in CLASSICAL)
        chance = "" if any(seen[name].above_chance for name in CLASSICAL) else ", none better than by chance"
        reason = f"edited pictures are seen: {shares}{chance}"
    for name, fault in faults.items():
        if name not in level:
            continue
        if not fault:
            return name, f"{reason}; {steadiness(name, summaries[name])}"
        reason += f"; {name.replace('_', ' ')} fails: {fault}"
    return (top if seen[top].kinds else clusters), reason


def steadiness(name: str, found: Summary) -> str:
    """Return how many parts one of the proposers of whole parts finds, and how steadily."""
    background = name == CLASSICAL[0]
    agreed, varied = f" in {found.count_agreement:.0%} of the images", f", varying by {found.count_variation:.0%}"
    return f"{found.count_median:g} parts{agreed if background else varied}"


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


def write_results(
    folder: Path, chosen: Chosen, parts: ComponentMaps, image_ids: Sequence[str], *, choice: Path
) -> None:
    """Write the maps of all images, those of the trials, edited pictures, the words for a person, and the choice.

    Args:
        folder: of all but the choice, which is written last.
        parts: see `parts.find_parts`.
    """
    tried = tuple(image_ids[row] for row in trial_rows(len(image_ids)))
    with replacing_folder(folder) as temporary:
        maps = ComponentMaps(tuple(image_ids), chosen.proposal.values, chosen.proposal.kinds)
        write_component_maps(temporary / COMPONENT_MAPS, maps)
        (temporary / TRIALS).mkdir()
        for name, trial in chosen.trials.items():
            write_component_maps(temporary / TRIALS / f"{name}.npz", ComponentMaps(tried, trial.values, trial.kinds))
        write_component_maps(temporary / PART_MAPS, parts)
        write_edited(temporary / EDITED, chosen.edited)
        write_tags(temporary / TAGS, chosen.proposal.tags, proposer=chosen.choice.proposer)
    write_choice(choice, chosen.choice.as_json())
