"""Find and read a CLIP's weights; never random ones in their place."""

import hashlib
import pickle
import warnings
import zipfile
from pathlib import Path

import open_clip
import torch
from huggingface_hub import try_to_load_from_cache
from open_clip.factory import load_state_dict
from open_clip.pretrained import download_pretrained
from safetensors import SafetensorError
from torch import Tensor

from stages.core.clip.params import FileWeights, PublishedWeights
from stages.core.running.errors import UserError

OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")  # numbers that its archives hold beside weights
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
READING_ERRORS = (
    OSError, EOFError, RuntimeError, ValueError, AttributeError, StopIteration, SafetensorError, pickle.UnpicklingError,
)  # fmt: skip
RELEASE_CACHE = Path("~/.cache/clip")  # where open_clip keeps what it downloads from URLs


def weights_file(architecture: str, weights: PublishedWeights | FileWeights) -> Path:
    """The weights' file on this machine; downloaded where params allow it.

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
            f"the weights {weights.tag} of {architecture} could not be fetched from {place(weights, source)} "
            f"({type(error).__name__}: {error}): fetch the file elsewhere and name it as clip.weights: {{file: ..., "
            "sha256: null}"
        ) from None


def checked_file(weights: FileWeights) -> Path:
    """The named file, if it is there and has the stated content."""
    if not weights.file.is_file():
        raise UserError(f"{weights.file} (clip.weights.file) does not exist: correct the path in the active profile")
    if weights.sha256 is not None:
        with weights.file.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != weights.sha256:
            raise UserError(f"{weights.file}: has sha256 {found}, the profile says {weights.sha256}: fetch it again")
    return weights.file


def fetched_file(architecture: str, weights: PublishedWeights, source: dict[str, str]) -> Path:
    """The file in the cache of the hub or of open_clip.

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


def place(weights: PublishedWeights, source: dict[str, str]) -> str:
    return source["hf_hub"] if weights.source == "hub" else source["url"]


def read_state(path: Path) -> dict[str, Tensor]:
    """The weights by open_clip's names, in float32 on the CPU.

    OpenAI's files are TorchScript archives, which hold code besides tensors. Only the tensors are kept, but loading an
    archive can run code of it: take one from a place you trust and state its sha256. Everything else must be
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
    """Whether the file is a zip archive with code: torch.save writes zip archives, too, but without."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())
