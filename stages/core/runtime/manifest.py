"""The manifest of a bundle: one JSON file that names every other file with its sha256, and seals itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from stages.core.runtime.errors import UserError

MANIFEST = "manifest.json"
MADE_BY = "oddpart export"
FORMAT = 3  # counted up when an older runtime would read a bundle wrongly, or this one an older bundle
WITHOUT_KIND_WEIGHTS = 2  # the format before: all kinds of anomalies of a fusion counted the same
SEAL, FILES, TEST_PICTURES = "sha256", "files", "test_pictures"
NONE = type(None)
KINDS: Mapping[str, tuple[type, ...]] = {  # of the keys that every bundle has; what is below them `load` finds out
    "product": (str,), "commit": (str, NONE), "data": (dict,), "method": (str,), "params": (dict,), "metrics": (dict,),
    "variant": (dict, NONE),
    "covers_logical_anomalies": (bool,), "components": (dict,), "licences": (dict,), "encoder": (dict,),
    "grey_range": (dict, NONE), "branches": (list,), "fusion": (dict, NONE), "map_fusion": (dict, NONE),
    "calibration": (dict,), "made_from": (dict,), TEST_PICTURES: (list,), FILES: (dict,),
}  # fmt: skip
OF_A_PICTURE: Mapping[str, tuple[type, ...]] = {
    "file": (str,), "score": (float, int), "is_anomalous": (bool,), "branches": (dict,),
}  # fmt: skip


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
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder}: is no bundle, as {MANIFEST} is not there: name a folder made by the stage export"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): see to its rights, or copy the bundle") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no JSON ({error}): copy the bundle again") from None
    if not isinstance(content, dict) or content.get("made_by") != MADE_BY:
        raise UserError(f"{path}: is no manifest of a bundle: name a folder that the stage export made")
    if content.get("format") not in (FORMAT, WITHOUT_KIND_WEIGHTS):
        raise UserError(
            f"{path}: is of format {content.get('format')!r}, this version of oddpart reads {WITHOUT_KIND_WEIGHTS} and "
            f"{FORMAT}: install the version that made it, or export again"
        )
    if content.get(SEAL) != seal_of(content):
        raise UserError(f"{path}: was changed or damaged after it was made (its sha256 differs): copy the bundle again")
    if problem := layout_problem(content):
        raise UserError(f"{path}: {problem}: export it again")
    return content


def fusion_of(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return how scores are fused; of format WITHOUT_KIND_WEIGHTS as FORMAT has it, with the same scores.

    Raises:
        Exception: the manifest has another layout.
    """
    fusion = manifest["fusion"]
    if fusion is None or manifest["format"] == FORMAT:
        return cast("Mapping[str, Any] | None", fusion)
    return {**fusion, "kinds": [{**kind, "weights": [1.0] * len(kind["branches"])} for kind in fusion["kinds"]]}


def layout_problem(content: Mapping[str, Any]) -> str | None:
    """Return which key is missing or holds something else than it is read for; None where all are right."""
    if problem := kind_problem(content, KINDS):
        return problem
    if wrong := [name for name, digest in content[FILES].items() if not isinstance(digest, str)]:
        return f"{FILES}.{wrong[0]} is no sha256"
    for number, picture in enumerate(content[TEST_PICTURES]):
        found = kind_problem(picture, OF_A_PICTURE) if isinstance(picture, dict) else "it is no section"
        if found is not None:
            return f"{TEST_PICTURES}.{number}: {found}"
    return None


def kind_problem(content: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> str | None:
    """Do so for one level of keys."""
    for name, allowed in kinds.items():
        if name not in content:
            return f"the key {name!r} is missing"
        if not isinstance(content[name], allowed):
            return f"the key {name!r} is of kind {type(content[name]).__name__}, expected {allowed[0].__name__}"
    return None


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
