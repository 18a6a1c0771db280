"""The manifest of a bundle: one JSON file that names every other file with its sha256, and seals itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core.runtime.errors import UserError

MANIFEST = "manifest.json"
MADE_BY = "oddpart export"
FORMAT = 1  # counted up when an older runtime would read a bundle wrongly
SEAL, FILES = "sha256", "files"


def sealed(content: Mapping[str, Any]) -> str:
    """Return the text of a manifest, with the hash of all that it says.

    Args:
        content: without what marks it as one of ours and its format.

    Raises:
        ValueError: a number is not finite.
    """
    whole = {"made_by": MADE_BY, "format": FORMAT, **content}
    return json.dumps({**whole, SEAL: seal_of(whole)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def seal_of(content: Mapping[str, Any]) -> str:
    """Return the hash of a manifest's content, its own seal excluded."""
    unsealed = {key: value for key, value in content.items() if key != SEAL}
    return hashlib.sha256(json.dumps(unsealed, sort_keys=True).encode()).hexdigest()


def is_bundle(folder: Path) -> bool:
    """Return whether a folder calls itself a bundle, sound or not."""
    if not (folder / MANIFEST).is_file():  # a pipe would be waited for
        return False
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("made_by") == MADE_BY


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest.

    Raises:
        UserError: there is none, it is damaged or was changed, or is of a format that is not known.
    """
    path = folder / MANIFEST
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is no file: copy the bundle again")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(
            f"{folder}: is no bundle, as {MANIFEST} cannot be read: name a folder made by the stage export"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no JSON ({error}): copy the bundle again") from None
    if not isinstance(content, dict) or content.get("made_by") != MADE_BY:
        raise UserError(f"{path}: is no manifest of a bundle: name a folder that the stage export made")
    if content.get("format") != FORMAT:
        raise UserError(
            f"{path}: is of format {content.get('format')!r}, this version of oddpart reads {FORMAT}: install the "
            "version that made it, or export again"
        )
    if content.get(SEAL) != seal_of(content):
        raise UserError(f"{path}: was changed or damaged after it was made (its sha256 differs): copy the bundle again")
    return content


def read_files(folder: Path, manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Read all files of a bundle.

    Raises:
        UserError: one is missing, or is not what was exported.
    """
    found = {}
    for name, expected in manifest[FILES].items():
        path = folder / name
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"{folder / MANIFEST}: names {name}, which is not in the bundle: do not use it")
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UserError(f"{path}: is no file: copy the bundle again")
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}): copy the bundle again") from None
        if hashlib.sha256(found[name]).hexdigest() != expected:
            raise UserError(f"{path}: is not what was exported (its sha256 differs): copy the bundle again")
    return found
