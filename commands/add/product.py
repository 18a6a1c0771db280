"""A product's pictures, read as the pipeline will read them, and its entry of params.yaml."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from commands.add.entry import with_entry
from commands.add.findings import counted, findings_of
from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.core.run.methods import load_methods
from stages.core.run.params import PARAMS_FILE, category_problem, load_value, validate
from stages.core.runtime.reading import IMAGE_SUFFIXES
from stages.download.category import AnyCategory
from stages.download.choose import MARKERS, category_root
from stages.download.manifest import read_manifest
from stages.download.source import open_source
from stages.download.source_files import is_stray
from stages.split.sources import READERS
from stages.split.write import warn_of_masks_among_images

LOG = logging.getLogger(__name__)
LISTED = 20  # findings in the message
TABLE = "labels.csv"


def add_product(name: str, path: str, *, source: str | None, subfolder: str | None, settings: Sequence[str]) -> None:
    """Check a product and write its entry into params.yaml.

    Args:
        name: a new key of `categories`.
        path: a folder, an archive or a manifest.
        source: its layout; None is guessed for a folder.
        subfolder: the product's folder inside `path`, where it has another name.
        settings: further keys of the entry as "key=value".

    Raises:
        UserError: something is wrong with one of them, or with the pictures; params.yaml is as before.
    """
    check_name(name)
    if not path.strip():
        raise UserError("the path is empty: name a folder, an archive or a manifest")
    place = Path(path).expanduser()
    if "${" in path or not place.exists():
        raise UserError(f"{path} does not exist: name a folder, an archive or a manifest, without ${{...}}")
    if not place.is_file() and not place.is_dir():
        raise UserError(f"{path} is a pipe, a socket or a device: name a folder, an archive or a manifest")
    options = dict(setting_of(text) for text in settings) | ({"subfolder": subfolder} if subfolder else {})
    if place.is_dir():
        source, found = examine_folder(place, name, source=source, options=options)
    elif source is None:
        raise UserError(f"{path} is no folder, so its layout is not known: name it by --source ({', '.join(MARKERS)})")
    else:
        found = examine_file(place, name, source=source, subfolder=subfolder)
    entry = {"source": source, "path": str(place), **options}
    validate(AnyCategory, entry, where=f"the entry of {name}")
    text = PARAMS_FILE.read_text(encoding="utf-8")
    changed = with_entry(text, name, entry)
    with replacing_file(PARAMS_FILE) as temporary:
        temporary.write_text(changed, encoding="utf-8")
    LOG.info("%s is now in %s: %s, source %s", name, PARAMS_FILE, found, source)
    LOG.info("next: `make repro`, or `dvc repro` in an environment with the extra `train`")
    warn_if_unscored(name)


def warn_if_unscored(name: str) -> None:
    """Warn when no method runs on a product: none has all products (`*all`), so that a new one has to be listed."""
    try:
        methods = load_methods().of(name)
    except UserError as error:
        LOG.warning("%s", error)
        return
    if not methods:
        LOG.warning(
            "no method runs on %s: list it in %s under `methods`, in a method's `categories`", name, PARAMS_FILE
        )


def check_name(name: str) -> None:
    """Pass when a new product may have this name.

    Raises:
        UserError: it may not, or there is one already.
    """
    known = load_value("categories") or {}
    problem = category_problem(name)
    if problem is None and not isinstance(yaml.safe_load(name), str):
        problem = f"the name {name!r} would be read as a number or a truth value: take another one"
    if problem is None and name in known:
        problem = f"the name {name!r} is taken in {PARAMS_FILE}: take another one, or change the entry there"
    if problem is not None:
        raise UserError(problem)


def setting_of(text: str) -> tuple[str, Any]:
    """Key and value of "key=value".

    Raises:
        UserError: it is not of that form, or names a key that has an option or argument of its own.
    """
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UserError(f"--set {text}: write key=value, for example --set equal_files=exclude")
    if key in ("source", "path", "subfolder"):
        raise UserError(f"--set {text}: `{key}` has an argument or option of its own, see `oddpart add --help`")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--set {text}: the value is not valid YAML: close its brackets and quotes") from None


def examine_folder(folder: Path, name: str, *, source: str | None, options: Mapping[str, Any]) -> tuple[str, str]:
    """Read a folder with the reader of its source, and decode every file of it.

    Returns:
        The source, and the counts in words.

    Raises:
        UserError: the layout is not known or not that of the source, or there are findings, for example files that are
            no images; they are listed.
    """
    with open_source(folder, follow_links=options.get("links") == "follow") as files:
        names = [file.name for file in files if not is_stray(file.name)]
    subfolder = options.get("subfolder")
    if source is None:
        source = guess_source(folder, names, name, subfolder)
        LOG.info("%s looks like the source %s", folder, source)
    if source not in READERS or source == "elpv":
        raise UserError(
            f"--source {source}: for a folder there are {', '.join(key for key in READERS if key != 'elpv')}"
        )
    if source == "folder":
        refuse_no_normal_picture(folder, names, name, subfolder)
    root = folder / category_root(names, marker=MARKERS[source], key=name, subfolder=subfolder)
    reading = READERS[source](root, **{key: value for key, value in options.items() if key == "test_part"})
    records = [record for record in reading.records if not is_stray(record.path)]
    findings = findings_of(root, reading, records, equal_files=options.get("equal_files"))
    if findings:
        listed = [f"\n  - {finding}" for finding in findings[:LISTED]]
        more = f"\n  and {len(findings) - LISTED} more" if len(findings) > LISTED else ""
        raise UserError(f"{root}: nothing was added, findings: {len(findings)}{''.join(listed)}{more}")
    warn_of_masks_among_images(records)
    return source, counted(root, records)


def guess_source(folder: Path, names: Sequence[str], name: str, subfolder: str | None) -> str:
    """The source whose layout a folder has, among the four that people make themselves.

    Raises:
        UserError: it has none of them; the message says how to lay out pictures.
    """
    for source in ("folder", "csv", "mvtec_loco"):
        try:
            root = folder / category_root(names, marker=MARKERS[source], key=name, subfolder=subfolder)
        except UserError:
            continue
        if source == "mvtec_loco":
            loco = (root / "validation").is_dir() or (root / "test/logical_anomalies").is_dir()
            return "mvtec_loco" if loco else "mvtec"
        if source != "csv" or "is_anomalous" in first_line(root / TABLE):
            return source
    refuse_no_normal_picture(folder, names, name, subfolder)
    if (product := product_around(folder)) is not None:
        raise UserError(f"{folder} is a part of a product's folder: name {product}")
    raise UserError(
        f"{folder} has no layout that is known: put normal pictures into {folder / 'images/good'} and pictures of "
        f"defects into {folder / 'images/defect'}, or name its layout by --source ({', '.join(MARKERS)})"
    )


def product_around(folder: Path) -> Path | None:
    """The product's folder, where a folder is its `images` or `images/good`; else None."""
    whole = folder.absolute()
    for product in whole.parents[:2]:
        if whole in (product / "images", product / "images/good") and (product / "images/good").is_dir():
            return product
    return None


