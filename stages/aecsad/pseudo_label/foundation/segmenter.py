"""SAM: masks in boxes, masks everywhere, and the mask of the ground, from one pass of the image encoder."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from pycocotools import mask as coco
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import MaskData, remove_small_regions
from torch import Tensor
from torchvision.ops import nms

from stages.aecsad.pseudo_label.foundation.masks import Masks, decode, encode

BOXES_AT_ONCE = 16  # their masks at the image's size are float32 for a moment: 8 MB each at 1600 x 1280
CORNER = 10  # pixels from the border, as in CSAD


@dataclass(frozen=True)
class KeptImage:
    """An image and what the encoder makes of it."""

    image: UInt8[np.ndarray, "H W 3"]
    features: Float32[Tensor, "1 C h w"]
    input_size: tuple[int, int]


class SharedPredictor(SamPredictor):  # type: ignore[misc]
    """Encodes in float16 on a GPU, and remembers one image, so that encoding it again costs nothing."""

    def __init__(self, network: Sam) -> None:
        super().__init__(network)
        self.kept: KeptImage | None = None

    def keep(self, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Encode an image and remember it in place of the one before."""
        self.kept = None
        super().set_image(image)
        self.kept = KeptImage(image, self.features, self.input_size)

    def set_image(self, image: UInt8[np.ndarray, "H W 3"], image_format: str = "RGB") -> None:
        """As the base class, but for the remembered image (or a view of all of it) without encoding."""
        if self.kept is None or not same_pixels(image, self.kept.image):
            super().set_image(image, image_format)
            return
        self.original_size, self.input_size = image.shape[:2], self.kept.input_size
        self.features, self.is_image_set = self.kept.features, True

    def set_torch_image(self, transformed_image: Tensor, original_image_size: tuple[int, ...]) -> None:
        """The encoder under autocast; prompts and decoder need float32 and get it."""
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            super().set_torch_image(transformed_image, original_image_size)
        self.features = self.features.float()


class MaskGenerator(SamAutomaticMaskGenerator):  # type: ignore[misc]
    """The package's generator, which fails where it looks at crops and no mask in any of them is good enough."""

    def _process_crop(self, *arguments: Any) -> MaskData:
        data = super()._process_crop(*arguments)
        data["crop_boxes"] = data["crop_boxes"].reshape(-1, 4)  # without masks it has the shape (0,)
        return data


def same_pixels(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays are the same memory with the same layout."""
    return (
        one.shape == other.shape
        and one.strides == other.strides
        and one.__array_interface__["data"] == other.__array_interface__["data"]
    )


class Segmenter:
    """SAM for one image after another."""

    def __init__(
        self,
        network: Sam,
        *,
        points_per_side: int,
        points_at_once: int,
        min_predicted_iou: float,
        min_stability: float,
        max_box_iou: float,
        crop_layers: int,
        min_region: int,
        device: torch.device,
    ) -> None:
        """
        Args:
            points_per_side: of the grid of point prompts for automatic masks.
            points_at_once: three masks each, in float32 at the image's size: 16 take 0.4 GB at 1600 x 1280, and about
                three times that for a moment.
            min_predicted_iou, min_stability: lowest quality by SAM's own judgement.
            max_box_iou: of two masks whose boxes overlap more, the better stays.
            crop_layers: 1 also looks at four overlapping crops, which takes four more passes of the encoder.
            min_region: holes and islands of fewer pixels are filled and removed.
        """
        self.predictor = SharedPredictor(network.to(device))
        self.max_box_iou, self.min_region = max_box_iou, min_region
        self.generator = MaskGenerator(
            network,
            points_per_side=points_per_side,
            points_per_batch=points_at_once,
            pred_iou_thresh=min_predicted_iou,
            stability_score_thresh=min_stability,
            box_nms_thresh=max_box_iou,
            crop_n_layers=crop_layers,
            crop_nms_thresh=max_box_iou,
            output_mode="coco_rle",
        )
        self.generator.predictor = self.predictor

    def look_at(self, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Encode the image that the next calls are about."""
        self.predictor.keep(image)

    @property
    def image(self) -> UInt8[np.ndarray, "H W 3"]:
        """
        Raises:
            ValueError: `look_at` was not called.
        """
        if self.predictor.kept is None:
            raise ValueError("look_at(image) comes first")
        return self.predictor.kept.image

    @torch.no_grad()
    def in_boxes(self, boxes: Float32[np.ndarray, "N 4"]) -> Masks:
        """One mask a box (x1, y1, x2, y2 in pixels); boxes without any pixel give none."""
        height, width = self.image.shape[:2]
        self.predictor.set_image(self.image)
        found: list[Any] = []
        for start in range(0, len(boxes), BOXES_AT_ONCE):
            corners = torch.as_tensor(boxes[start : start + BOXES_AT_ONCE], device=self.predictor.device)
            prompts = self.predictor.transform.apply_boxes_torch(corners, (height, width))
            masks, _, _ = self.predictor.predict_torch(None, None, boxes=prompts, multimask_output=False)
            found += encode(masks[:, 0].cpu().numpy(), height=height, width=width).runs
        return Masks(height, width, tuple(found))

    def ground(self) -> Masks:
        """The mask of what lies in the image's corners: eight points of one prompt, as in CSAD."""
        height, width = self.image.shape[:2]
        self.predictor.set_image(self.image)
        inner = [(x, y) for x in (CORNER, width - CORNER) for y in (CORNER, height - CORNER)]
        outer = [(x, y) for x in (0, width) for y in (0, height)]
        points = np.array(inner + outer)
        masks, _, _ = self.predictor.predict(points, np.ones(len(points)), multimask_output=False)
        return encode(masks, height=height, width=width)

    def everywhere(self) -> Masks:
        """Automatic masks, cleaned of specks; of masks that become alike the untouched one stays; there may be none."""
        height, width = self.image.shape[:2]
        records = self.generator.generate(self.image)
        cleaned: list[Any] = []
        untouched = []
        for record in records:
            mask, filled = remove_small_regions(decode(record["segmentation"]), self.min_region, "holes")
            mask, removed = remove_small_regions(mask, self.min_region, "islands")
            if mask.any():
                cleaned += encode([mask], height=height, width=width).runs
                untouched.append(float(not filled and not removed))
        return without_doubles(Masks(height, width, tuple(cleaned)), np.array(untouched), max_box_iou=self.max_box_iou)


def without_doubles(masks: Masks, scores: np.ndarray, *, max_box_iou: float) -> Masks:
    """Non-maximum suppression by the masks' boxes."""
    if not len(masks):
        return masks
    corner = np.asarray(coco.toBbox(list(masks.runs)))
    boxes = np.concatenate([corner[:, :2], corner[:, :2] + corner[:, 2:] - 1], axis=1)
    kept = nms(torch.from_numpy(boxes).float(), torch.from_numpy(scores).float(), max_box_iou)
    return masks.only(kept.tolist())
