"""Files of published weights: a manifest of what is needed and where from, fetching, checking and loading.

Checkpoints are read without unpickling code, and compared tensor by tensor with what a network needs.
"""

import json
import logging
import pickle
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from stages.core.io.fetch import fetch_file, sha256_of, without_secrets
from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.core.run.params import Params, validate

LOG = logging.getLogger(__name__)
COMMAND = "oddpart weights"
TAGGER_PARTS = ("ram_plus", "tag_list", "tag_thresholds")
DETECTOR_PARTS = ("grounding_dino", "text_config", "text_tokenizer", "text_tokenizer_config")


class WeightFile(Params):
    """One file.

    Attributes:
        file: its path below the folder of weights.
        size: for people.
        sha256: null where nobody has published it; the first fetch records that of what came.
    """

    file: str = Field(pattern=r"^[\w-][\w.-]*(/[\w-][\w.-]*)*$")
    url: str = Field(pattern="^https?://")
    size: str
    sha256: str | None = Field(pattern="^[0-9a-f]{64}$")
    licence: str


class WeightFiles(Params):
    """The manifest: files by the part they play, below one folder."""

    folder: str
    files: dict[str, WeightFile]

    def path(self, part: str) -> Path:
        """Return where a part's file is or should be."""
        return Path(self.folder) / self.files[part].file


def read_weight_files(path: Path) -> WeightFiles:
    """Read and validate the manifest.

    Raises:
        UserError: it is missing, not JSON, or a key is missing, unknown or of the wrong kind.
    """
    try:
        return validate(WeightFiles, json.loads(path.read_text(encoding="utf-8")), file=path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: take it from the repository") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON file: {error}") from None


def parts_of(*, sam: str, tagged_images: int) -> list[str]:
    """Name the parts that the proposer needs: those of RAM++ only where it tags images, and SAM of one size."""
    return [*(TAGGER_PARTS if tagged_images else ()), *DETECTOR_PARTS, f"sam_{sam}"]


def problem_of(manifest: WeightFiles, part: str) -> str | None:
    """Return what is wrong with a part's file; None where it is there with the sha256 of the manifest."""
    entry, path = manifest.files[part], manifest.path(part)
    if not path.is_file():
        known = f"{entry.size}, sha256 {entry.sha256 or 'not yet recorded'}"
        return f"{path} is missing ({known}, from {without_secrets(entry.url)})"
    if entry.sha256 is None:
        return f"{path} is there, but the manifest has no sha256 to compare it with"
    found = sha256_of(path)
    return None if found == entry.sha256 else f"{path} has the sha256 {found}, the manifest names {entry.sha256}"


def require(manifest: WeightFiles, parts: Iterable[str]) -> None:
    """Check all files before anything is computed.

    Raises:
        UserError: one or more are missing, damaged or unknown; all are listed, with the command that fetches them.
    """
    parts = list(parts)
    if unknown := [part for part in parts if part not in manifest.files]:
        raise UserError(f"the manifest of weights has no entry {unknown[0]}; it has {', '.join(manifest.files)}")
    problems = {part: problem for part in parts if (problem := problem_of(manifest, part))}
    if problems:
        fetch = f"{COMMAND} --fetch --parts {' '.join(problems)}"
        listed = "".join(f"\n- {problem}" for problem in problems.values())
        raise UserError(f"{len(problems)} weight files are not ready: run `{fetch}`{listed}")


def obtain(manifest: WeightFiles, part: str, *, mirror: Path | None) -> str:
    """Fetch a part's file from its address, or copy it from a folder of the same layout or of the bare names.

    Returns:
        The sha256 of the file, now in place.

    Raises:
        UserError: it is not available, or is not what the manifest names.
    """
    entry, target = manifest.files[part], manifest.path(part)
    LOG.info("%s: licence %s", entry.file, entry.licence)
    if mirror is None:
        return fetch_file(entry.url, target, sha256=entry.sha256, about=f"{entry.file} ({entry.size})")
    candidates = [mirror / entry.file, mirror / Path(entry.file).name]
    source = next((path for path in candidates if path.is_file()), None)
    if source is None:
        raise UserError(f"{candidates[0]} does not exist: put the file into the mirror, or omit --mirror")
    with replacing_file(target) as temporary:
        shutil.copyfile(source, temporary)
        found = sha256_of(temporary)
        if entry.sha256 not in (None, found):
            raise UserError(f"{source} has the sha256 {found}, the manifest names {entry.sha256}: replace it")
    return found


def record(path: Path, manifest: WeightFiles, found: dict[str, str]) -> None:
    """Write sha256 values into the manifest where it had none; others never change."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for part, sha256 in found.items():
        if manifest.files[part].sha256 is None:
            content["files"][part]["sha256"] = sha256
            LOG.warning("%s: recorded the sha256 of %s as it came: %s", path, manifest.files[part].file, sha256)
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors under "model", or the whole file where it is flat; mapped into memory, not read at once.

    Raises:
        UserError: the file is missing, damaged, or would need more than tensors to be unpickled.
    """
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: holds more than tensors or is damaged ({str(error).splitlines()[0]}): fetch it again; if its "
            "sha256 is right, save its tensors alone: torch.save({'model': state_dict}, path)"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"{path}: no readable checkpoint ({error}): fetch it again") from None
    state = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: no state_dict, neither under 'model' nor at the top: fetch the published file")
    return dict(state)


def shape_of(path: Path, state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    """Return the shape of a tensor from which the network's architecture follows.

    Raises:
        UserError: the file has no such tensor.
    """
    if name not in state:
        raise UserError(f"{path}: not the checkpoint that is expected: {name} is missing")
    return tuple(state[name].shape)


def count_blocks(state: Mapping[str, Tensor], prefix: str) -> int:
    """Count the numbered modules below a prefix: 2 for "layers." of layers.0.x, layers.1.x."""
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})


def load_strictly(path: Path, network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put the tensors into the network and freeze it, in eval mode.

    Raises:
        UserError: a tensor is missing, unknown, or of another shape; the first ones are named.
    """
    needed = network.state_dict()
    problems = [f"{name} is missing" for name in needed if name not in state]
    problems += [f"{name} is unknown" for name in state if name not in needed]
    problems += [
        f"{name} has shape {tuple(state[name].shape)}, not {tuple(value.shape)}"
        for name, value in needed.items()
        if name in state and state[name].shape != value.shape
    ]
    if problems:
        shown = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
        raise UserError(f"{path}: not the checkpoint that is expected: {shown}")
    network.load_state_dict(dict(state), strict=True, assign=True)
    network.eval().requires_grad_(False)