def refuse_no_normal_picture(folder: Path, names: Sequence[str], name: str, subfolder: str | None) -> None:
    """Pass unless the layout `folder` was begun, with `images`, and only its normal pictures are missing.

    Raises:
        UserError: they are missing.
    """
    tops = [subfolder.strip("/")] if subfolder else [".", name]
    for images in (Path(top, "images") for top in tops):
        if any(Path(file).is_relative_to(images) for file in names) and not any(
            Path(file).parent.is_relative_to(images / "good") for file in names
        ):
            raise UserError(f"no normal picture in {folder / images / 'good'}: put some there")


def first_line(path: Path) -> str:
    """The first line of a text file, whatever its bytes."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline()


def examine_file(path: Path, name: str, *, source: str, subfolder: str | None) -> str:
    """Look into a manifest, or at the names in an archive, which is unpacked and checked by the pipeline.

    Raises:
        UserError: it is damaged, or holds no product of this source.
    """
    if source not in MARKERS:
        raise UserError(f"--source {source}: there are {', '.join(MARKERS)}")
    if path.suffix == ".json":
        read_manifest(path)
        return "a manifest, whose pictures the pipeline checks"
    with open_source(path) as files:
        names = [file.name for file in files if not is_stray(file.name)]
    root = category_root(names, marker=MARKERS[source], key=name, subfolder=subfolder)
    inside = [file for file in names if file.startswith(f"{root}/" if root else "")]
    pictures = sum(file.lower().endswith(IMAGE_SUFFIXES) for file in inside)
    return f"{pictures} image files, which the pipeline checks"
