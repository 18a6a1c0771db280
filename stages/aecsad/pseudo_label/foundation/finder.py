"""From photographs and words to instance maps: tags, boxes, masks, filter; one image in memory at a time."""

import gc
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8, UInt16

from stages.aecsad.pseudo_label.foundation.detection import Detector, filter_masks, split_regions
from stages.aecsad.pseudo_label.foundation.grounding_dino import check_words, load_grounding_dino
from stages.aecsad.pseudo_label.foundation.masks import joined, paint
from stages.aecsad.pseudo_label.foundation.prompts import Prompts
from stages.aecsad.pseudo_label.foundation.ram_plus import load_ram_plus
from stages.aecsad.pseudo_label.foundation.segmenter import Segmenter, load_sam
from stages.aecsad.pseudo_label.foundation.tags import Tagger, TagReport, read_tag_list, suggest, summarise_tags
from stages.aecsad.pseudo_label.foundation.weights import WeightFiles, parts_of, read_weight_files, require
from stages.aecsad.pseudo_label.params import FilterParams, FoundationParams
from stages.aecsad.pseudo_label.proposal import Proposal
from stages.core.encoder.device import pick_device
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.reading import read_image

LOG = logging.getLogger(__name__)
REVIEWED = "prompts of params.yaml, written by a person"
UNREVIEWED = "none: suggestions from RAM++'s tags, which nobody has reviewed"


def propose_masks(
    files: Sequence[Path],
    manifest: Path,
    prompts: Prompts | None,
    params: FoundationParams,
    *,
    size: int,
    min_area: float,
) -> Proposal:
    """Find instances in photographs of any size.

    Args:
        files: the training images.
        manifest: which weight files there are; all that are needed are verified before anything is computed.
        prompts: a person's words, or None to go by RAM++'s tags.
        size: side of the instance maps in pixels.
        min_area: smallest instance, as a share of the map.

    Raises:
        UserError: weights are missing or damaged, an image is unreadable, there are no words to go by, or GroundingDINO
            does not know a word that a person wrote.
    """
    weights = read_weight_files(manifest)
    require(weights, parts_of(sam=params.sam, tagged_images=params.tagged_images))
    if prompts is not None:
        check_words([*prompts.objects, *prompts.background], weights.path("text_config").parent)
    device = pick_device(threads=None)
    report = propose_words(files, weights, prompts, params, device=device)
    finder = build_finder(weights, Prompts.model_validate(report.used), params, device=device)
    maps = [
        finder.instances(read_image(file), size=size, min_area=min_area)
        for file in progress(files, total=len(files), label="component masks")
    ]
    values = np.stack(maps) if maps else np.zeros((0, size, size), dtype=np.uint16)
    if not values.any():
        LOG.warning("no part was found in any image: read `used` in tags.yaml and write other prompts")
    return Proposal(values, np.zeros((len(values), int(values.max(initial=0)) + 1), dtype=np.uint8), report)


def propose_words(
    files: Sequence[Path],
    weights: WeightFiles,
    prompts: Prompts | None,
    params: FoundationParams,
    *,
    device: torch.device,
) -> TagReport:
    """Tag some images, suggest words, and decide which words are used.

    Raises:
        UserError: no person has written prompts, and there are no tags to suggest any.
    """
    rows: list[dict[str, Any]] = []
    tagged = evenly(files, params.tagged_images)
    if tagged:
        names = read_tag_list(weights.path("tag_list"), weights.path("tag_thresholds"))
        tagger = Tagger(load_ram_plus(weights.path("ram_plus"), tags=len(names.names)), names, device=device)
        tags = [
            tagger(read_image(file), near=params.near) for file in progress(tagged, total=len(tagged), label="tags")
        ]
        rows = summarise_tags(tags)
        del tagger
        gc.collect()  # 1.3 GB before the next networks come
    suggested = suggest(rows, min_share=params.min_tag_share)
    if prompts is None and not suggested["objects"]:
        raise UserError(
            "no words to look for: write `prompts` for this category into params.yaml"
            + ("" if rows else " or set foundation.tagged_images above 0")
        )
    used = prompts.model_dump() if prompts else {**suggested, **params.unreviewed.model_dump()}
    source = REVIEWED if prompts else UNREVIEWED
    (LOG.info if prompts else LOG.warning)("human input: %s", source)
    return TagReport(len(tagged), tuple(rows), suggested, used, source)


def evenly(files: Sequence[Path], count: int) -> list[Path]:
    """Choose at most `count` files, spread over all."""
    rows = np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)
    return [files[row] for row in dict.fromkeys(rows.tolist())]


@dataclass(frozen=True)
class Finder:
    """Detector and segmenter of one product."""

    detector: Detector
    segmenter: Segmenter
    prompts: Prompts
    filtering: FilterParams

    def instances(
        self, image: UInt8[np.ndarray, "H W 3"], *, size: int, min_area: float
    ) -> UInt16[np.ndarray, "size size"]:
        """Find instances in one photograph, numbered 1.. ."""
        self.segmenter.look_at(image)
        found = self.detector(image)
        first_ground = len(self.prompts.objects)
        named_boxes = found.boxes[found.classes < first_ground]
        if self.prompts.masks == "grounded":
            return paint(self.segmenter.in_boxes(named_boxes), size=size, min_area=min_area)
        grounds = self.segmenter.in_boxes(found.boxes[found.classes >= first_ground])
        inside = self.prompts.masks == "automatic_inside_grounded"
        parts = filter_masks(
            split_regions(self.segmenter.everywhere()),
            named=self.segmenter.in_boxes(named_boxes) if inside else None,
            grounds=joined([self.segmenter.ground(), grounds.union()]),
            min_inside=self.filtering.min_inside,
            max_ground=self.filtering.max_ground,
            max_covered=self.filtering.max_covered,
            min_area=min_area,
        )
        return paint(parts, size=size, min_area=min_area)


def build_finder(weights: WeightFiles, prompts: Prompts, params: FoundationParams, *, device: torch.device) -> Finder:
    """Load GroundingDINO and SAM."""
    network = load_grounding_dino(weights.path("grounding_dino"), weights.path("text_config").parent)
    detector = Detector(
        network,
        [*prompts.objects, *prompts.background],
        box_threshold=prompts.box_threshold,
        text_threshold=prompts.text_threshold,
        device=device,
    )
    segmenter = Segmenter(load_sam(weights.path(f"sam_{params.sam}")), params.segmenter, device=device)
    return Finder(detector, segmenter, prompts, params.filter)
