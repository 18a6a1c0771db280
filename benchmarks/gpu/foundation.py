"""RAM++, GroundingDINO and SAM at their published sizes: each runs its encoder in float16 on a GPU.

With random weights no mask is good and no box is sure, so thresholds are loosened where something is to be found.
"""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from benchmarks.gpu.foundation_networks import ram_config, random_dino, random_ram, random_sam, write_text_folder
from benchmarks.gpu.inputs import draw, section_of
from benchmarks.gpu.measure import Check, Fault, Outcome, Setting, agree, median_of
from stages.aecsad.pseudo_label.foundation import detection
from stages.aecsad.pseudo_label.foundation.detection import Detector, detection_input
from stages.aecsad.pseudo_label.foundation.finder import Finder
from stages.aecsad.pseudo_label.foundation.grounding_dino import quietly
from stages.aecsad.pseudo_label.foundation.prompts import Prompts
from stages.aecsad.pseudo_label.foundation.segmenter import Segmenter
from stages.aecsad.pseudo_label.foundation.tags import Tagger, TagList, tagging_input
from stages.aecsad.pseudo_label.params import PseudoLabelParams

HALF = 5e-2  # tolerance of float16 against float32, as a share of the largest value
OBJECTS, GROUNDS = ("screw", "pin", "zip lock bag"), ("table",)
LOOSE = {"min_predicted_iou": -1e4, "min_stability": 0.0, "points_per_side": 4, "crop_layers": 0}


def checks(setting: Setting) -> list[Check]:
    """List the checks of the three networks, and of all together for one image."""
    return [
        Check("RAM++: tags, float16 = float32", check_tags),
        Check("GroundingDINO: boxes in float16", at_small_input(check_boxes)),
        Check("GroundingDINO: boxes in float32", at_small_input(check_plain_boxes)),
        Check("SAM: image encoder, float16 = float32", check_encoder),
        Check("SAM: masks in 20 boxes and of the ground", check_prompted),
        Check("SAM: masks everywhere, published points and crops", check_everywhere),
        Check("proposer foundation: one image", at_small_input(check_finder)),
    ]


