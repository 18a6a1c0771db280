"""The input checks, and what is done about equal files.

Each check takes the records and the facts of the files, and returns its findings, one line each. Images of equal
content that would spoil a split which the source brings are findings, or excluded where that is asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.core.run.errors import UserError
from stages.core.runtime.pictures import TRANSPARENT
from stages.core.runtime.reading import SMALLEST_SIDE
from stages.split.inspect_files import EXIF_ROTATED, ImageFacts, Inspection, MaskFacts
from stages.split.masks import HALF, Cover
from stages.split.readers.records import Record
from stages.split.rule import Ratios, Together, count_normals

MIN_TRAINING_IMAGES = 8
MANY_MASKS = 3  # from how many on they are judged as a whole
LISTED = 50  # findings in the message
SPLITS = ("train", "validation", "test")  # the latest last


def refuse(dataset: Path, findings: Sequence[str]) -> None:
    """Raise one UserError that lists the findings, or do nothing when there are none.

    The first LISTED are listed: a wrong column in a table is wrong in each of a hundred thousand rows.
    """
    if findings:
        distinct = list(dict.fromkeys(findings))
        listed = "\n  - ".join([*distinct[:LISTED], *more_than(LISTED, distinct)])
        raise UserError(f"{dataset}: nothing was written, findings: {len(distinct)}\n  - {listed}")


def more_than(shown: int, lines: Sequence[str]) -> list[str]:
    """Return a line that counts those beyond the first ones; none where there are no more."""
    return [f"and {len(lines) - shown} more"] if len(lines) > shown else []


def check_all(
    records: Sequence[Record],
    files: Inspection,
    defect_names: Mapping[int, str],
    *,
    together: Together | None = None,
    ratios: Ratios | None = None,
) -> list[str]:
    """Return the findings of every check.

    Args:
        records: with their splits.
        files: facts of the images and masks.
        defect_names: that a mask's values may stand for.
        together: effect of near-duplicates where the rule divided the images, else None.
        ratios: by which the rule divided all of them, else None.
    """
    return [
        *check_duplicate_ids(records),
        *check_train_is_normal(records),
        *check_parts_filled(records, files, together, ratios),
        *check_large_enough(records, files),
        *check_something_is_seen(records, files),
        *check_shared_content(records, files),
        *check_contradicting_labels(records, files),
        *check_mask_sizes(records, files),
        *check_mask_content(records, files),
        *check_mask_plausible(records, files),
        *check_masks_as_a_whole(records, files),
        *check_mask_values(records, files, defect_names),
    ]


def check_duplicate_ids(records: Sequence[Record]) -> list[str]:
    """Find files that differ by their suffix only, or that a table names twice."""
    paths = defaultdict(list)
    for record in records:
        paths[record.image_id].append(record.path)
    return [f"{', '.join(p)}: have one id, {name!r}: rename or remove one" for name, p in paths.items() if len(p) > 1]


def check_train_is_normal(records: Sequence[Record]) -> list[str]:
    """Find anomalies in train."""
    wrong = [record.path for record in records if record.split == "train" and record.is_anomalous]
    return [f"{path}: is anomalous and in train, which holds normal images only" for path in wrong]


def check_parts_filled(
    records: Sequence[Record], files: Inspection, together: Together | None, ratios: Ratios | None
) -> list[str]:
    """Find parts without normal images to learn from, to calibrate on or to judge false alarms by, and a small train.

    Args:
        records: with their splits.
        files: facts of the images.
        together: effect of near-duplicates where the rule divided the images, else None.
        ratios: by which the rule divided all of them, else None.
    """
    if any(record.split is None for record in records):
        return []  # the split itself failed, which is a finding of its own
    counts = Counter(record.split for record in records if not record.is_anomalous)
    found = [f"{split}: is empty, it has no normal image" for split in SPLITS if not counts[split]]
    if 0 < counts["train"] < MIN_TRAINING_IMAGES:
        found.append(f"train: has {counts['train']} normal images, at least {MIN_TRAINING_IMAGES} are needed")
    reasons = reasons_of_shortage(records, files, together, ratios) if found else []
    return [f"{problem}: {'; '.join([*reasons, 'add some'])}" for problem in found]


def reasons_of_shortage(
    records: Sequence[Record], files: Inspection, together: Together | None, ratios: Ratios | None
) -> list[str]:
    """Say why a part of a split by the rule has few normal images; see `check_parts_filled`."""
    if together is None or ratios is None:
        return []
    normal = [files.images[one.path].sha256 for one in records if not one.is_anomalous and one.path in files.images]
    reasons = [f"there are {len(normal)} in all, of which {needed_normals(ratios)} are the least for this split"]
    if equal := len(normal) - len(set(normal)):
        reasons.append(f"{equal} of them are copies of others with the same content, which stay together")
    if together.normals_like_anomalies:
        reasons.append(
            f"{together.normals_like_anomalies} of them are nearly the same as a picture of a defect, so that train "
            "may not have them"
        )
    return reasons


def needed_normals(ratios: Ratios) -> int:
    """Return the fewest normal images of which the rule gives train enough, and the other parts one each."""
    parts = sum(ratios)
    for count in range(MIN_TRAINING_IMAGES, MIN_TRAINING_IMAGES * parts + 1):
        train, validation, test = count_normals(count, ratios) if ratios[0] else (0, 0, 0)
        if train >= MIN_TRAINING_IMAGES and validation and test:
            return count
    return MIN_TRAINING_IMAGES


def check_large_enough(records: Sequence[Record], files: Inspection) -> list[str]:
    """Find images of fewer pixels a side than anything can be seen in, as thumbnails and damaged exports have."""
    small = {record.path: files.images[record.path] for record in records if record.path in files.images}
    return [
        f"{path}: is {facts.width} x {facts.height} pixels, at least {SMALLEST_SIDE} a side are needed: replace or "
        "remove it"
        for path, facts in small.items()
        if min(facts.width, facts.height) < SMALLEST_SIDE
    ]


def check_something_is_seen(records: Sequence[Record], files: Inspection) -> list[str]:
    """Find normal images of one colour, and images of either kind that are transparent all over.

    A picture of a defect may be black all over, as one of a missing part or a covered lens.
    """
    findings = []
    for record in records:
        flaw = files.images[record.path].flaw if record.path in files.images else None
        if flaw == TRANSPARENT:
            findings.append(f"{record.path}: {flaw}: save it without its alpha channel")
        elif flaw and not record.is_anomalous:
            findings.append(f"{record.path}: {flaw}: replace or remove it")
    return findings


def check_shared_content(records: Sequence[Record], files: Inspection) -> list[str]:
    """Find the same file content in two splits: what was learned or calibrated on would be tested."""
    findings = []
    for digest, same in by_content(records, files).items():
        if len({record.split for record in same}) > 1:
            places = ", ".join(f"{record.path} ({record.split})" for record in same)
            findings.append(f"{places}: have the same content (sha256 {digest[:16]}) in different splits: keep one")
    return findings


def check_contradicting_labels(records: Sequence[Record], files: Inspection) -> list[str]:
    """Find the same file content, once called normal and once anomalous."""
    mixed = [same for same in by_content(records, files).values() if len({r.is_anomalous for r in same}) > 1]
    return [
        f"{', '.join(record.path for record in same)}: have the same content, some normal, some anomalous: keep one"
        for same in mixed
    ]


def check_mask_sizes(records: Sequence[Record], files: Inspection) -> list[str]:
    """Find masks of another size than their image."""
    findings = []
    for record in records:
        image = files.images.get(record.path)
        for path in record.mask_paths:
            mask = files.masks.get(path)
            if image and mask and (mask.width, mask.height) != (image.width, image.height):
                findings.append(
                    f"{path}: is {mask.width} x {mask.height} pixels, its image {record.path} is "
                    f"{image.width} x {image.height}{hint_of_rotation(image, mask)}"
                )
    return findings


def hint_of_rotation(image: ImageFacts, mask: MaskFacts) -> str:
    """Say what EXIF has to do with it where a mask has the size of the picture that was not turned upright."""
    swapped = (mask.height, mask.width) == (image.width, image.height)
    if not swapped or EXIF_ROTATED not in image.conversions:
        return ""
    return " once it is turned upright as its EXIF says: turn the mask, too"


def check_mask_plausible(records: Sequence[Record], files: Inspection) -> list[str]:
    """Find masks that cannot be masks, each by itself or all of an image: they would count in pixel metrics."""
    paths = sorted({path for record in records for path in record.mask_paths if path in files.masks})
    single = [
        f"{path}: {files.masks[path].problem}: correct it (white where the defect is, black elsewhere) or remove it"
        for path in paths
        if files.masks[path].problem
    ]
    alone = {record.path for record in records if not any(files.masks[p].problem for p in known_masks(record, files))}
    return single + [
        f"{path}: {cover.problem}: correct them (white where the defect is, black elsewhere) or remove them"
        for path, cover in sorted(files.covers.items())
        if cover.problem and path in alone
    ]


def known_masks(record: Record, files: Inspection) -> list[str]:
    """Return the paths of an image's masks that decode."""
    return [path for path in record.mask_paths if path in files.masks]


