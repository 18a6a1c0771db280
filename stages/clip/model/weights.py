"""Build a frozen CLIP from params: find, read and load its weights; random ones never take their place."""

import hashlib
import logging
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import open_clip
import torch
from huggingface_hub import try_to_load_from_cache
from open_clip.factory import load_state_dict
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, resize_pos_embed
from open_clip.pretrained import download_pretrained
from safetensors import SafetensorError
from torch import Tensor

from stages.clip.model.encoder import ClipEncoder
from stages.clip.model.params import Architecture, ClipParams, FileWeights, PublishedWeights, RandomWeights
from stages.core.run.errors import UserError

OPENAI_EXTRAS = (
    "input_resolution",
    "context_length",
    "vocab_size",
)  # numbers in its archives
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
READING_ERRORS = (
    OSError, EOFError, RuntimeError, ValueError, AttributeError, StopIteration, SafetensorError, pickle.UnpicklingError,
)  # fmt: skip
RELEASE_CACHE = Path("~/.cache/clip")  # where open_clip keeps what it downloads from URLs
LOG = logging.getLogger(__name__)


def weights_file(architecture: str, weights: PublishedWeights | FileWeights) -> Path:
    """Return the weights' file on this machine; downloaded where params allow it.

    Raises:
        UserError: there is no such file and it may not or cannot be fetched, its sha256 differs, or open_clip does not
            know the tag.
    """
    if isinstance(weights, FileWeights):
        return checked_file(weights)
    source = open_clip.get_pretrained_cfg(architecture, weights.tag)
    if not source:
        known = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise UserError(f"profile: clip.weights.tag: {architecture} has no weights {weights.tag!r}; known: {known}")
    if weights.offline:
        return fetched_file(architecture, weights, source)
    try:
        return Path(download_pretrained(source, prefer_hf_hub=weights.source == "hub"))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the weights {weights.tag} of {architecture} could not be fetched from {address(weights, source)} "
            f"({type(error).__name__}: {error}): fetch the file elsewhere and name it as clip.weights: {{file: ..., "
            "sha256: null}"
        ) from None


def checked_file(weights: FileWeights) -> Path:
    """Return the named file.

    Raises:
        UserError: it is not there, or has another content than stated.
    """
    if not weights.file.is_file():
        raise UserError(f"{weights.file} (clip.weights.file) does not exist: correct the path in the active profile")
    if weights.sha256 is not None:
        with weights.file.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != weights.sha256:
            raise UserError(f"{weights.file}: has sha256 {found}, the profile names {weights.sha256}: fetch it again")
    return weights.file


def fetched_file(architecture: str, weights: PublishedWeights, source: dict[str, str]) -> Path:
    """Return the file in the cache of the hub or of open_clip.

    Raises:
        UserError: it was not fetched before.
    """
    if weights.source == "hub":
        repository = source["hf_hub"].rstrip("/")
        found = [try_to_load_from_cache(repository, name) for name in HUB_FILES]
        files = [Path(path) for path in found if isinstance(path, str)]
        command = f"`hf download {repository} {HUB_FILES[0]}`"
    else:
        file = RELEASE_CACHE.expanduser() / Path(source["url"]).name
        files = [file] if file.is_file() else []
        command = f"`curl -L --create-dirs -o {file} {source['url']}`"
    if not files:
        raise UserError(
            f"the weights {weights.tag} of {architecture} are not on this machine and clip.weights.offline is true: "
            f"fetch them with {command}, set `offline: false`, or name a file as clip.weights: {{file: ..., sha256: "
            "null}"
        )
    return files[0]


def address(weights: PublishedWeights, source: dict[str, str]) -> str:
    return source["hf_hub"] if weights.source == "hub" else source["url"]


def read_state(path: Path) -> dict[str, Tensor]:
    """Read weights by open_clip's names, in float32 on the CPU.

    OpenAI's files are TorchScript archives, which hold code and tensors. Only the tensors are kept, but loading an
    archive can run code of it: take one from a trustworthy place and state its sha256. Everything else must be
    safetensors or a plain state_dict, from which nothing is run.

    Raises:
        UserError: the file is of no known kind or damaged.
    """
    try:
        if is_torchscript(path):
            with warnings.catch_warnings():  # deprecated, but OpenAI's files come in no other form
                warnings.simplefilter("ignore", FutureWarning)
                state = torch.jit.load(path, map_location="cpu").state_dict()
        else:
            state = load_state_dict(str(path), weights_only=True)
        tensors = {name: value.float() for name, value in state.items() if name not in OPENAI_EXTRAS}
    except READING_ERRORS as error:
        first = str(error).partition("\n")[0]
        raise UserError(f"{path}: no readable CLIP weights ({first}): fetch the file again") from None
    return tensors


def is_torchscript(path: Path) -> bool:
    """Report whether the file is a zip archive with code: torch.save also writes zip archives, but without."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def load_encoder(params: ClipParams) -> ClipEncoder:
    """Build the CLIP of the params with its weights, frozen, in eval mode, on the CPU.

    Raises:
        UserError: the architecture is unknown or no CLIP, the image is smaller than a patch, or the weights are
            not available or do not fit.
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
    """Build the untrained network.

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
    """Return open_clip's measures of a CLIP that is made of its own two transformers.

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