def photograph(setting: Setting) -> UInt8[np.ndarray, "H W 3"]:
    """Return a picture of the size of MVTec LOCO's: 1600 x 1280 pixels."""
    side = 96 if setting.small else 1600
    return np.ascontiguousarray(draw(0, side)[0][: side * 4 // 5])


def at_small_input(check: Callable[[Setting], Outcome]) -> Callable[[Setting], Outcome]:
    """Return the check with a detector that sees the picture at 96 instead of 800 pixels in small mode."""

    def run(setting: Setting) -> Outcome:
        short, long = (96, 160) if setting.small else (detection.SHORT_SIDE, detection.LONG_SIDE)
        with patch.multiple(detection, SHORT_SIDE=short, LONG_SIDE=long):
            return check(setting)

    return run


def autocast(setting: Setting, *, half: bool) -> torch.autocast:
    """Return what the stages run these networks in, or an outer context for comparison."""
    return torch.autocast(setting.device.type, torch.float16, enabled=half and setting.device.type == "cuda")


def check_tags(setting: Setting) -> Outcome:
    """Compare all logits of RAM++ in both precisions, and time the tagger on one photograph."""
    config, image = ram_config(small=setting.small), photograph(setting)
    names = TagList(tuple(map(str, range(config.tags))), np.full(config.tags, 0.5, dtype=np.float32))
    tagger = Tagger(random_ram(config), names, device=setting.device)
    pixels = tagging_input(image, size=config.image_size)[None].to(setting.device)
    with autocast(setting, half=True):
        half = tagger.network(pixels)
    full = tagger.network(pixels)
    note = agree(half, full, tolerance=HALF)
    found = tagger(image, near=1.0)
    if len(found) != config.tags:
        raise Fault(f"{len(found)} of {config.tags} tags are above probability -0.5")
    return Outcome([half, full], median_of(lambda: tagger(image), setting, repeats=10), "image", note)


def detector_of(setting: Setting, *, box_threshold: float) -> Detector:
    """Build GroundingDINO for our words."""
    words = [*OBJECTS, *GROUNDS]
    network = random_dino(write_text_folder(Path("text"), words), small=setting.small)
    return Detector(network, words, box_threshold=box_threshold, text_threshold=0.0, device=setting.device)


def check_boxes(setting: Setting) -> Outcome:
    """Find boxes in one photograph; which queries are taken depends on ties, so that precisions are not compared."""
    detector, image = detector_of(setting, box_threshold=0.0), photograph(setting)
    found = detector(image)
    seconds = median_of(lambda: detector(image), setting, repeats=5)
    values = [torch.from_numpy(found.boxes), torch.from_numpy(found.scores)]
    return Outcome(values, seconds, "image", f"{len(found.boxes)} boxes")


def check_plain_boxes(setting: Setting) -> Outcome:
    """Run the network in float32: probabilities and boxes as it returns them."""
    detector, pixels = detector_of(setting, box_threshold=0.0), detection_input(photograph(setting))

    @torch.no_grad()
    def ask() -> dict[str, Tensor]:
        with quietly():
            answer: dict[str, Tensor] = detector.network(
                pixels[None].to(setting.device), captions=[detector.captions[0].text]
            )
        return answer

    answer = ask()
    values = [answer["pred_logits"].sigmoid(), answer["pred_boxes"]]
    return Outcome(values, median_of(ask, setting, repeats=5), "image", f"{values[1].shape[1]} boxes")


def segmenter_of(setting: Setting, *, loose: bool) -> Segmenter:
    """Build SAM's segmenter with the published settings, or with loose ones that keep whatever is found."""
    loose = loose or setting.small
    loosened = {f"foundation.segmenter.{name}": value for name, value in LOOSE.items()} if loose else {}
    params = section_of(PseudoLabelParams, "aecsad.pseudo_label", profile="paper", changes=loosened)
    return Segmenter(random_sam(small=setting.small), params.foundation.segmenter, device=setting.device)


def check_encoder(setting: Setting) -> Outcome:
    """Compare the embedding of one photograph in both precisions, and time the pass in float16."""
    segmenter, image = segmenter_of(setting, loose=False), photograph(setting)
    segmenter.look_at(image)
    half = features_of(segmenter)
    with torch.no_grad():
        sam = segmenter.predictor.model
        pixels = segmenter.predictor.transform.apply_image(image)
        prepared = torch.as_tensor(pixels, device=setting.device).permute(2, 0, 1)[None].contiguous()
        full = sam.image_encoder(sam.preprocess(prepared))
    note = agree(half, full, tolerance=HALF)
    return Outcome([half, full], median_of(lambda: segmenter.look_at(image), setting, repeats=5), "image", note)


def features_of(segmenter: Segmenter) -> Tensor:
    """Return the embedding of the image that the segmenter looks at."""
    kept = segmenter.predictor.kept
    assert kept is not None
    return kept.features


def check_prompted(setting: Setting) -> Outcome:
    """Ask for masks in boxes, more than fit into one pass of the decoder, and for the ground."""
    segmenter, image = segmenter_of(setting, loose=True), photograph(setting)
    segmenter.look_at(image)
    height, width = image.shape[:2]
    corners = np.random.default_rng(0).uniform(0, 0.4, (20, 4)) + (0, 0, 0.5, 0.5)
    boxes = (corners * (width, height, width, height)).astype(np.float32)
    masks, ground = segmenter.in_boxes(boxes), segmenter.ground()
    if len(masks) != len(boxes) or len(ground) != 1:
        raise Fault(f"{len(masks)} masks for {len(boxes)} boxes, {len(ground)} of the ground")
    seconds = median_of(lambda: (segmenter.in_boxes(boxes), segmenter.ground()), setting, repeats=3)
    return Outcome([torch.from_numpy(masks.areas).double()], seconds, "image", "without the encoder's pass")


def check_everywhere(setting: Setting) -> Outcome:
    """Ask for masks everywhere; at published thresholds random weights keep few or none, and time what leads there."""
    segmenter, image = segmenter_of(setting, loose=False), photograph(setting)
    segmenter.look_at(image)
    seconds = median_of(segmenter.everywhere, setting, repeats=1)
    return Outcome([features_of(segmenter)], seconds, "image", f"{len(segmenter.everywhere())} masks are kept")


def check_finder(setting: Setting) -> Outcome:
    """Run the whole proposer on one photograph: detector, masks in boxes, ground, masks everywhere and their filter."""
    params = section_of(PseudoLabelParams, "aecsad.pseudo_label", profile="paper")
    prompts = Prompts(
        objects=OBJECTS, background=GROUNDS, box_threshold=0.4, text_threshold=0.25, masks="automatic_inside_grounded"
    )
    detector = detector_of(setting, box_threshold=prompts.box_threshold)
    finder = Finder(detector, segmenter_of(setting, loose=True), prompts, params.foundation.filter)
    image = photograph(setting)
    found = finder.instances(image, size=256, min_area=params.min_area)
    seconds = median_of(lambda: finder.instances(image, size=256, min_area=params.min_area), setting, repeats=1)
    return Outcome([torch.from_numpy(found.astype(np.float32))], seconds, "image", f"{int(found.max())} instances")