def check_masks_as_a_whole(records: Sequence[Record], files: Inspection) -> list[str]:
    """Find that the masks of most images mark most of it: one may be right, as large defects are, as many are not."""
    masked = [one for one in records if one.is_anomalous and known_masks(one, files)]
    covers = [cover_of_record(one, files) for one in masked]
    large = sum(one.marked > HALF and one.border > HALF and not one.problem for one in covers)
    if len(masked) < MANY_MASKS or large <= len(masked) / 2:
        return []
    return [
        f"masks: those of {large} of {len(masked)} images mark more than half of it and of its border, as inverted "
        "ones do: correct them (white where the defect is, black elsewhere) or remove them"
    ]


def cover_of_record(record: Record, files: Inspection) -> Cover:
    """Return what the masks of an image mark together; of several that mark little, what the largest does."""
    single = [files.masks[path].cover for path in known_masks(record, files)]
    return files.covers.get(record.path, max(single, key=lambda cover: cover.marked))


def check_mask_content(records: Sequence[Record], files: Inspection) -> list[str]:
    """Find masks that mark nothing on an anomalous image, or something on a normal one."""
    findings = []
    for record in records:
        for path in record.mask_paths:
            marked = bool(files.masks[path].values) if path in files.masks else record.is_anomalous
            if record.is_anomalous and not marked:
                findings.append(f"{path}: marks nothing, though {record.path} is anomalous: correct or remove it")
            elif marked and not record.is_anomalous:
                findings.append(f"{path}: marks a defect, though {record.path} is normal: correct one of them")
    return findings


