"""The normal pictures of a product that are not for test, and which of them are held out when."""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int
from sklearn.model_selection import GroupKFold

from stages.core.images.aspect import common_aspect, read_aspect
from stages.core.io.tables import image_files, read_images
from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE, load_value, validate
from stages.core.runtime.calibration import counted
from stages.core.runtime.kinds import image_kind
from stages.core.runtime.reading import Window
from stages.download.source_files import is_stray
from stages.split.grey_range import choose_grey_range
from stages.split.inspect_files import Inspection, inspect_files
from stages.split.near_duplicates import NearDuplicateParams, find_groups, groups_among
from stages.split.readers.plain_folders import files_below
from stages.split.readers.records import Record
from stages.split.rule import count_normals

LOG = logging.getLogger(__name__)
FEWEST = 10  # normal pictures: eight to learn from and a fifth held out
MOST = 320  # to learn from; more would take longer than their number is worth here
MOST_HELD_OUT = 200
FOLDS = 5
ROTATIONS = 3  # of the folds, each with other folds
INPUTS = "artifacts/split/{category}/inputs"
GOOD = Path("images/good")  # of the layout `folder`
LISTED = 10  # findings in a message


@dataclass(frozen=True)
class HeldOut:
    """One division of the pictures, by number: a memory bank learns from the first part and judges the second."""

    learned: Int[np.ndarray, " L"]
    held_out: Int[np.ndarray, " H"]


@dataclass(frozen=True)
class Normals:
    """Normal pictures.

    Attributes:
        files: of each picture.
        rotations: each a list of divisions in which every picture to judge is held out once.
        rotated: whether all pictures take turns, as validation has too few.
        training, validation: how many of them the product's split has, or will have.
        grey_range: what pictures of more than 8 bits are spread over.
        aspect: that the stage `split` has kept, or would keep of these pictures.
    """

    files: tuple[Path, ...]
    rotations: tuple[tuple[HeldOut, ...], ...]
    rotated: bool
    training: int
    validation: int
    grey_range: Window | None = None
    aspect: float | None = None

    @property
    def judged(self) -> list[int]:
        """Return the numbers of the pictures that are held out at some time, ascending."""
        return sorted(int(number) for part in self.rotations[0] for number in part.held_out)

    @property
    def most_learned(self) -> int:
        """Return the largest number of pictures that every division can learn from."""
        return min(len(part.learned) for rotation in self.rotations for part in rotation)


def find_normals(name: str, *, budget: float, seed: int) -> Normals:
    """Find the normal pictures of a product, or of a folder that is no product yet.

    Args:
        name: a key of `categories`, or a folder.
        budget: share of false alarms; with too few validation pictures for it all pictures take turns.
        seed: of folds and draws.

    Raises:
        UserError: there is no such product or folder, it has not been split, or has fewer than FEWEST normal pictures.
    """
    known = load_value("categories")
    if isinstance(known, dict) and name in known:
        return of_product(name, budget=budget, random=np.random.default_rng(seed))
    if Path(name).is_dir():
        return of_folder(Path(name), seed=seed)
    raise UserError(
        f"{name}: {PARAMS_FILE} has no such product (known: {', '.join(map(str, known or [])) or 'none'}), and there "
        "is no such folder"
    )


def of_product(key: str, *, budget: float, random: np.random.Generator) -> Normals:
    """Take training and validation pictures of a split; those of test are not looked at."""
    inputs = Path(INPUTS.replace("{category}", key))
    if not inputs.is_dir():
        raise UserError(f"{key} has not been split, {inputs} is missing: run `dvc repro split@{key}`")
    images = read_images(inputs)
    train, validation = (images["file"][images["split"] == part].to_list() for part in ("train", "validation"))
    counts = len(train), len(validation)
    if len(validation) < math.ceil(1 / budget - 1e-9) - 1:
        turns = rotated(image_files(inputs), sorted({*train, *validation}), counts=counts, random=random)
        return replace(turns, aspect=read_aspect(inputs))
    train, validation = drawn(train, MOST, random), drawn(validation, MOST_HELD_OUT, random)
    refuse_few(len(train), f"{key} has {counted(len(train), 'training picture')}")
    learned, held_out = np.arange(len(train)), len(train) + np.arange(len(validation))
    files = tuple(image_files(inputs) / file for file in [*train, *validation])
    return Normals(files, ((HeldOut(learned, held_out),),), False, *counts, aspect=read_aspect(inputs))


