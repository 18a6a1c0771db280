"""From photographs and words to instance maps: tags, boxes, masks, filter; one image in memory at a time.

The proposer `foundation`, imported only where it is used: its packages are an extra.
"""

import gc
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
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
from stages.core.images.reading import read_image
from stages.core.run.console import progress
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
REVIEWED = "prompts of params.yaml, written by a person"
UNREVIEWED = "none: suggestions from RAM++'s tags, which nobody has reviewed"
PACKAGES = ("addict", "groundingdino", "pycocotools", "segment_anything", "tokenizers", "transformers", "yapf")
INSTALL = (
    "run `pip install -c constraints.txt -e '.[foundation]'` and "
    "`pip install --no-deps -c constraints.txt groundingdino-py`"
)


def propose_masks(
    files: Sequence[Path],
    manifest: Path,
    prompts: Prompts | None,
    params: FoundationParams,
    *,
    size: int,
    min_area: float,
) -> Proposal:
    """Instances in photographs of any size.

    Args:
        files: the training images.
        manifest: which weight files there are; all that are needed are verified before anything is computed.
        prompts: a person's words, or None to go by RAM++'s tags.
        size: side of the instance maps in pixels.
        min_area: smallest instance, as a share of the map.

    Raises:
        UserError: weights are missing or damaged, an image is unreadable, there are no words to go by, or a word of a
            person's is unknown to GroundingDINO.
    """
    weights = read_weight_files(manifest)
    require(weights, parts_of(sam=params.sam, tagged_images=params.tagged_images))
    if prompts is not None:
        check_words([*prompts.objects, *prompts.background], weights.path("text_config").parent)
    device = pick_device()
    report = propose_words(files, weights, prompts, params, device=device)
    finder = build_finder(weights, Prompts.model_validate(report.used), params, device=device)
    maps = [
        finder.instances(read_image(file), size=size, min_area=min_area)
        for file in progress(files, total=len(files), label="component masks")
    ]
    values = np.stack(maps) if maps else np.zeros((0, size, size), dtype=np.uint16)
    if not values.any():
        LOG.warning("no part was found in any image: look at `used` in tags.yaml and write other prompts")
    return Proposal(values, np.zeros((len(values), int(values.max(initial=0)) + 1), dtype=np.uint8), report)


def propose_words(
    files: Sequence[Path],
    weights: WeightFiles,
    prompts: Prompts | None,
    params: FoundationParams,
    *,
    device: torch.device,
) -> TagReport:
    """Tag some images, suggest words, and settle which words are used.

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
    """At most `count` files, spread over all."""
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
        """Instances in one photograph, numbered 1.. ."""
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
            min_area=min_area,
            **self.filtering.model_dump(),
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
    settings = params.segmenter.model_dump()
    segmenter = Segmenter(load_sam(weights.path(f"sam_{params.sam}")), **settings, device=device)
    return Finder(detector, segmenter, prompts, params.filter)


def propose_by_foundation(
    folder: Path,
    files: Sequence[str],
    manifest: Path,
    prompts: Prompts | None,
    params: FoundationParams,
    *,
    size: int,
    min_area: float,
) -> Proposal:
    """Parts by RAM++ (tags), GroundingDINO (boxes) and SAM (masks) at the images' own resolution.

    Args:
        folder, files: the training images.
        manifest: JSON list of the weight files.
        prompts: a person's words, or None to go by tags that nobody reviewed.
        size: side of the instance maps in pixels.
        min_area: smallest instance, as a fraction of the image.

    Raises:
        UserError: a package or a weight file is missing, and see `propose_masks`.
    """
    check_packages()
    pass

    return propose_masks([folder / name for name in files], manifest, prompts, params, size=size, min_area=min_area)


def check_packages() -> None:
    """Look for all packages at once: some are imported only when GroundingDINO is built, after minutes of tagging.

    Raises:
        UserError: one or more are not installed; all are named.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(f"the proposer `foundation` needs the package {', '.join(missing)}: {INSTALL}")
