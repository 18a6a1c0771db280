"""What each proposer's parts let the logical branches see of true logical anomalies, and which proposer is chosen."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks.studies.auto_choice import choose_among
from stages.aecsad.cluster.classes import label_images
from stages.aecsad.cluster.params import ClusterParams
from stages.aecsad.histogram.columns import HistogramScores, score_histograms
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.hybrid_fusion.branches import judge_branches
from stages.aecsad.hybrid_fusion.params import HybridFusionParams
from stages.aecsad.model.edited import EditedPictures
from stages.aecsad.model.fusion import HISTOGRAM, fuse
from stages.aecsad.model.part_numbers import PARTS, PartAreas
from stages.aecsad.pseudo_label.choice import CLASSICAL, Chosen, Pictures, Proposer, load_pictures
from stages.aecsad.pseudo_label.classical.propose import classical_proposers
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.aecsad.pseudo_label.parts import find_parts
from stages.aecsad.pseudo_label.proposal import Proposal
from stages.aecsad.segmentation.fitting import fit_segmentation, segment_edited, segment_images
from stages.aecsad.segmentation.params import SegmentationParams
from stages.aecsad.segmentation.parts import measure_parts
from stages.core.io.components import ComponentMaps
from stages.core.io.rotation import VALIDATION_FOLD
from stages.core.io.tables import SYNTHETIC
from stages.core.run.errors import UserError
from stages.core.run.params import EncoderParams, load_params
from stages.core.runtime.reading import read_image, resize_image
from stages.split.synthetic import KINDS as DEFECTS
from stages.split.synthetic import add_defect

LOGICAL = "test/logical_anomalies"
LAYOUT = {"train/good": "train", "validation/good": "validation", "test/good": "test", LOGICAL: "test"}  # MVTec LOCO's
BLIND = 0.5  # AUROC of what is excluded
NO_SEED = CLASSICAL[:2]  # proposers without chance
SHORT = {"width": 16, "iterations": 60}  # of the decoder, for every proposer: half as wide, less than half as long


@dataclass(frozen=True)
class Images:
    """A product's images at the encoder's size.

    Attributes:
        table: the image table, as a split's, copies with synthetic defects among it.
        folder: of the files that it names.
    """

    table: pd.DataFrame
    folder: Path


@dataclass(frozen=True)
class Settings:
    """What the stages are set to: as in the profile, but for the decoder, see SHORT."""

    encoder: EncoderParams
    proposing: PseudoLabelParams
    clustering: ClusterParams
    segmentation: SegmentationParams
    histogram: HistogramParams
    fusion: HybridFusionParams


@dataclass(frozen=True)
class Outcome:
    """What came of one proposer on one product; AUROCs from 0 to 1.

    Attributes:
        taken: whether the stage chooses it.
        judged, error: what the stage's judge sees of edited pictures, and its standard error.
        decoder: what the best grid of the histogram sees of them, after a decoder was trained.
        histogram: of true logical anomalies by the histogram with its weights; BLIND where it is excluded.
        logical: the same by histogram and numbers of parts, fused by their weights.
        parts: the same by numbers of parts alone, which no proposer changes.
        covered: whether the histogram is in use.
    """

    product: str
    seed: int
    proposer: str
    taken: bool
    judged: float
    error: float
    decoder: float
    histogram: float
    logical: float
    parts: float
    covered: bool


def load_settings() -> Settings:
    """Load the sections of the active profile, and shorten the decoder's training."""
    return Settings(
        load_params(EncoderParams, section="encoder"),
        load_params(PseudoLabelParams, section="aecsad.pseudo_label"),
        load_params(ClusterParams, section="aecsad.cluster"),
        load_params(SegmentationParams, section="aecsad.segmentation").model_copy(update=SHORT),
        load_params(HistogramParams, section="aecsad.histogram"),
        load_params(HybridFusionParams, section="aecsad.hybrid_fusion"),
    )


def prepare(dataset: Path, folder: Path, *, size: int, seed: int) -> Images:
    """Write all images at one size, and a copy of each validation image with a synthetic defect.

    Args:
        dataset: in the layout of MVTec LOCO.
        folder: to write to.
        size: side in pixels.
        seed: of the defects.

    Raises:
        UserError: there is no image where the layout has some.
    """
    random, rows = np.random.default_rng(seed), []
    for part, split in LAYOUT.items():
        paths = sorted((dataset / part).glob("*.*"))
        if not paths:
            raise UserError(f"{dataset / part}: no image there; the study needs the layout of MVTec LOCO")
        for number, path in enumerate(paths):
            picture, image_id = read_image(path), f"{part}/{path.stem}"
            rows.append(save(folder, image_id, picture, split, size=size))
            if split == "validation":
                defect = add_defect(picture, DEFECTS[number % len(DEFECTS)], random)
                rows.append(save(folder, f"{image_id}#{SYNTHETIC}", defect, SYNTHETIC, size=size))
    table = pd.DataFrame(rows, columns=["image_id", "file", "split"])
    return Images(table.sort_values("image_id").reset_index(drop=True), folder)


def save(
    folder: Path, image_id: str, picture: UInt8[np.ndarray, "H W 3"], split: str, *, size: int
) -> tuple[str, str, str]:
    """Write a picture at one size and return its row of the image table."""
    file = image_id.replace("/", "-") + ".png"
    cv2.imwrite(str(folder / file), cv2.cvtColor(resize_image(picture, size), cv2.COLOR_RGB2BGR))
    return image_id, file, split