def of_folder(folder: Path, *, seed: int) -> Normals:
    """Take all pictures of `images/good`, or else those that lie in the folder itself.

    Raises:
        UserError: there are too few, or a file is no picture.
    """
    if (folder / GOOD).is_dir():
        names = files_below(folder, GOOD.as_posix())
    else:
        names = [path.name for path in sorted(folder.iterdir()) if is_picture(path)]
    names = [name for name in names if not is_stray(name)]
    if not names:
        raise UserError(f"{folder}: no picture in it and none in {folder / GOOD}: name the folder of the good ones")
    refuse_few(len(names), f"{folder} has {counted(len(names), 'normal picture')}")
    train, validation, _ = count_normals(len(names), tuple(load_value("split.ratios")))
    return rotated(folder, names, counts=(train, validation), random=np.random.default_rng(seed))


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture by its content, also of a kind that is not read, or cannot be opened at all.

    The check of all pictures then names what is wrong with it.
    """
    try:
        return image_kind(path) is not None
    except OSError:
        return True


def rotated(folder: Path, names: Sequence[str], *, counts: tuple[int, int], random: np.random.Generator) -> Normals:
    """Hold out every picture once in each rotation, near-duplicates together.

    Args:
        folder: of the pictures.
        names: below it.
        counts: training and validation pictures of the split.
        random: draws the folds.

    Raises:
        UserError: there are too few pictures, or one cannot be read.
    """
    refuse_few(len(names), f"{folder} has {counted(len(names), 'normal picture')}")
    names = drawn(names, MOST + MOST_HELD_OUT, random)
    records = [Record(name, "normal", "good", "train") for name in names]
    inspected = inspect_files(folder, records)
    refuse_findings(folder, inspected.findings)
    together = groups_of(records, inspected)
    if len(set(together)) < FOLDS:
        raise UserError(f"{folder}: its {len(names)} pictures are copies of {len(set(together))}: add other ones")
    rotations = tuple(divided(together, random) for _ in range(ROTATIONS))
    grey_range = choose_grey_range(records, inspected.extents, given=None)
    facts = [inspected.images[name] for name in names]
    aspect = common_aspect([one.width for one in facts], [one.height for one in facts])
    return Normals(tuple(folder / name for name in names), rotations, True, *counts, grey_range, aspect)


def groups_of(records: Sequence[Record], inspected: Inspection) -> list[int]:
    """Return a number for each picture, the same for near-duplicates."""
    params = validate(NearDuplicateParams, load_value("near_duplicates"), where="near_duplicates")
    duplicates = find_groups(inspected.hashes, inspected.contents, params)
    kept, _ = groups_among(records, duplicates, {False: Counter({"held out": len(records) // FOLDS})})
    member = {record.path: number for number, group in enumerate(kept) for record in group}
    return [member.get(record.path, len(kept) + number) for number, record in enumerate(records)]


def divided(groups: Sequence[int], random: np.random.Generator) -> tuple[HeldOut, ...]:
    """Divide pictures into FOLDS of about equal size, each held out once."""
    _, place = np.unique(groups, return_inverse=True)
    # Equally large groups go to folds in the order of their numbers.
    shuffled = random.permutation(place.max() + 1)[place]
    folds = GroupKFold(FOLDS).split(np.zeros(len(groups)), groups=shuffled)
    return tuple(HeldOut(learned, held_out) for learned, held_out in folds)


def drawn(names: Sequence[str], most: int, random: np.random.Generator) -> list[str]:
    """Draw at most so many names, in their order; say so where that is not all."""
    if len(names) <= most:
        return list(names)
    LOG.info("%d of %d pictures are drawn", most, len(names))
    return [names[number] for number in sorted(random.permutation(len(names))[:most])]


def refuse_few(count: int, what: str) -> None:
    """Raise a UserError for fewer than FEWEST pictures."""
    if count < FEWEST:
        raise UserError(f"{what}: {FEWEST} are the least that a curve can be drawn from; add good pictures")


def refuse_findings(folder: Path, findings: Sequence[str]) -> None:
    """Raise a UserError that lists what is wrong with files, unless nothing is."""
    if findings:
        listed = "".join(f"\n  - {finding}" for finding in findings[:LISTED])
        more = f"\n  and {len(findings) - LISTED} more" if len(findings) > LISTED else ""
        raise UserError(f"{folder}: findings: {len(findings)}{listed}{more}")
