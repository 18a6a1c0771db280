"""Build a frozen CLIP from params."""

import logging
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, resize_pos_embed
from torch import Tensor

from stages.core.clip.encoder import ClipEncoder
from stages.core.clip.params import Architecture, ClipParams, RandomWeights
from stages.core.clip.weights import read_state, weights_file
from stages.core.running.errors import UserError

LOG = logging.getLogger(__name__)


def load_encoder(params: ClipParams) -> ClipEncoder:
    """The CLIP of the params with its weights, frozen, in eval mode, on the CPU.

    Raises:
        UserError: the architecture is unknown or no CLIP, the image is smaller than a patch, or the weights cannot be
            had or do not fit.
    """
    if isinstance(params.weights, RandomWeights):
        LOG.warning("CLIP has random weights (clip.weights.random_seed): fit for tests only")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.weights.random_seed)
            return ClipEncoder(build_clip(params))
    if isinstance(params.architecture, Architecture) and not hasattr(params.weights, "file"):
        raise UserError("profile: clip.architecture: published weights need a name of open_clip's, not measures")
    clip = build_clip(params)
    path = weights_file(str(params.architecture), params.weights)
    try:
        load_state(clip, read_state(path))
    except RuntimeError as error:
        raise UserError(
            f"{path}: are not the weights of {params.architecture}: {' '.join(str(error).split())}"
        ) from None
    return ClipEncoder(clip)


def build_clip(params: ClipParams) -> CLIP:
    """The untrained network.

    Raises:
        UserError: see `load_encoder`.
    """
    chosen = params.architecture
    if isinstance(chosen, Architecture):
        vision = CLIPVisionCfg(image_size=params.image_size, **chosen.vision.model_dump())
        text = CLIPTextCfg(**chosen.text.model_dump())
        patch, embed_dim = chosen.vision.patch_size, chosen.embed_dim
    else:
        config = named_config(chosen)
        vision = CLIPVisionCfg(**{**config["vision_cfg"], "image_size": params.image_size})
        text = CLIPTextCfg(**config["text_cfg"])
        patch, embed_dim = vision.patch_size, config["embed_dim"]
    if params.image_size < patch:
        raise UserError(f"profile: clip.image_size: {params.image_size} is less than one patch of {patch} pixels")
    if params.image_size % patch:
        LOG.info("%d pixels are no multiple of %d: the last %d of each row and column are not seen",
                 params.image_size, patch, params.image_size % patch)  # fmt: skip
    return CLIP(embed_dim, vision, text, quick_gelu=params.quick_gelu)


def named_config(name: str) -> dict[str, Any]:
    """open_clip's measures of a CLIP that is made of its own two transformers.

    Raises:
        UserError: open_clip does not know the name, or it stands for another network: a ResNet, a tower of timm or of
            Hugging Face, a captioner.
    """
    config: dict[str, Any] | None = open_clip.get_model_config(name)
    if config is None or set(config) - {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}:
        raise UserError(f"profile: clip.architecture: open_clip {open_clip.__version__} has no CLIP {name!r}")
    vision = config["vision_cfg"]
    own = all(isinstance(vision.get(measure), int) for measure in ("layers", "patch_size"))
    foreign = [key for key in (*vision, *config["text_cfg"]) if key.startswith(("timm_", "hf_"))]
    if not own or foreign:
        raise UserError(
            f"profile: clip.architecture: {name!r} is no vision transformer with CLIP's own text transformer: take one "
            "like ViT-B-16 or ViT-L-14-336"
        )
    return config


def load_state(clip: CLIP, state: dict[str, Tensor]) -> None:
    """Load weights strictly; the positional embedding is resized to the network's grid, bicubic with antialiasing.

    Raises:
        RuntimeError: a tensor is missing, unknown or of another shape.
    """
    state = dict(state)
    state.setdefault("logit_scale", clip.logit_scale.detach())  # not used here, and InCTRL's files have none
    resize_pos_embed(state, clip)
    clip.load_state_dict(state, strict=True)
