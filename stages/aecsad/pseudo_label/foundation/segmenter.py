"""SAM: masks in boxes, masks everywhere, and the mask of the ground, from one pass of the image encoder.

Built by `segment-anything` with the published weights of any of its sizes.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from pycocotools import mask as coco
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.utils.amg import MaskData, remove_small_regions
from torch import Tensor
from torchvision.ops import nms

from stages.aecsad.pseudo_label.foundation.masks import Masks, decode, encode
from stages.aecsad.pseudo_label.foundation.weights import count_blocks, load_strictly, read_state, shape_of
from stages.aecsad.pseudo_label.params import SegmenterParams

BOXES_AT_ONCE = 16  # their masks at the image's size are float32 for a moment: 8 MB each at 1600 x 1280
CORNER = 10  # pixels from the border, as in CSAD
LOG = logging.getLogger(__name__)
PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
BLOCKS, DECODER_HEADS = "image_encoder.blocks", 8


@dataclass(frozen=True)
class KeptImage:
    """An image and what the encoder makes of it."""

    image: UInt8[np.ndarray, "H W 3"]
    features: Float32[Tensor, "1 C h w"]
    input_size: tuple[int, int]


class SharedPredictor(SamPredictor):  # type: ignore[misc]
    """Encodes in float16 on a GPU, and remembers one image, so that encoding it again costs nothing."""

    def __init__(self, network: Sam) -> None:
        """Remember no image yet."""
        super().__init__(network)
        self.kept: KeptImage | None = None

    def keep(self, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Encode an image and remember it in place of the one before."""
        self.kept = None
        super().set_image(image)
        self.kept = KeptImage(image, self.features, self.input_size)

    def set_image(self, image: UInt8[np.ndarray, "H W 3"], image_format: str = "RGB") -> None:
        """Do as the base class does, but without encoding for the remembered image (or a view of all of it)."""
        if self.kept is None or not same_pixels(image, self.kept.image):
            super().set_image(image, image_format)
            return
        self.original_size, self.input_size = image.shape[:2], self.kept.input_size
        self.features, self.is_image_set = self.kept.features, True

    def set_torch_image(self, transformed_image: Tensor, original_image_size: tuple[int, ...]) -> None:
        """Run the encoder under autocast; prompts and decoder need float32 and get it."""
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            super().set_torch_image(transformed_image, original_image_size)
        self.features = self.features.float()


class MaskGenerator(SamAutomaticMaskGenerator):  # type: ignore[misc]
    """The package's generator, repaired: it fails where it looks at crops and no mask in them is good enough."""

    def _process_crop(self, *arguments: Any) -> MaskData:
        data = super()._process_crop(*arguments)
        data["crop_boxes"] = data["crop_boxes"].reshape(-1, 4)  # without masks it has the shape (0,)
        return data