def check_mask_values(records: Sequence[Record], files: Inspection, defect_names: Mapping[int, str]) -> list[str]:
    """Find pixel values that the source's list of defects does not name."""
    findings = []
    for path in sorted({path for record in records for path in record.mask_paths if path in files.masks}):
        unknown = sorted(files.masks[path].values - set(defect_names)) if defect_names else []
        if unknown:
            findings.append(f"{path}: has the pixel values {unknown}, which defects_config.json does not name")
    return findings


def by_content(records: Sequence[Record], files: Inspection) -> dict[str, list[Record]]:
    """Group records of decodable images by their sha256."""
    same = defaultdict(list)
    for record in records:
        if record.path in files.images:
            same[files.images[record.path].sha256].append(record)
    return same


@dataclass(frozen=True)
class EqualFiles:
    """Images excluded for their equal content.

    Attributes:
        seen_twice: copies taken out of train or validation because a later split has the same content.
        contradicting: images taken out because the same content is called normal and anomalous.
    """

    seen_twice: int = 0
    contradicting: int = 0


def settle_equal(
    records: Sequence[Record], files: Inspection, *, excluded: bool
) -> tuple[list[Record], EqualFiles | None]:
    """Return the records without equal content that spoils the split; all of them and None unless that is asked for."""
    return exclude_equal(records, files) if excluded else (list(records), None)


def exclude_equal(records: Sequence[Record], files: Inspection) -> tuple[list[Record], EqualFiles]:
    """Drop what `check_shared_content` and `check_contradicting_labels` would refuse.

    Of content in several splits the copies in the last of them stay (test before validation before train), so that test
    is as published. Of content with both labels no copy stays: which label is right is unknown. Copies within one
    split stay.
    """
    drop: dict[tuple[str, str | None], str] = {}
    for same in by_content(records, files).values():
        if len({record.is_anomalous for record in same}) > 1:
            drop |= {(record.path, record.split): "contradicting" for record in same}
        else:
            last = max(same, key=lambda record: rank(record.split)).split
            drop |= {(record.path, record.split): "seen_twice" for record in same if record.split != last}
    counts = [sum(reason == name for reason in drop.values()) for name in ("seen_twice", "contradicting")]
    return [record for record in records if (record.path, record.split) not in drop], EqualFiles(*counts)


def rank(split: str | None) -> int:
    """Return the place of a split in the order; images without one stay together anyway."""
    return -1 if split is None else SPLITS.index(split)
