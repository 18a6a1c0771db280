"""params.yaml and the profiles, those for tests included, as one mapping with the profiles below `profiles`."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PROFILES, TEST_PROFILES = Path("profiles"), Path("tests/profiles")


def copy_test_profiles(root: Path) -> None:
    """Put the profiles for tests of a repository among its others, where stages find them."""
    shutil.copytree(root / TEST_PROFILES, root / PROFILES, dirs_exist_ok=True)


def read_params(root: Path) -> dict[str, Any]:
    """What a repository's params.yaml and profiles hold; of two profiles of one name, that in `profiles` counts."""
    files = {path.stem: path for folder in (TEST_PROFILES, PROFILES) for path in sorted((root / folder).glob("*.yaml"))}
    profiles = {name: _read(path) for name, path in sorted(files.items())}
    return {**_read(root / "params.yaml"), "profiles": profiles}


def write_params(root: Path, params: Mapping[str, Any]) -> None:
    """Write params.yaml and a file for each profile."""
    (root / "profiles").mkdir(exist_ok=True)
    for name, profile in params["profiles"].items():
        _write(root / "profiles" / f"{name}.yaml", profile)
    _write(root / "params.yaml", {key: value for key, value in params.items() if key != "profiles"})


def change_params(root: Path, changes: Mapping[str, Any]) -> None:
    """Set values by dotted key; methods that run on all `categories` follow when these change."""
    params = read_params(root)
    products = params.get("categories")
    everywhere = [one for one in params.get("methods", {}).values() if one.get("categories") is products is not None]
    set_values(params, changes)
    for method in everywhere if "categories" in changes else []:
        method["categories"] = params["categories"]
    write_params(root, params)


def set_values(params: dict[str, Any], changes: Mapping[str, Any], *, separator: str = ".") -> None:
    """Set values in place by the keys on the way to them."""
    for key, value in changes.items():
        *parents, last = key.split(separator)
        node = params
        for parent in parents:
            node = node[parent]
        node[last] = value


def _read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True), encoding="utf-8")