def same_pixels(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two arrays are the same memory with the same layout."""
    return (
        one.shape == other.shape
        and one.strides == other.strides
        and one.__array_interface__["data"] == other.__array_interface__["data"]
    )


class Segmenter:
    """SAM for one image after another."""

    def __init__(self, network: Sam, params: SegmenterParams, *, device: torch.device) -> None:
        """Put the network onto the device and set up the package's generator."""
        self.predictor = SharedPredictor(network.to(device))
        self.max_box_iou, self.min_region = params.max_box_iou, params.min_region
        self.generator = MaskGenerator(
            network,
            points_per_side=params.points_per_side,
            points_per_batch=params.points_at_once,
            pred_iou_thresh=params.min_predicted_iou,
            stability_score_thresh=params.min_stability,
            box_nms_thresh=params.max_box_iou,
            crop_n_layers=params.crop_layers,
            crop_nms_thresh=params.max_box_iou,
            output_mode="coco_rle",
        )
        self.generator.predictor = self.predictor

    def look_at(self, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Encode the image that the next calls are about."""
        self.predictor.keep(image)

    @property
    def image(self) -> UInt8[np.ndarray, "H W 3"]:
        """The image that the calls are about.

        Raises:
            ValueError: `look_at` was not called.
        """
        if self.predictor.kept is None:
            raise ValueError("look_at(image) comes first")
        return self.predictor.kept.image

    @torch.no_grad()
    def in_boxes(self, boxes: Float32[np.ndarray, "N 4"]) -> Masks:
        """Return one mask for each box (x1, y1, x2, y2 in pixels); boxes without any pixel have none."""
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
        """Return the mask of what is in the image's corners: eight points of one prompt, as in CSAD."""
        height, width = self.image.shape[:2]
        self.predictor.set_image(self.image)
        inner = [(x, y) for x in (CORNER, width - CORNER) for y in (CORNER, height - CORNER)]
        outer = [(x, y) for x in (0, width) for y in (0, height)]
        points = np.array(inner + outer)
        masks, _, _ = self.predictor.predict(points, np.ones(len(points)), multimask_output=False)
        return encode(masks, height=height, width=width)

    def everywhere(self) -> Masks:
        """Return automatic masks, cleaned of specks; of masks that become the same the untouched one is kept."""
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
    """Suppress all but the best of masks whose boxes overlap."""
    if not len(masks):
        return masks
    corner = np.asarray(coco.toBbox(list(masks.runs)))
    boxes = np.concatenate([corner[:, :2], corner[:, :2] + corner[:, 2:] - 1], axis=1)
    kept = nms(torch.from_numpy(boxes).float(), torch.from_numpy(scores).float(), max_box_iou)
    return masks.only(kept.tolist())


def load_sam(path: Path) -> Sam:
    """Load SAM in eval mode on the CPU; the checkpoint's shapes distinguish ViT-B, L and H.

    Raises:
        UserError: the file is not a SAM checkpoint (SAM-HQ is another network), or lacks or adds a tensor.
    """
    state = read_state(path)
    encoder = encoder_sizes(path, state)
    channels, grid = encoder["out_chans"], encoder["img_size"] // encoder["patch_size"]
    network = Sam(
        image_encoder=ImageEncoderViT(
            **encoder, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), qkv_bias=True, use_rel_pos=True
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=channels,
            image_embedding_size=(grid, grid),
            input_image_size=(encoder["img_size"], encoder["img_size"]),
            mask_in_chans=shape_of(path, state, "prompt_encoder.mask_downscaling.3.weight")[0],
        ),
        mask_decoder=build_decoder(path, state, channels),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )
    load_strictly(path, network, state)
    LOG.info("%s: %d tensors loaded", path.name, len(state))
    return network


def encoder_sizes(path: Path, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the image encoder's constructor arguments; a global block's relative positions span the grid."""
    width, _, patch, _ = shape_of(path, state, "image_encoder.patch_embed.proj.weight")
    grid = shape_of(path, state, "image_encoder.pos_embed")[1]
    depth = count_blocks(state, f"{BLOCKS}.")
    spans = [shape_of(path, state, f"{BLOCKS}.{i}.attn.rel_pos_h") for i in range(depth)]
    windows = [(length + 1) // 2 for length, _ in spans]
    return {
        "img_size": grid * patch,
        "patch_size": patch,
        "embed_dim": width,
        "depth": depth,
        "num_heads": width // spans[0][1],
        "mlp_ratio": shape_of(path, state, f"{BLOCKS}.0.mlp.lin1.weight")[0] / width,
        "out_chans": shape_of(path, state, "image_encoder.neck.0.weight")[0],
        "window_size": min(windows),
        "global_attn_indexes": tuple(i for i, window in enumerate(windows) if window == grid),
    }


def build_decoder(path: Path, state: Mapping[str, Tensor], channels: int) -> MaskDecoder:
    """Build the mask decoder, its sizes as the checkpoint's shapes imply them."""
    layers = "mask_decoder.transformer.layers"
    return MaskDecoder(
        num_multimask_outputs=shape_of(path, state, "mask_decoder.mask_tokens.weight")[0] - 1,
        transformer=TwoWayTransformer(
            depth=count_blocks(state, f"{layers}."),
            embedding_dim=channels,
            mlp_dim=shape_of(path, state, f"{layers}.0.mlp.lin1.weight")[0],
            num_heads=DECODER_HEADS,
        ),
        transformer_dim=channels,
        iou_head_depth=count_blocks(state, "mask_decoder.iou_prediction_head.layers."),
        iou_head_hidden_dim=shape_of(path, state, "mask_decoder.iou_prediction_head.layers.0.weight")[0],
    )
