"""What is wrong with products before DVC looks at them: it hangs at a pipe, and says little of a bad name."""

import difflib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.core.run.errors import UserError
from stages.core.run.params import CATEGORY_NAME, PARAMS_FILE, category_problem, export_problem, load_value

LISTED = 20  # problems of a product's files
KEYS = ("source", "path", "subfolder")  # of a product, whose misspellings are guessed


def refuse_products(root: Path = Path()) -> None:
    """Pass unless DVC would stumble over a product's name, or over its files; all else it says itself.

    Args:
        root: of the repository.

    Raises:
        UserError: it would.
    """
    try:
        products = load_value("categories", file=root / PARAMS_FILE)
    except UserError:  # DVC says what is wrong with params.yaml, or needs no such file
        return
    if not isinstance(products, Mapping):
        return
    names = [*name_problems(products), *method_problems(root), *export_problems(products, root)]
    if found := [*names, *file_problems(products, root)]:
        raise UserError("; ".join(found))


def product_problems(root: Path = Path()) -> list[str]:
    """Return what is wrong with the names, the paths and the files of the products in params.yaml, a line each.

    Raises:
        UserError: params.yaml cannot be read.
    """
    products = load_value("categories", file=root / PARAMS_FILE)
    if not isinstance(products, Mapping) or not products:
        return [f"{PARAMS_FILE}: there is no product below `categories`: `oddpart add NAME FOLDER`"]
    paths = [problem for name, entry in products.items() if (problem := entry_problem(name, entry, root))]
    names = [*name_problems(products), *method_problems(root), *export_problems(products, root)]
    return [*names, *paths, *file_problems(products, root)]


def name_problems(products: Mapping[Any, Any]) -> list[str]:
    """Return what is wrong with the names."""
    return [f"{PARAMS_FILE}: {text}" for name in products if (text := category_problem(name))]


def method_problems(root: Path) -> list[str]:
    """Return which names below `methods` commands could not carry: DVC puts them into a shell's line as they are."""
    try:
        methods = load_value("methods", file=root / PARAMS_FILE)
    except UserError:
        return []
    names = {name for value in methods.values() for name in names_below(value)} if isinstance(methods, Mapping) else ()
    return [
        f"{PARAMS_FILE}: methods: the name {name!r} does not consist of letters, digits, - and _: correct it"
        for name in sorted(map(str, names))
        if not CATEGORY_NAME.fullmatch(name) or name.startswith("-")
    ]


def export_problems(products: Mapping[Any, Any], root: Path) -> list[str]:
    """Return what is wrong with the products of which bundles are made: DVC would name a folder that is not there."""
    try:
        exported = load_value("export.categories", file=root / PARAMS_FILE)
    except UserError:
        return []
    where = f"{PARAMS_FILE}: export.categories"
    if not isinstance(exported, Mapping):
        return [f"{where} is {exported!r}: write a section, `{{NAME: {{}}}}`, or `{{}}` for no product"]
    unknown = [name for name in exported if name not in products]
    return [
        *(f"{where}: {name!r} is no key of `categories`: add the product there, or remove it here" for name in unknown),
        *(problem for name, value in exported.items() if (problem := export_problem(str(name), value)) is not None),
    ]


def names_below(method: Any) -> Iterator[str]:
    """Yield the products and the methods of a family that an entry of `methods` names."""
    for section in method.values() if isinstance(method, Mapping) else ():
        if isinstance(section, list):
            yield from map(str, section)
        elif isinstance(section, Mapping):
            yield from map(str, section)
            yield from (
                str(one["trained_on"]) for one in section.values() if isinstance(one, Mapping) and "trained_on" in one
            )


def file_problems(products: Mapping[Any, Any], root: Path) -> list[str]:
    """Return what is wrong with the files of products whose paths are right; a path of several counts once."""
    sound = [entry["path"] for name, entry in products.items() if entry_problem(name, entry, root) is None]
    paths = {(root / path).resolve(): path for path in sound}
    return [problem for path, shown in paths.items() for problem in watched_problems(path, shown=shown)]


def entry_problem(name: object, entry: Any, root: Path) -> str | None:
    """Return what is wrong with a product's path, None where nothing is."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("path"), str):
        keys = list(map(str, entry)) if isinstance(entry, Mapping) else []
        near = [(key, wrong) for key in KEYS for wrong in difflib.get_close_matches(key, keys, 1) if wrong != key]
        hint = next((f"; is `{wrong}` meant to be `path`?" for key, wrong in near if key == "path"), "")
        return f"{PARAMS_FILE}: the product {name} has no `path`: add it{hint}"
    path = entry["path"]
    if path.startswith("~") or "$" in path:
        return f"{PARAMS_FILE}: the path {path} of the product {name}: write it out, `~` and `$` are not replaced"
    if not (root / path).exists():
        return f"{path} of the product {name} does not exist: correct {PARAMS_FILE}"
    return None


def watched_problems(path: Path, *, shown: str) -> list[str]:
    """Return what DVC cannot hash of what it watches, at most LISTED lines and how many there are more.

    Args:
        path: a file or a folder.
        shown: the path as it is written.
    """
    found = list(odd_entries(path)) if path.is_dir() else [("", path.stat().st_mode, True)]
    lines = []
    for name, mode, readable_name in found:
        place = ascii(name)[1:-1] if not readable_name else name
        full = f"{shown}/{place}" if place else shown
        if not readable_name:
            lines.append(f"{full}: its name is not valid UTF-8: rename it (`convmv` does so for whole folders)")
        elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            lines.append(f"{full}: is a pipe, a socket or a device, which would be read for ever: remove it")
    return lines[:LISTED] + ([f"{shown}: and {len(lines) - LISTED} more"] if len(lines) > LISTED else [])


def odd_entries(folder: Path) -> Iterator[tuple[str, int, bool]]:
    """Yield name below a folder, mode and whether the name is UTF-8, of all that is no plain file with a plain name.

    Links are followed, as DVC does; folders that cannot be read are said by the stage that copies them.
    """
    for parent, folders, names in os.walk(folder):
        for name in sorted((*folders, *names)):
            place = Path(parent, name)
            try:
                mode = place.stat().st_mode
            except OSError:  # a link to nothing
                continue
            plain = is_utf8(name)
            if not plain or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                yield place.relative_to(folder).as_posix(), mode, plain


def is_utf8(name: str) -> bool:
    """Whether a file's name can be written in UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