class Memory:
    """What proposers have found in stacks of images, for the next seed and for the first images of a stack."""

    def __init__(self) -> None:
        """Remember nothing."""
        self.found: dict[tuple[str, int | None], list[tuple[UInt8[Tensor, "N 3 H W"], Proposal]]] = defaultdict(list)

    def remembering(self, name: str, proposer: Proposer, *, seed: int) -> Proposer:
        """Return a proposer that does nothing twice.

        Those that propose for all images together are not asked again for the first ones alone, which spares time and
        may change their parts a little.
        """
        known = self.found[name, None if name in NO_SEED else seed]

        def propose(images: UInt8[Tensor, "N 3 H W"]) -> Proposal:
            for stack, proposal in known:
                if torch.equal(stack[: len(images)], images):
                    return proposal[: len(images)]
            known.append((images, proposer(images)))
            return known[-1][1]

        return propose


def try_proposers(product: str, images: Images, settings: Settings, memory: Memory, *, seed: int) -> list[Outcome]:
    """Choose a proposer as the stage does, and take every one through decoder, histogram and fusion.

    Args:
        product: its name.
        images: of it.
        settings: of the stages.
        memory: of other seeds.
        seed: of edits, clusters, decoder and kinds of parts.
    """
    train, pictures = load_pictures(images.table, images.folder, size=settings.encoder.image_size)
    classical = classical_proposers(settings.proposing, settings.encoder.network, seed=seed)
    proposers = {name: memory.remembering(name, one, seed=seed) for name, one in classical.items()}
    chosen = choose_among(proposers, pictures, seed=seed)
    image_ids = tuple(train["image_id"])
    found = find_parts(chosen, pictures, settings.proposing, image_ids=image_ids)
    parts: PartAreas | None = None
    outcomes = []
    for name, proposer in proposers.items():
        proposal = proposer(pictures.train)
        components = ComponentMaps(image_ids, proposal.values, proposal.kinds)
        scores, parts = score(images, pictures, components, chosen.edited, found, parts, settings, seed=seed)
        outcomes.append(outcome_of(product, name, chosen, scores, settings, seed=seed))
    return outcomes


def score(
    images: Images,
    pictures: Pictures,
    components: ComponentMaps,
    edited: EditedPictures,
    found: ComponentMaps,
    parts: PartAreas | None,
    settings: Settings,
    *,
    seed: int,
) -> tuple[HistogramScores, PartAreas]:
    """Return the scores of the histogram stage by one proposer's parts, and the numbers of parts.

    Args:
        images, pictures: of the product.
        components: what the proposer found in the training images.
        edited: pictures that the weights rest on.
        found: small parts, whose numbers are a branch by itself.
        parts: these numbers, which are the same for every proposer; None where they are not measured yet.
        settings, seed: of the stages.
    """
    photos = pictures.train.permute(0, 2, 3, 1).contiguous().numpy()
    labels, _ = label_images(components, photos, settings.encoder.network, settings.clustering, seed=seed)
    fitted = fit_segmentation(images.table, images.folder, labels, settings.segmentation, settings.encoder, seed=seed)
    label_maps = segment_images(fitted, images.table, images.folder)
    if parts is None:
        parts = measure_parts(
            fitted, images.table, images.folder, found, label_maps, edited, {}, kinds=settings.segmentation.part_kinds,
            seed=seed,
        )[VALIDATION_FOLD]  # fmt: skip
    by_fold = {VALIDATION_FOLD: parts}
    return score_histograms(
        images.table, label_maps, segment_edited(fitted, edited), by_fold, settings.histogram
    ), parts


def outcome_of(
    product: str, proposer: str, chosen: Chosen, scores: HistogramScores, settings: Settings, *, seed: int
) -> Outcome:
    """Weigh the logical branches as `hybrid_fusion` does, and score the test images by them."""
    rows = scores.table[scores.table["split"] != "train"].reset_index(drop=True)
    histogram = scores.as_json()
    weights = judge_branches(rows, histogram, chance=settings.fusion.chance, weighting="reliability")
    in_use = {name: one.weight for name, one in weights.items() if scores.covered or name != HISTOGRAM}
    test = (rows["split"] == "test").to_numpy()
    anomalous = rows["image_id"].str.startswith(LOGICAL).to_numpy()[test]

    def auroc(branches: Mapping[str, float]) -> float:
        if not any(branches.values()):
            return BLIND
        fused, _ = fuse(rows, histogram["weights"], {**dict.fromkeys(weights, 0.0), **branches}, combination="fisher")
        return float(roc_auc_score(anomalous, fused["score"].to_numpy()[test]))

    seen = chosen.choice.seen[proposer]
    return Outcome(
        product, seed, proposer, proposer == chosen.choice.proposer, seen.auroc, seen.error,
        decoder=max(column.edit_auroc for column in scores.reliability.values()),
        histogram=auroc({HISTOGRAM: 1.0}) if scores.covered else BLIND,
        logical=auroc(in_use),
        parts=auroc({PARTS: in_use.get(PARTS, 0.0)}),
        covered=scores.covered,
    )  # fmt: skip
