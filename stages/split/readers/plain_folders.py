"""Reader of plain folders: images/good, images/defect, and masks where there are some.

Images may lie in sub-folders: by day or camera, and of defects by type, which is the name of the folder right below
images/defect. The masks of images/defect/[<sub-folder>/]a.jpg lie in masks/ or masks/<sub-folder>/, and are called
a.png (or another suffix), a_mask.png, a_1.png, a_mask_1.png or a/<any name>.png. A picture may have several, and a good
one an empty mask. Accents are compared as they look: file systems write them in one letter or in two.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from stages.split.readers.records import Reading, Record, subfolders, unused_notes, without_suffix

GOOD, DEFECT, MASKS = "good", "defect", "masks"
KIND_OF_FOLDER = {GOOD: "normal", DEFECT: "unspecified"}
MASK_ENDINGS = ("", "[_-]mask", "[_-]mask[_-]?[0-9]+", "[_-][0-9]+[_-]mask", "[_-][0-9]+")
Place = tuple[str, str]  # sub-folder, "" for none, and name without suffix


def read_folder(root: Path) -> Reading:
    """Read every image below the two folders, without a split, and give each mask to its image."""
    records, findings = [], []
    for folder in subfolders(root / "images"):
        if folder not in KIND_OF_FOLDER:
            findings.append(f"images/{folder}: is neither images/good nor images/defect: move or remove it")
            continue
        records += [plain_record(path, folder) for path in files_below(root, f"images/{folder}")]
    findings += [
        f"images/{DEFECT}/{name}: would be a kind of defect: move it to images/{GOOD}, or rename it"
        for name in subfolders(root / "images" / DEFECT)
        if name.casefold() == GOOD
    ]
    owners = places_of(records)
    masks: dict[str, list[str]] = defaultdict(list)
    for mask in files_below(root, MASKS):
        found = sorted({record.path for record in owners_of(mask, owners)})
        if len(found) == 1:
            masks[found[0]].append(mask)
        else:
            findings.append(misplaced(mask, found))
    with_masks = tuple(replace(one, mask_paths=tuple(masks[one.path])) for one in records)
    read = (*(f"images/{name}" for name in subfolders(root / "images")), MASKS)
    notes = unused_notes(root, read, named=(f"images/{GOOD}", f"images/{DEFECT}", MASKS))
    return Reading(with_masks, tuple(findings), notes=notes)


def files_below(root: Path, folder: str) -> list[str]:
    """List the files below a folder, at any depth, as POSIX paths below `root`, sorted; none where it is missing."""
    return sorted(path.relative_to(root).as_posix() for path in (root / folder).rglob("*") if path.is_file())


def plain_record(path: str, folder: str) -> Record:
    """Make the record of an image; a defect's type is the name of the folder right below images/defect."""
    below = PurePosixPath(path).relative_to(f"images/{folder}").parts
    in_folder = folder == DEFECT and len(below) > 1
    return Record(path, KIND_OF_FOLDER[folder], below[0] if in_folder else folder)


def places_of(records: list[Record]) -> dict[Place, list[Record]]:
    """List the images by the places where their masks may lie: the same sub-folder, or none."""
    places: dict[Place, list[Record]] = defaultdict(list)
    for record in records:
        below = PurePosixPath(without_suffix(record.path)).parts[2:]
        for place in {(as_it_looks("/".join(below[:-1])), as_it_looks(below[-1])), ("", as_it_looks(below[-1]))}:
            places[place].append(record)
    return places


def owners_of(mask: str, owners: Mapping[Place, list[Record]]) -> list[Record]:
    """List the images that a mask may belong to: defects before good ones, an equal name before one with an ending."""
    for place in places_named(mask):
        found = owners.get(place, [])
        defects = [record for record in found if record.is_anomalous]
        if found:
            return defects or found
    return []


def places_named(mask: str) -> Iterator[Place]:
    """Yield the places of images that a mask's path may stand for, the likeliest first."""
    folder, _, name = as_it_looks(without_suffix(mask.removeprefix(f"{MASKS}/"))).rpartition("/")
    for ending in MASK_ENDINGS:
        match = re.fullmatch(f"(.+){ending}", name, re.IGNORECASE)
        if match:
            yield folder, match[1]
    above, _, last = folder.rpartition("/")
    yield above, last


def as_it_looks(text: str) -> str:
    """Return a text with each accented letter as one letter."""
    return unicodedata.normalize("NFC", text)


def misplaced(mask: str, found: list[str]) -> str:
    """Say what is wrong with a mask of no image or of several."""
    if found:
        return f"{mask}: may belong to {', '.join(found)}: put it into the sub-folder of {MASKS} that its image is in"
    stem = PurePosixPath(without_suffix(mask)).name
    return (
        f"{mask}: is a mask without an image: add the image {stem!r}, remove the mask, or rename it (that of "
        f"images/{DEFECT}/x.jpg is {MASKS}/x.png)"
    )
